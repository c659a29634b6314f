"""Where S3's credentials come from: one chain, boto3's, or `obstore`'s own where boto3 is not installed.

boto3's order holds in both: keys in the environment come first, also beside ``AWS_PROFILE``, whose profile must exist
all the same; then web identity, the profile's keys, roles, SSO or ``credential_process``, the container's role, the
instance's role. Where the environment alone decides (keys, no profile), `obstore` reads it and boto3 is not imported:
that takes 0.3 s and 20 MB in each process.
"""

from __future__ import annotations

import configparser
import os
import threading
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.region import REGION_VARIABLES
from vitalprep.storage.credential_errors import credential_error, is_metadata_disabled, located, no_credentials
from vitalprep.storage.retries import Transient

if TYPE_CHECKING:
    from obstore.store import S3Credential

__all__ = ["Chain", "chosen_chain", "refuse_broken_credentials"]

_RENEW_BEFORE = timedelta(minutes=15)  # boto3's own; short-lived credentials are renewed after half their life
_DEFAULT = ("default", "profile default")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_PROFILE = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")  # in boto3's order
_WEB_IDENTITY = "AWS_WEB_IDENTITY_TOKEN_FILE"
_CONTAINER = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_CONTAINER_URL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_SOURCES = frozenset(  # settings of a profile that give credentials
    {"aws_access_key_id", "credential_process", "login_session", "role_arn", "sso_session", "sso_start_url"}
)
_ELSEWHERE = frozenset(  # settings of a profile for another server
    {"ca_bundle", "endpoint_url", "request_checksum_calculation", "services"}
)
_EXPORT = 'eval "$(aws configure export-credentials --format env)", and unset AWS_PROFILE.'
_WITHOUT_BOTO3 = f"install the extra `aws`: pip install 'vitalprep[aws]'. Or set the keys: {_EXPORT}"

_Environment = tuple[tuple[str, str], ...]


class Chain:
    """boto3's credentials for `obstore`, renewed in time. One object serves all threads of a process.

    It belongs to one environment: the profile is settled here, the source at the first request, which is refused if
    the environment has changed since.

    Parameters
    ----------
    profile : str
        The profile's name; empty for `default`, if there is one.
    environment : tuple
        As `_aws_environment` gives it.

    Attributes
    ----------
    region, endpoint, ca_bundle, checksums : str
        What the profile says, empty if it says nothing.
    """

    def __init__(self, profile: str, environment: _Environment) -> None:
        import botocore.session

        # As boto3's variable, but settled now, and never empty. `profile=` would switch the keys' variables off.
        self._session = botocore.session.Session(session_vars={"profile": (None, None, profile or None, None)})
        self._environment = environment
        self._lock = threading.Lock()
        self._current: S3Credential | None = None
        self._renew_at: datetime | None = None
        try:
            said = self._session.get_scoped_config()
            self.region = str(self._session.get_config_variable("region") or "")
            ignored = self._session.get_config_variable("ignore_configured_endpoint_urls")
            self.endpoint = "" if ignored else _endpoint(self._session.full_config, said)
        except _failures() as error:
            raise self._translated(error) from None
        self.ca_bundle = str(said.get("ca_bundle") or "")
        self.checksums = str(said.get("request_checksum_calculation") or "")
        if "mfa_serial" in said:  # each process would ask for a code, and a code works once
            raise UsageError(
                f"The AWS profile {profile or 'default'!r} asks for an MFA code, and the worker can ask nobody.",
                fix=f"take keys for a session: {_EXPORT}",
            )

    def __call__(self) -> S3Credential:
        """Return the credentials; `obstore` asks for them before a request."""
        with self._lock:
            if self._current is None or (self._renew_at is not None and datetime.now(UTC) >= self._renew_at):
                self._renew()
            assert self._current is not None
            return self._current

    def _renew(self) -> None:
        if self._current is None and self._environment != _aws_environment():
            raise UsageError(
                "The AWS variables have changed since this location was opened.", fix="open the location anew."
            )
        try:
            found = self._session.get_credentials()
            if found is None:
                raise no_credentials()
            frozen = found.get_frozen_credentials()
        except _failures() as error:
            raise self._translated(error) from None
        expiry = found._expiry_time if hasattr(found, "refresh_needed") else None  # boto3 has no public name for it
        if expiry is not None:
            expiry = expiry.astimezone(UTC)  # `obstore` takes no other
            now = datetime.now(UTC)
            self._renew_at = expiry - min(_RENEW_BEFORE, (expiry - now) / 2)
        self._current = {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": expiry,
        }

    def _translated(self, error: Exception) -> UsageError | Transient:
        files = [self._session.get_config_variable(name) for name in ("credentials_file", "config_file")]
        return credential_error(error, self._session.profile or "", files, renewed=self._current is not None)


