"""The AWS region of a deployment, unless its user names another one."""

from __future__ import annotations

import os

__all__ = ["DEFAULT_REGION", "REGION_VARIABLES", "deployment_region"]

DEFAULT_REGION = "eu-north-1"  # that of terraform/variables.tf, too
REGION_VARIABLES = ("AWS_DEFAULT_REGION", "AWS_REGION")


def deployment_region() -> str:
    """Return the region that the environment names, else the default one."""
    return next((os.environ[name] for name in REGION_VARIABLES if os.environ.get(name)), DEFAULT_REGION)
