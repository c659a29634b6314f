"""Errors that botocore raises without asking AWS: settings, which no patience mends, and an AWS out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from task_context import kind

SETTINGS = [
    (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), "renew"),
    (exceptions.UnauthorizedSSOTokenError(), "aws sso login"),
    (exceptions.SSOTokenLoadError(error_msg="none"), "aws sso login"),
    (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
    (exceptions.ProfileNotFound(profile="lab"), "AWS_PROFILE"),
    (exceptions.NoRegionError(), "AWS_DEFAULT_REGION"),
    (exceptions.InvalidRegionError(region_name="north pole"), "AWS_DEFAULT_REGION"),
    (exceptions.ParamValidationError(report="Invalid type for parameter cpu"), "VITALPREP_ settings"),
    (exceptions.NoCredentialsError(), "credentials"),
]


@pytest.mark.parametrize(("error", "fix"), SETTINGS, ids=lambda one: type(one).__name__)
def test_a_wrong_setting_is_named_at_once(error: Any, fix: str) -> None:
    from vitalprep_airflow.backends.aws_errors import Patience, no_answer

    with pytest.raises(type(error)):
        Patience(pause=1, limit=1800).after(error)
    refusal = no_answer("ECS", error)
    assert kind(refusal) == "WorkerRefused"
    assert fix in str(refusal).split("Fix: ")[1]


def test_who_cannot_be_reached_is_asked_again() -> None:
    from vitalprep_airflow.backends.aws_errors import Patience, no_answer

    error = exceptions.EndpointConnectionError(endpoint_url="https://ecs")
    assert Patience(pause=1, limit=1800).after(error) > 0
    assert kind(no_answer("ECS", error)) == "WorkerFailed"
