"""``preprocessing_metadata.json`` as it is read again: the parts that others rest on."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vitalprep.contract.document import Document
from vitalprep.contract.paths import Digest

__all__ = ["METADATA_NAME", "StoredMetadata", "StoredWarning"]

METADATA_NAME = "preprocessing_metadata.json"


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    if not _is_even(content):
        raise ValueError("a list holds mappings and other values")
    return content


def _is_even(content: Any) -> bool:
    """Whether every list holds either mappings alone or none, as a configuration's do."""
    if isinstance(content, dict):
        return all(map(_is_even, content.values()))
    if isinstance(content, list):
        return len({isinstance(item, dict) for item in content}) < 2 and all(map(_is_even, content))
    return True


def _with_inputs(content: dict[str, Any]) -> dict[str, Any]:
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) and "range" in item for item in inputs
    ):
        raise ValueError("its inputs have no names and ranges")
    return content


Settings = Annotated[dict[str, Any], AfterValidator(_settings)]


class StoredWarning(BaseModel):
    """One thing that the report points out."""

    code: str
    level: str
    message: str
    item: str | None = None
    values: dict[str, float] = Field(default_factory=dict)
    cases: tuple[int, ...] = ()


class StoredMetadata(Document):
    """What a data set says of itself; it holds more than is read here."""

    model_config = ConfigDict(extra="ignore")

    harmonize_digest: Digest
    parents: tuple[Digest, ...] = ()
    versions: Settings
    config: Annotated[Settings, AfterValidator(_with_inputs)]
    source: Settings | None = None
    warnings: tuple[StoredWarning, ...] | None = None
