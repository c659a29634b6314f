"""The checksums that uploads to S3 carry."""

from __future__ import annotations

import os

from vitalprep.runtime.errors import UsageError

__all__ = ["CALCULATION", "checksum_algorithm"]

CALCULATION = "AWS_REQUEST_CHECKSUM_CALCULATION"
_ALGORITHM = "sha256"  # needs no second hash: the signature of an upload has the SHA-256 of its bytes already


def checksum_algorithm(calculation: str) -> str | None:
    """Return the algorithm of the uploads' checksums, or None where they carry none.

    ``AWS_CHECKSUM_ALGORITHM`` decides, which `obstore` reads by itself and which has no word for none. Then AWS's own
    setting for servers that take no checksums, as boto3 reads it, too.

    Parameters
    ----------
    calculation : str
        What the profile says (``request_checksum_calculation``), empty if it says nothing.

    Raises
    ------
    UsageError
        If AWS's setting has another value than ``when_supported`` and ``when_required``.
    """
    if chosen := os.environ.get("AWS_CHECKSUM_ALGORITHM"):
        return chosen
    said = os.environ.get(CALCULATION) or calculation or "when_supported"
    if said.lower() not in ("when_supported", "when_required"):
        raise UsageError(
            f"{CALCULATION} (request_checksum_calculation of a profile) is {said!r}.",
            fix="set it to when_supported or when_required, or unset it.",
        )
    return None if said.lower() == "when_required" else _ALGORITHM