def chosen_chain() -> Chain | None:
    """Return the chain to take the credentials from, or None where `obstore` finds them by itself.

    Raises
    ------
    UsageError
        If only half of the keys is set, the profile does not exist, or boto3 is needed and not installed.
    """
    profile = next((os.environ[name] for name in _PROFILE if os.environ.get(name)), "")
    keys = [name for name in _KEYS if os.environ.get(name)]
    if len(keys) == 1:
        missing = next(name for name in _KEYS if name not in keys)
        raise UsageError(f"{keys[0]} is set without {missing}.", fix=f"set {missing} as well, or neither.")
    if _is_unsigned() or (keys and not profile and _needs_no_profile()):
        return None
    try:
        import boto3  # noqa: F401  what the extra `aws` installs
    except ImportError:
        _refuse_without_boto3(profile, bool(keys))
        return None
    return _chain(profile, _aws_environment(), tuple(map(_state, _files())))


def refuse_broken_credentials() -> None:
    """Raise the error of the source of credentials, if it fails: for clients of AWS that storage does not make."""
    try:
        if chain := chosen_chain():
            chain()
    except Transient as error:
        raise error.error from None


@lru_cache(maxsize=4)
def _chain(profile: str, environment: _Environment, files: tuple[object, ...]) -> Chain:
    """Return the chain of an environment and of files: a process that opens many stores asks for credentials once."""
    return Chain(profile, environment)


def _aws_environment() -> _Environment:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_") or item[0] == "HOME"))


def _files() -> tuple[Path, Path]:
    """Return where profiles are looked up."""
    return _file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), _file("AWS_CONFIG_FILE", "config")


def _state(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _needs_no_profile() -> bool:
    """Return whether keys in the environment are enough.

    They are if there is no config file, or if the environment has the region and the file leads to no other server.
    """
    config = _files()[1]
    return not config.exists() or (_has_region() and not _says(config, _ELSEWHERE))


def _failures() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    # The others: a credential_process that is missing or prints no JSON, an answer without its keys, credentials that
    # are still expired after they were renewed, a question for an MFA code that nobody can answer.
    return (BotoCoreError, ClientError, OSError, ValueError, LookupError, RuntimeError, EOFError)


def _endpoint(config: Any, said: Any) -> str:
    """Return the endpoint that a profile gives for S3, or for all services."""
    service = config.get("services", {}).get(said.get("services"), {}).get("s3", {})
    own = service.get("endpoint_url") if isinstance(service, dict) else None
    return str(own or said.get("endpoint_url") or "")


def _is_unsigned() -> bool:
    return os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "on", "yes")


def _has_region() -> bool:
    return any(map(os.environ.get, REGION_VARIABLES))


def _file(variable: str, name: str) -> Path:
    return Path(os.path.expanduser(os.environ.get(variable) or f"~/.aws/{name}"))  # noqa: PTH111  may have no home


def _refuse_without_boto3(profile: str, has_keys: bool) -> None:
    """Refuse what only boto3 can do, so that nothing runs as the machine's role instead."""
    if profile:
        raise UsageError(f"The AWS profile {profile!r} needs boto3, which is not installed.", fix=_WITHOUT_BOTO3)
    if has_keys:
        return
    web_identity = os.environ.get(_WEB_IDENTITY)
    for file in _files():  # boto3 would take them, before the role of the container or the machine
        if _says(file, {"role_arn"} if web_identity else _SOURCES):
            raise UsageError(f"The AWS credentials in {file} need boto3, which is not installed.", fix=_WITHOUT_BOTO3)
    if web_identity or os.environ.get(_CONTAINER):
        return
    if os.environ.get(_CONTAINER_URL):
        if not os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            raise UsageError(
                f"{_CONTAINER_URL} without a token file needs boto3, which is not installed.",
                fix="install the extra `aws`: pip install 'vitalprep[aws]'.",
            )
        return
    if is_metadata_disabled():
        raise located(no_credentials(), "Could not use S3")


def _says(file: Path, settings: Collection[str]) -> bool:
    """Return whether a file of profiles has one of some settings for the profile `default`."""
    profiles = configparser.RawConfigParser(strict=False, default_section="")
    try:
        profiles.read(file, encoding="utf-8")
    except (configparser.Error, OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {str(error).splitlines()[0]}.", fix="correct it.") from None
    return any(name in profiles and any(map(profiles[name].__contains__, settings)) for name in _DEFAULT)
