"""The identity of a data set's content: equal records have equal content ids, wherever they were made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.document import canonical_json

__all__ = ["FEATURES", "ContentId", "content_id", "files_of"]

FEATURES = "features.json"

ContentId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A content id in a document: 64 hex digits."""


def content_id(features: bytes, files: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of a data set's records and of the names, types and shapes under which they are stored.

    It is taken over the canonical JSON ``{"features": SHA-256, "files": [[name, SHA-256], ...]}``, files by name.
    Unlike the dataset id it depends on no file stamp and on no code version.

    Parameters
    ----------
    features : bytes
        Content of ``features.json``.
    files : iterable of (str, str)
        Name and SHA-256 (hex) of each TFRecord file.

    Returns
    -------
    str
        64 hex digits.

    Examples
    --------
    >>> content_id(b"{}", [("b", "2" * 64), ("a", "1" * 64)]) == content_id(b"{}", [("a", "1" * 64), ("b", "2" * 64)])
    True
    """
    listed = {"features": hashlib.sha256(features).hexdigest(), "files": sorted(map(list, files))}
    return hashlib.sha256(canonical_json(listed)).hexdigest()


def files_of(summaries: Iterable[BuildSummary]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the TFRecord files that splits were built into."""
    return [(file.name, file.sha256) for summary in summaries for file in summary.files]
