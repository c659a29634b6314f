"""Certificates of further authorities that S3's TLS connections trust, such as a hospital's own."""

from __future__ import annotations

import os
from pathlib import Path

from vitalprep.runtime.errors import UsageError

__all__ = ["CA_VARIABLES", "certificates"]

CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")  # in boto3's order
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def certificates(bundle: str) -> bytes | None:
    """Return the certificates that a variable or the profile names, as PEM, or None. They add to the system's own.

    Parameters
    ----------
    bundle : str
        The ``ca_bundle`` of the profile; empty if there is none.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no certificate.
    """
    named = {CA_VARIABLES[0]: os.environ.get(CA_VARIABLES[0]), "ca_bundle of the AWS profile": bundle}
    named[CA_VARIABLES[1]] = os.environ.get(CA_VARIABLES[1])
    name, path = next(((name, path) for name, path in named.items() if path), ("", ""))
    if not path:
        return None
    fix = "name a file of certificates in PEM format, or unset it."
    try:
        pem = b"\n".join(file.read_bytes() for file in _files(Path(path)))
    except OSError as error:
        raise UsageError(f"{name} names {path}, which cannot be read ({error.strerror}).", fix=fix) from None
    if _BEGIN not in pem:
        raise UsageError(f"{name} names {path}, which holds no certificate.", fix=fix)
    return pem


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of a folder: ``REQUESTS_CA_BUNDLE`` may name one."""
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
