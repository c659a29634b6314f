"""``preprocessing_metadata.json``: what a data set says of itself. Publish writes it; loading and reports read it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.content_id import ContentId
from vitalprep.contract.document import Document, Schema
from vitalprep.contract.name import Name
from vitalprep.contract.paths import METADATA, Digest, SplitName, dataset_path
from vitalprep.contract.provenance import SettledProvenance
from vitalprep.contract.warning import DataWarning
from vitalprep.storage import Storage

__all__ = [
    "CaseCounts",
    "Feature",
    "InputFeature",
    "Metadata",
    "Shapes",
    "SplitCounts",
    "TargetColumn",
    "read_metadata",
]


class _Part(Schema):
    """A part of the metadata. Other versions may have more keys, which are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Feature(_Part):
    """One column of an array.

    Attributes
    ----------
    name : str
    unit : str
        Of clinical values.
    range : tuple of float
        What -1 and +1 stand for, in `unit`.
    default : float
        What stands, in `unit` and before clipping, where nothing was measured.
    """

    name: str
    unit: str
    range: tuple[float, float]
    default: float


class InputFeature(Feature):
    """One input; `hold` (s) is how long its last value is carried forward."""

    hold: int


class TargetColumn(_Part):
    """One output: a column of `target`, and the input whose unit and range it has."""

    name: str
    input: str


class CaseCounts(_Part):
    """What became of the requested cases."""

    requested: int
    present: int
    written: int
    excluded: dict[str, int]
    success_rate: float


class Shapes(_Part):
    """Shapes of a record's arrays."""

    timeseries: tuple[int, int]
    static: tuple[int]
    target: tuple[int]


class SplitCounts(_Part):
    """What a split holds.

    Attributes
    ----------
    cases, subjects, windows : int
        Those that were written.
    windows_unobserved, windows_dropped, windows_without_vital : int, optional
        Windows left out in which too few inputs were observed, and those observed too little; written windows without
        an observed vital sign.
    files : tuple
    statistics : dict
        Of each input, over the seconds of the split's cases.
    targets : dict, optional
        Windows by target and origin.
    """

    cases: int
    subjects: int
    windows: int
    windows_unobserved: int | None = Field(default=None, exclude_if=lambda count: count is None)
    windows_dropped: int | None = Field(default=None, exclude_if=lambda count: count is None)
    windows_without_vital: int | None = Field(default=None, exclude_if=lambda count: count is None)
    files: tuple[FileSummary, ...]
    statistics: dict[str, dict[str, float | int | None]] = Field(default_factory=dict)
    targets: dict[str, dict[str, int]] = Field(default_factory=dict, exclude_if=lambda targets: not targets)


class _Windowing(_Part):
    """Sizes in seconds."""

    window: int
    step: int
    target_horizon: int


class _Output(_Part):
    """Form of the files."""

    compression: Literal["none", "gzip"]


def _is_even(content: Any) -> bool:
    """Whether every list holds either mappings alone or none, as a configuration's do."""
    if isinstance(content, dict):
        return all(map(_is_even, content.values()))
    if isinstance(content, list):
        return len({isinstance(item, dict) for item in content}) < 2 and all(map(_is_even, content))
    return True


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    if not _is_even(content):
        raise ValueError("a list holds mappings and other values")
    return content


def _with_inputs(content: dict[str, Any]) -> dict[str, Any]:
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) and "range" in item for item in inputs
    ):
        raise ValueError("its inputs have no names and ranges")
    return content


_Settings = Annotated[dict[str, Any], AfterValidator(_settings)]


class Metadata(Document):
    """A data set's metadata. It holds nothing that differs between two runs (no times, hosts or locations).

    `content_id` is that of the records and ``features.json``; data sets of vitalprep 0.1.0 have none. `name` is the one
    that the user gave. `parents` are the data sets that this one was appended to, the first one first. `source` says
    where the recordings come from, `clinical_table` has the digest of a clinical table that does not lie beside the
    recordings. `gaps` says how gaps were filled and what that means for the data. `rejected` has, for each input and
    source, the records that were not used in the written cases, by what they were rejected for. `config` is the settled
    configuration without the thresholds of validation, of whatever version.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    dataset_id: str
    content_id: ContentId | None = Field(default=None, exclude_if=lambda value: value is None)
    name: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    harmonize_digest: Digest
    parents: tuple[Digest, ...] = ()
    versions: _Settings
    cases: CaseCounts
    shapes: Shapes
    origin_codes: dict[str, str]
    inputs: tuple[InputFeature, ...]
    statics: tuple[Feature, ...]
    targets: tuple[TargetColumn, ...]
    splits: dict[SplitName, SplitCounts]
    warnings: tuple[DataWarning, ...] | None = None
    gaps: str | None = Field(default=None, exclude_if=lambda value: value is None)
    rejected: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict, exclude_if=lambda found: not found)
    source: _Settings | None = None
    clinical_table: dict[str, str] | None = Field(default=None, exclude_if=lambda value: value is None)
    config: Annotated[_Settings, AfterValidator(_with_inputs)]

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        self.windowing, self.compression  # noqa: B018  raise for settings without which no record can be read
        return self

    @property
    def code_versions(self) -> dict[str, Any]:
        """Versions of the code whose change gives other tables or records: `harmonize` and `build`."""
        return {name: self.versions.get(name) for name in ("harmonize", "build")}

    @cached_property
    def provenance(self) -> SettledProvenance | None:
        """Where the recordings come from; None where the metadata do not say it, or in another version's way."""
        try:
            return SettledProvenance.model_validate(self.source)
        except ValidationError:
            return None

    @cached_property
    def windowing(self) -> _Windowing:
        """Sizes of windows, in seconds."""
        return _Windowing.model_validate(self.config.get("windowing"))

    @cached_property
    def compression(self) -> Literal["none", "gzip"]:
        """How the files are compressed."""
        return _Output.model_validate(self.config.get("output")).compression

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored: indented, keys in the order above, for people to read."""
        return (json.dumps(self.content(), indent=2) + "\n").encode()


def read_metadata(output: Storage, dataset_id: str) -> Metadata | None:
    """Return the metadata of an output's data set, or None where it is not published."""
    path = dataset_path(dataset_id, METADATA)
    return Metadata.from_storage(output, path)
