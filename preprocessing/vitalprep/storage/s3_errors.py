"""Translates `obstore` errors for S3: which are transient, which are not, and how to fix them.

`obstore` reports errors as text only. Messages keep only the code and message of S3's response: its XML may repeat
tokens and signatures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from obstore.exceptions import AlreadyExistsError, InvalidPathError, PreconditionError

from vitalprep.runtime.errors import RetryableError, UsageError, VitalprepError
from vitalprep.storage.checksums import CALCULATION
from vitalprep.storage.credential_errors import NO_CREDENTIALS, TRIES_FOR_CREDENTIALS
from vitalprep.storage.object_errors import AccessDenied, ObjectChanged, OddKey, missing
from vitalprep.storage.retries import Transient

__all__ = ["translated"]

_CREDENTIALS = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or AWS_PROFILE, or the role of this machine."
)
_EXPIRED = "renew the credentials, then run it again: it resumes."
_REGION = "set AWS_REGION to the bucket's region."
_LOCATION = "check the location, the credentials and the permissions."
_FIXES = {
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": "correct this machine's clock.",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NoSuchBucket": "check the bucket's name, the credentials and the permissions.",
    "InvalidObjectState": "restore the object from the archive first.",
}
_RIGHTS = {
    "read": "s3:GetObject, and s3:ListBucket on the bucket (without it, a missing object looks like a forbidden one)",
    "write": "s3:PutObject and s3:AbortMultipartUpload",
    "list": "s3:ListBucket on the bucket, for this prefix",
    "remove": "s3:DeleteObject",
}
_TRANSIENT_STATUS = frozenset({408, 409, 429})
_TRANSIENT_CODES = frozenset(  # sent with status 400 to 404, although the request is correct
    {
        *("RequestTimeout", "SlowDown", "InternalError", "IncompleteBody", "NoSuchUpload"),
        *("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"),  # bytes that changed on the way
    }
)
_CERTIFICATE = (
    "name the file with your authority's certificates (PEM) in AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE, and check the "
    "endpoint's host name."
)
_CHECKSUM = re.compile(r"x-amz-(?:sdk-)?checksum", re.IGNORECASE)  # in S3's message
_CHECKSUM_MISSING = f"unset {CALCULATION} (request_checksum_calculation of the profile)."
_CHECKSUM_REFUSED = {
    "write": f"the server takes no such checksums: set {CALCULATION}=when_required, and unset AWS_CHECKSUM_ALGORITHM.",
    "remove": "the server takes no checksums: set AWS_DISABLE_BULK_DELETE=true.",
}

_URL = re.compile(r"Error performing \w+ (\S+) in ")
_STATUS = re.compile(r"status code: (\d{3}) ?([\w ]*)")
_CODE = re.compile(r"<Code>([\w.]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})")
_KEY = re.compile(r'Path "([^"]{1,300})"')
_CAUSE = re.compile(r'(?:message|error): "([^"]{1,200})"')
_BARE_REDIRECT = "redirect without LOCATION"
_KINDS = {"TimedOut": "timed out", "Incomplete": "closed before the end", "InvalidCertificate": "invalid certificate"}


@dataclass(frozen=True)
class _Answer:
    """An S3 error response. Status 0 means a failed connection or an unparsable response."""

    status: int
    code: str
    text: str

    @property
    def is_distrusted(self) -> bool:
        return "invalid certificate" in self.text

    @property
    def is_transient(self) -> bool:
        if self.status == 0:
            return not self.is_distrusted
        if self.status == 501:  # not implemented: a retry gives the same
            return False
        return self.status >= 500 or self.status in _TRANSIENT_STATUS or self.code in _TRANSIENT_CODES


def translated(error: Exception, *, verb: str, uri: str) -> VitalprepError | Transient:
    """Return the exception to raise for an `obstore` error.

    Parameters
    ----------
    verb : str
        ``read``, ``write``, ``list`` or ``remove``.
    uri : str
        ``s3://bucket/key``.
    """
    if isinstance(error, InvalidPathError):  # a listed key
        key = _first(_KEY, str(error))
        odd = OddKey(
            f"Could not {verb} {uri}: the key {key!r} has an empty, '.' or '..' segment.",
            fix="rename or remove that object, or use a prefix without it.",
        )
        odd.key = key
        return odd
    answer = _answer_in(str(error))
    what = f"Could not {verb} {uri}: {answer.text}."
    if _is_credentials_source(str(error), uri):
        role = f"HTTP {answer.status}" if answer.status else answer.text
        none = f"no AWS credentials were found (no keys in the environment; this machine's role: {role})"
        no_credentials = UsageError(f"Could not {verb} {uri}: {none}.", fix=NO_CREDENTIALS)
        return Transient(no_credentials, tries=TRIES_FOR_CREDENTIALS)
    if isinstance(error, PreconditionError) and verb == "read":
        return ObjectChanged(f"{uri} has changed since it was planned.", fix="plan again.")
    if isinstance(error, AlreadyExistsError) or answer.is_transient:  # the former: another process is writing it now
        return Transient(
            RetryableError(what, fix="run it again: it resumes; if the error persists, check the storage service.")
        )
    if answer.is_distrusted:
        return UsageError(what, fix=_CERTIFICATE)
    if isinstance(error, FileNotFoundError) and answer.code != "NoSuchBucket":
        return missing(uri)
    if answer.code.startswith("KMS.") or "kms:" in answer.text:
        return UsageError(what, fix="grant these credentials the use of the bucket's KMS key.")
    if verb in _CHECKSUM_REFUSED and _CHECKSUM.search(answer.text):
        return UsageError(what, fix=_CHECKSUM_MISSING if "required" in answer.text else _CHECKSUM_REFUSED[verb])
    if answer.status == 403 and answer.code in ("", "AccessDenied"):  # a HEAD is answered without a code
        return AccessDenied(what, fix=f"grant these credentials the permissions {_RIGHTS[verb]}; or use others.")
    return UsageError(what, fix=_FIXES.get(answer.code, _LOCATION))


def _answer_in(text: str) -> _Answer:
    code = _first(_CODE, text)
    message = _first(_MESSAGE, text)
    status = _STATUS.search(text)
    if _BARE_REDIRECT in text:
        return _Answer(301, "PermanentRedirect", "S3 answered 301 PermanentRedirect")
    if status or code:
        number = int(status[1]) if status else 500  # S3 can report an error inside a 200 response
        name = code or (status[2].strip() if status else "")
        answered = f"S3 answered {number} {name}" + (f" ({message.rstrip('.')})" if message else "")
        return _Answer(number, code, " ".join(answered.split()))
    return _Answer(0, "", _network_fault(text))


def _network_fault(text: str) -> str:
    line = text.strip().split("\n", 1)[0].rpartition(" - ")[2].removeprefix("Generic S3 error: ")
    if "HTTP error" not in line:
        return line
    cause = _first(_CAUSE, text) or next((plain for kind, plain in _KINDS.items() if kind in text), "")
    return line.removeprefix("HTTP error: ") + (f" ({cause})" if cause else "")


def _is_credentials_source(text: str, uri: str) -> bool:
    """Return whether the failed request went to another host than the bucket's: then it requested credentials."""
    url = _URL.search(text)
    return url is not None and uri.split("/")[2] not in url[1]


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1].strip() if found else ""
