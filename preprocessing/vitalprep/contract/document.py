"""JSON documents with a schema version, canonical bytes and digests.

Every document vitalprep stores (plan, receipt, build summary, accounting, verdict) is a `Document`: frozen, strict
about unknown keys, and written as canonical JSON, so that equal content has equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage

__all__ = [
    "DIGEST_LENGTH",
    "Document",
    "PerCase",
    "Schema",
    "canonical_json",
    "canonical_object",
    "digest",
    "digest_of_json",
]

DIGEST_LENGTH = 12
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no spaces, ASCII, no NaN.

    Raises
    ------
    ValueError
        If the value holds NaN or an infinity.
    """
    return _ENCODER.encode(value).encode("ascii")


def canonical_object(values: Mapping[str, bytes]) -> bytes:
    """Return the canonical JSON of an object whose values are canonical JSON already.

    So a large document can be written part by part.

    Examples
    --------
    >>> canonical_object({"b": canonical_json([1, 2]), "a": b"3"})
    b'{"a":3,"b":[1,2]}'
    """
    return b"{" + b",".join(canonical_json(key) + b":" + values[key] for key in sorted(values)) + b"}"


def digest(value: Any) -> str:
    """Return the first 12 hex digits of SHA-256 over the canonical JSON of a value."""
    return digest_of_json(canonical_json(value))


def digest_of_json(text: bytes) -> str:
    """Return the digest of a text that is already canonical JSON."""
    return hashlib.sha256(text).hexdigest()[:DIGEST_LENGTH]


class Schema(BaseModel):
    """A frozen part of a document or of the configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def content(self) -> dict[str, Any]:
        """Return the model as plain JSON types."""
        return self.model_dump(mode="json")


class PerCase(Schema):
    """A part that a document has for each case.

    Pydantic notes for each instance which fields were given, in a set that takes more memory than the values. Instances
    with the same fields share it.
    """

    _given: ClassVar[dict[frozenset[str], set[str]]] = {}

    @model_validator(mode="after")
    def _share_the_names_of_given_fields(self) -> Self:
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", self._given.setdefault(frozenset(given), given))
        return self


class Document(Schema):
    """A stored JSON document. Subclasses increment `current_version` when their fields change."""

    current_version: ClassVar[int] = 1
    schema_version: int = 1

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are stored."""
        return canonical_json(self.content()) + b"\n"

    @classmethod
    def from_storage(cls, storage: Storage, path: str) -> Self | None:
        """Read a stored document as `from_bytes` does. Return None if it does not exist."""
        data = storage.get_or_none(path)
        return None if data is None else cls.from_bytes(data, uri=storage.uri_of(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, uri: str) -> Self:
        """Read a stored document.

        Raises
        ------
        RefusedError
            If it is not a valid JSON document of this kind, or was written by a newer vitalprep.
        """
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RefusedError(
                f"{uri} is not valid JSON ({error}).", fix="remove this object and run the stage that writes it again."
            ) from error
        version = content.get("schema_version", 1) if isinstance(content, Mapping) else 1
        if isinstance(version, int) and version > cls.current_version:
            raise RefusedError(
                f"{uri} has schema version {version}; this vitalprep reads {cls.__name__} up to {cls.current_version}.",
                fix="use the vitalprep that wrote it, or a newer one.",
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RefusedError(
                f"{uri} is not a valid {cls.__name__}: {place}: {first['msg']}.",
                fix="remove this object and run the stage that writes it again.",
            ) from error
