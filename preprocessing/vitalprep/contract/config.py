"""The settled configuration: the feature registry and the options, as frozen and validated models.

The defaults are data and stand in ``master_poc.yaml``; this module says what may stand there. `config_file` reads it.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from vitalprep.contract.document import Schema
from vitalprep.contract.provenance import KnownProvenance, Provenance

__all__ = [
    "Config",
    "Conversion",
    "IdealBodyWeight",
    "Input",
    "Output",
    "Source",
    "Split",
    "Static",
    "Target",
    "Windowing",
]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"the range [{bounds[0]:g}, {bounds[1]:g}] is upside down or empty")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]


class Dose(Schema):
    """A drug's concentration in the syringe, in mg/mL or ug/mL."""

    concentration: PositiveFloat


class Conversion(Schema):
    """How a source's value becomes the feature's unit: exactly one of the four."""

    factor: PositiveFloat | None = None
    per_kg_h: Dose | None = None
    per_kg_min: Dose | None = None
    per_kg_ibw: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.factor, self.per_kg_h, self.per_kg_min, self.per_kg_ibw]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a conversion is exactly one of factor, per_kg_h, per_kg_min, per_kg_ibw")
        return self


class Source(Schema):
    """One track that can supply an input.

    `limits` are the device's range in the file's own unit and drop what lies outside; `stale_after` is in seconds.
    """

    track: str = Field(pattern=r"^[^/]+/.+$")
    unit: str
    conversion: Conversion | None = None
    limits: Range
    stale_after: PositiveInt


class Input(Schema):
    """One time series: `range` normalizes, `hold` (s) is how long the last value outlives the last observation."""

    name: str
    description: str = ""
    unit: str
    range: Range
    default: float
    hold: int = Field(ge=0)
    vital: bool = False
    combine: Literal["first", "sum"] = "first"
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _units_convert(self) -> Self:
        for source in self.sources:
            if source.conversion is None and source.unit != self.unit:
                raise ValueError(
                    f"sources.{source.track}: unit {source.unit!r} has no conversion to {self.unit!r}; add one"
                )
        return self


class Static(Schema):
    """One column of the clinical table."""

    name: Literal["age", "sex", "height", "weight", "bmi", "asa"]
    unit: str
    range: Range
    default: float


class Target(Schema):
    """One output: the value of `input`, `target_horizon` seconds after the window."""

    name: str
    input: str


class IdealBodyWeight(Schema):
    """Devine's formula, in kg, kg/cm and cm."""

    male_base: PositiveFloat
    female_base: PositiveFloat
    slope: PositiveFloat
    reference_height: PositiveFloat


class Reading(Schema):
    """Limits of the reader."""

    max_decompressed_bytes: PositiveInt


class Imputation(Schema):
    """`causal`: treat every gap like the last one, so that no sample depends on the future."""

    causal: bool


class Windowing(Schema):
    """Sizes in seconds."""

    window: PositiveInt
    step: PositiveInt
    target_horizon: int = Field(ge=0)
    min_observed_fraction: float = Field(ge=0, le=1)


class Split(Schema):
    """Shares of the cases; what train and validation leave is test."""

    seed: int
    train: float = Field(gt=0, lt=1)
    validation: float = Field(ge=0, lt=1)
    allow_empty: bool

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.train + self.validation > 1:
            raise ValueError(f"train {self.train:g} + validation {self.validation:g} is more than 1")
        return self


class Output(Schema):
    """Form of the TFRecord files; `shard_mb` in 10^6 bytes of records."""

    layout: Literal["sharded", "single"]
    shard_mb: PositiveFloat
    compression: Literal["none", "gzip"]


class Validation(Schema):
    """What a data set must reach to be published."""

    min_success_rate: float = Field(ge=0, le=1)
    min_windows: int = Field(ge=0)


class Privacy(Schema):
    """`hash_subjects`: records carry a salted hash in place of the subject id."""

    hash_subjects: bool


class Config(Schema):
    """The whole configuration of one data set.

    `source` says where the recordings come from, where the user states it; it decides nothing but what is said of them.
    """

    schema_version: Literal[1]
    units: dict[str, tuple[str, ...]]
    ideal_body_weight: IdealBodyWeight
    inputs: tuple[Input, ...] = Field(min_length=1)
    statics: tuple[Static, ...] = Field(min_length=1)
    targets: tuple[Target, ...] = Field(min_length=1)
    reading: Reading
    imputation: Imputation
    windowing: Windowing
    split: Split
    output: Output
    validation: Validation
    privacy: Privacy
    source: KnownProvenance | Provenance | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        _refuse_twice("inputs", [item.name for item in self.inputs])
        _refuse_twice("statics", [item.name for item in self.statics])
        _refuse_twice("targets", [item.name for item in self.targets])
        _refuse_twice("inputs: source", [source.track for item in self.inputs for source in item.sources])
        missing = {"height", "weight", "sex"} - {item.name for item in self.statics}
        if missing:
            raise ValueError(f"statics: {', '.join(sorted(missing))} is missing; doses and tidal volumes need it")
        for item in self.inputs:
            for source in item.sources:
                if source.unit not in self.units:
                    raise ValueError(
                        f"inputs.{item.name}.sources.{source.track}.unit: {source.unit!r} has no entry in units"
                    )
        for target in self.targets:
            if target.input not in {item.name for item in self.inputs}:
                raise ValueError(f"targets.{target.name}.input: there is no input {target.input!r}")
        return self

    def accepted_units(self, source: Source) -> tuple[str, ...]:
        """Return the spellings under which a source's unit stands in real files."""
        return self.units[source.unit]

    def static_default(self, name: str) -> float:
        """Return the default of one static, in its unit."""
        return next(item.default for item in self.statics if item.name == name)

    def features(self) -> list[dict[str, Any]]:
        """Return the inputs as ``vitalprep config --json`` prints them (DESIGN 6)."""
        return [
            {
                "name": item.name,
                "unit": item.unit,
                "range": list(item.range),
                "default": item.default,
                "hold": item.hold,
                "combine": item.combine,
                "sources": [
                    {
                        "track": source.track,
                        "units": list(self.accepted_units(source)),
                        "conversion": source.conversion.model_dump(exclude_none=True) if source.conversion else None,
                        "limits": list(source.limits),
                        "stale_after": source.stale_after,
                    }
                    for source in item.sources
                ],
            }
            for item in self.inputs
        ]


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]!r} stands twice")
