"""Clients of AWS's control plane (boto3), and what their errors mean for a submitted job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vitalprep.runtime.errors import RetryableError, UsageError, VitalprepError
from vitalprep.storage import refuse_broken_credentials

__all__ = ["aws_errors", "client", "error_code"]

TOO_MANY_REQUESTS = 429

_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or AWS_PROFILE, or sign in again."
_GENERAL = "correct what it names."
_FIXES = {
    "AccessDeniedException": "let these credentials take Airflow's role (terraform output airflow_role). It may start "
    "jobs whose names begin with the deployment's name (--job-name), and pass on only Terraform's role (--role).",
    "ResourceInUse": "leave out --job-name, or give another.",
    "ResourceLimitExceeded": "ask for more in the console (Service Quotas, Amazon SageMaker), or give a smaller "
    "--instance-count or another --instance-type; spot and on demand have quotas of their own.",
    "RequestExpired": "set this machine's clock.",
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "OptInRequired": "enable that region in the account, or give another --region.",
}
_VALIDATION_FIXES = {  # by words of a ValidationException's message, the first that is in it
    "assume": "give --role the SageMaker role of this account (VITALPREP_SAGEMAKER_ROLE), which trusts "
    "sagemaker.amazonaws.com.",
    "image": "push the worker's image (terraform/README.md), and give --image and --region as they are in ECR.",
    "bucket": "give an --output in a bucket of the job's region that the SageMaker role may write.",
    "s3": "give an --output in a bucket of the job's region that the SageMaker role may write.",
    "instancetype": "give an --instance-type that SageMaker offers in this region.",
    "instance type": "give an --instance-type that SageMaker offers in this region.",
}
_TRANSIENT = frozenset(
    {
        "InternalFailure", "InternalServerError", "InternalServerException", "LimitExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "RequestTimeout",
        "RequestTimeoutException", "ServiceUnavailable", "ServiceUnavailableException", "SlowDown",
        "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip


def client(service: str, region: str) -> Any:
    """Return boto3's client of a service.

    Raises
    ------
    UsageError
        If boto3 is not installed, or the source of the credentials fails.
    """
    try:
        import boto3
    except ImportError as error:
        raise UsageError(
            "boto3 is not installed, which `vitalprep submit` needs.",
            fix="install the extra `aws`: pip install 'vitalprep[aws]'; `make worker` does.",
        ) from error
    from botocore.config import Config

    refuse_broken_credentials()
    with aws_errors(f"ask {service}"):
        session = boto3.session.Session(region_name=region)
        return session.client(service, config=Config(retries={"mode": "standard", "total_max_attempts": 5}))


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Turn boto3's errors in the block into the project's errors.

    Parameters
    ----------
    what : str
        What could not be done, for the message: "create the training job".
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _translated(error, what) from error


def error_code(error: VitalprepError) -> str:
    """Return AWS's error code, or an empty text if the error has none."""
    response = getattr(error.__cause__, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) and "Error" in response else ""


def _translated(error: Exception, what: str) -> VitalprepError:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _answered(error.response, what)
    message = f"Could not {what}: {str(error).rstrip('.')}."
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return RetryableError(message, fix="check the network and --region, then run it again.")
    credentials = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    return UsageError(message, fix=_CREDENTIALS if isinstance(error, credentials) else _GENERAL)


def _answered(response: dict[str, Any], what: str) -> VitalprepError:
    code = str(response["Error"].get("Code", "unknown"))
    said = str(response["Error"].get("Message", "")).strip().rstrip(".")
    message = f"Could not {what}: AWS answered {code}" + (f" ({said})." if said else ".")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _TRANSIENT or status == TOO_MANY_REQUESTS or status >= 500:
        return RetryableError(message, fix="run it again in some minutes.")
    fix = _FIXES.get(code, _GENERAL)
    if code == "ValidationException":
        fix = next((fix for words, fix in _VALIDATION_FIXES.items() if words in said.lower()), _GENERAL)
    return UsageError(message, fix=fix)
