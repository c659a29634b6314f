"""``preprocessing_metadata.json`` as loading reads it: the keys it needs, whatever others there are."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.document import Document, Model
from vitalprep.contract.paths import SplitName

__all__ = ["Feature", "Metadata"]


class _Part(Model):
    """A part of the metadata, of which loading needs some keys."""

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


class Target(_Part):
    """One output: a column of `target`, and the input whose unit and range it has."""

    name: str
    input: str


class SplitCounts(_Part):
    """What a split holds."""

    cases: int
    subjects: int
    windows: int
    files: tuple[FileSummary, ...]


class Windowing(_Part):
    """Sizes in seconds."""

    window: int
    step: int
    target_horizon: int


class Output(_Part):
    """Form of the files."""

    compression: Literal["none", "gzip"]


class Config(_Part):
    """Of the settled configuration, what tells how to read."""

    windowing: Windowing
    output: Output


class Metadata(Document):
    """The keys of ``preprocessing_metadata.json`` that loading needs; others are for other readers."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    dataset_id: str
    inputs: tuple[Feature, ...]
    statics: tuple[Feature, ...]
    targets: tuple[Target, ...]
    splits: dict[SplitName, SplitCounts]
    config: Config
