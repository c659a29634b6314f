"""Certificates of further authorities that S3's TLS connections trust, such as a hospital's own."""

from __future__ import annotations

import os
from pathlib import Path

from vitalprep.runtime.errors import UsageError

__all__ = ["certificates"]

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
    named = (  # in boto3's order
        ("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE")),
        ("ca_bundle of the AWS profile", bundle),
        ("REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE")),
    )
    name, path = next(((name, path) for name, path in named if path), ("", ""))
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
