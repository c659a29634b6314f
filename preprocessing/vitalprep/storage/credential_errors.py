"""What boto3's errors about credentials mean: which are transient, and how to fix the others."""

from __future__ import annotations

import os
from typing import Any

from vitalprep.runtime.errors import RetryableError, UsageError, VitalprepError
from vitalprep.storage.retries import Transient

__all__ = [
    "NO_CREDENTIALS",
    "TRIES_FOR_CREDENTIALS",
    "credential_error",
    "is_metadata_disabled",
    "located",
    "no_credentials",
]

NO_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN if they are temporary) or AWS_PROFILE, or "
    "run on a machine whose role may use the bucket."
)
TRIES_FOR_CREDENTIALS = 3  # fail fast on a machine without credentials
_ROLES = ("container-role", "iam-role")  # boto3's names
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "IDPCommunicationError"})
_MOST_SAID = 300  # characters of a message, such as what a credential_process wrote to stderr


def no_credentials() -> UsageError | Transient:
    """Return the error to raise where no source has credentials."""
    none = "no AWS credentials were found (no keys in the environment, no profile, no role of a container"
    if is_metadata_disabled():
        return UsageError(f"{none}; AWS_EC2_METADATA_DISABLED is set).", fix=NO_CREDENTIALS)
    return Transient(UsageError(f"{none} or machine).", fix=NO_CREDENTIALS), tries=TRIES_FOR_CREDENTIALS)


def is_metadata_disabled() -> bool:
    """Return whether the user forbids to ask the machine for its role."""
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"


def located(error: UsageError | Transient, what: str) -> VitalprepError | Transient:
    """Return the error with what could not be done in front of its message."""
    if isinstance(error, Transient):
        return Transient(_located(error.error, what), tries=error.tries)
    return _located(error, what)


def _located(error: VitalprepError, what: str) -> VitalprepError:
    return type(error)(f"{what}: {error.message}", fix=error.fix)


def credential_error(error: Exception, profile: str, files: list[str], *, renewed: bool) -> UsageError | Transient:
    """Return the exception to raise for an error of boto3.

    Parameters
    ----------
    profile : str
        The profile that is asked for, if any.
    files : list of str
        Where profiles are looked up.
    renewed : bool
        Whether the same source gave credentials before: then a role's fault is one of the network.
    """
    from botocore import exceptions

    said = " ".join(str(error).split())[:_MOST_SAID].rstrip(".")
    what = f"no AWS credentials{f' from the profile {profile!r}' if profile else ''}: {said}."
    source = getattr(error, "kwargs", {}).get("provider", "")
    if isinstance(error, exceptions.ProfileNotFound):
        return UsageError(
            f"The AWS profile {profile!r} is neither in {' nor in '.join(files)}.",
            fix="correct AWS_PROFILE, add the profile (`aws configure`), or unset AWS_PROFILE.",
        )
    if source in _ROLES:
        what = f"no AWS credentials from the role of this container or machine: {said}."
        if renewed:
            return Transient(RetryableError(what, fix="run it again: it resumes."))
        return Transient(UsageError(what, fix=NO_CREDENTIALS), tries=TRIES_FOR_CREDENTIALS)
    if _is_transient(error, exceptions):
        return Transient(RetryableError(what, fix="check the network, then run it again: it resumes."))
    return UsageError(what, fix=_fix(error, source, profile, exceptions))


def _is_transient(error: Exception, exceptions: Any) -> bool:
    if isinstance(error, exceptions.ClientError):
        response = getattr(error, "response", {})
        code = response.get("Error", {}).get("Code", "")
        return code in _THROTTLED or response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
    return isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError))


def _fix(error: Exception, source: str, profile: str, exceptions: Any) -> str:
    option = f" --profile {profile}" if profile else ""
    if isinstance(error, exceptions.SSOError) or source == "sso":
        return f"sign in: aws sso login{option}; then run it again: it resumes."
    if type(error).__name__.startswith("Login"):  # boto3 knows `aws login` since 1.41
        return f"sign in: aws login{option}; then run it again: it resumes."
    if source == "custom-process" or not isinstance(error, (exceptions.BotoCoreError, exceptions.ClientError)):
        return "make the profile's source work, for example its credential_process: run that command by hand."
    return f"correct the profile or the role; `aws sts get-caller-identity{option}` shows whether it works."
