"""What the documentation takes from the code. Every import of the project's modules stands here and nowhere else."""

from __future__ import annotations

import importlib.resources
from typing import get_args

import vitalprep as package
from vitalprep.cli.group import EXIT_CODES
from vitalprep.cli.main import vitalprep as command
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.plan.clinical import COLUMNS
from vitalprep.report.warnings import Code
from vitalprep.runtime.errors import ReasonCode

__all__ = [
    "COLUMNS", "EXIT_CODES", "REGISTRY", "Config",
    "command", "load_config", "package", "reason_codes", "version", "warning_codes",
]  # fmt: skip

version: str = package.__version__
reason_codes: tuple[str, ...] = get_args(ReasonCode)
warning_codes: tuple[str, ...] = get_args(Code)
REGISTRY: str = importlib.resources.files("vitalprep").joinpath("master_poc.yaml").read_text("utf-8")
