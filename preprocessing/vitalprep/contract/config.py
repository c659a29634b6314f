"""The settled configuration: the feature registry and the options, as frozen and validated models.

The defaults are data and stand in ``master_poc.yaml``; this module says what may stand there. `config_file` reads it.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from vitalprep.contract import float32
from vitalprep.contract.condition import CellText, Condition, refuse_ambiguous, source_name
from vitalprep.contract.document import Schema
from vitalprep.contract.provenance import KnownProvenance, Provenance

__all__ = [
    "BODY",
    "MOST_DAYS",
    "PERSON",
    "BodyDefaults",
    "Config",
    "ConfigError",
    "Conversion",
    "IdealBodyWeight",
    "Input",
    "Measure",
    "Output",
    "Pulse",
    "Reading",
    "Source",
    "Split",
    "Static",
    "Target",
    "Windowing",
]

Measure = Literal["age", "sex", "height", "weight", "bmi", "asa"]
"""The columns of VitalDB's clinical table whose cells have a meaning of their own; any other column holds numbers."""
PERSON: tuple[Measure, ...] = ("age", "sex", "height", "weight")
"""What is read of every patient, whether or not it is a static."""
BODY: tuple[Measure, ...] = ("height", "sex", "weight")
"""What doses and tidal volumes depend on."""
_BODY_UNITS = {"height": "cm", "sex": "-1 female, 1 male", "weight": "kg"}
_IDENTIFIERS = ("caseid", "subjectid")
_FILES = "file"  # column of the recordings' paths
MOST = 2**63 - 1  # int64
MOST_SECONDS = 10**9  # 31 years
MOST_DAYS = 366
TRACK = r"^[^/]*/.+$"
NARROWEST = 2.0**-20  # smallest width of a range relative to its bounds; a float32 has 24 bits


class ConfigError(ValueError):
    """A configuration that cannot be used, with what to do about it; `key` where the location alone does not say it."""

    def __init__(self, message: str, *, fix: str, key: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix
        self.key = key


def _folded(name: str) -> str:
    return name.strip().lower()


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"the range [{bounds[0]:g}, {bounds[1]:g}] is upside down or empty")
    return bounds


def _wide_enough(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if None in (float32.held(low), float32.held(high), float32.held(high - low)) or high - low < NARROWEST * max(
        abs(low), abs(high)
    ):
        raise ValueError(f"the range [{low:g}, {high:g}] is too narrow or too wide to normalize in float32")
    return bounds


Limits = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""A device's or column's limits: what lies outside is dropped."""
Range = Annotated[Limits, AfterValidator(_wide_enough)]
"""A normalization range."""


class Dose(Schema):
    """A drug's concentration in the syringe, in mg/mL or ug/mL."""

    concentration: PositiveFloat


class Conversion(Schema):
    """Conversion from a source's unit to the feature's unit: exactly one of the four kinds.

    `offset`, in the input's unit, is added after the multiplication with `factor`.
    """

    factor: PositiveFloat | None = None
    offset: float | None = Field(default=None, exclude_if=lambda value: value is None)
    per_kg_h: Dose | None = None
    per_kg_min: Dose | None = None
    per_kg_ibw: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.factor, self.per_kg_h, self.per_kg_min, self.per_kg_ibw]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a conversion is exactly one of factor, per_kg_h, per_kg_min, per_kg_ibw")
        if self.offset is not None and self.factor is None:
            raise ValueError("an offset goes with a factor; write factor: 1 where there is nothing to multiply")
        return self

    @property
    def depends_on(self) -> tuple[Measure, ...]:
        """What it needs to know of the patient."""
        if self.per_kg_ibw:
            return BODY
        return ("weight",) if self.per_kg_h or self.per_kg_min else ()


class Pulse(Schema):
    """What a pressure must show in a second to be used: the pressures of a beat, `at_least` apart in the file's unit.

    `high` and `low` are the tracks of the systolic and the diastolic pressure. An open or flushed line has no pulse.
    """

    high: str = Field(pattern=TRACK)
    low: str = Field(pattern=TRACK)
    at_least: PositiveFloat


class Source(Schema):
    """One track that can supply an input.

    `track` is ``Device/NAME``, or ``/NAME`` for a track without a device. `limits` are the device's range in the file's
    own unit and drop what lies outside; `stale_after` is in seconds. `where` restricts it to some cases.
    """

    track: str = Field(pattern=TRACK)
    unit: str
    conversion: Conversion | None = None
    limits: Limits
    stale_after: int = Field(gt=0, le=MOST_SECONDS)
    pulse: Pulse | None = Field(default=None, exclude_if=lambda value: value is None)
    where: Condition | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def name(self) -> str:
        """The track, with the cell on which the source depends."""
        return source_name(self.track, self.where.content()) if self.where else self.track


class Input(Schema):
    """One time series: `range` normalizes, `hold` (s) is how long the last value outlives the last observation."""

    name: str
    description: str = ""
    unit: str
    range: Range
    default: float
    hold: int = Field(ge=0, le=MOST_SECONDS)
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

    @model_validator(mode="after")
    def _adds_up_pumps(self) -> Self:
        """Sources of two columns can apply at once, as where two pumps give one drug: none of them may be lost."""
        columns = dict.fromkeys(source.where.column for source in self.sources if source.where)
        if self.combine == "first" and len(columns) > 1:
            raise ConfigError(
                f"its sources depend on the columns {', '.join(columns)}, and `first` would lose all but one of a case "
                "in which several apply",
                fix="write combine: sum.",
                key=f"inputs.{self.name}.combine",
            )
        return self


class Static(Schema):
    """One entry of `static`: a column of the clinical table.

    `column` is the column's name, without regard to case; it is left out where it is the name of the static. `limits`
    drop a value: the record then holds the default. `range` normalizes and clips.
    """

    name: str = Field(min_length=1)
    column: str | None = Field(default=None, min_length=1, exclude_if=lambda value: value is None)
    unit: str
    limits: Limits | None = Field(default=None, exclude_if=lambda value: value is None)
    range: Range
    default: float

    @model_validator(mode="before")
    @classmethod
    def _as_one_form(cls, content: Any) -> Any:
        """Refuse what cannot be built yet, and leave out a column that repeats the name: one data set has one id."""
        if not isinstance(content, dict):
            return content
        if "levels" in content:
            raise ConfigError(
                "levels (one-hot) cannot be built yet; a static is a number with unit, range and default",
                fix="leave the static out, or give a column of numbers with unit, range and default.",
            )
        name, column = content.get("name"), content.get("column")
        if isinstance(name, str) and isinstance(column, str) and _folded(column) == _folded(name):
            return {key: value for key, value in content.items() if key != "column"}
        return content

    @model_validator(mode="after")
    def _is_no_identifier(self) -> Self:
        if self.table_column in _IDENTIFIERS:
            raise ConfigError(
                f"the column {self.table_column} says who the patient is; it cannot be a static",
                fix="give another column; records carry case_id and subject_id of their own.",
            )
        if self.table_column == _FILES:
            raise ConfigError(
                f"the column {_FILES} says where the recordings are; it cannot be a static", fix="give another column."
            )
        return self

    @property
    def table_column(self) -> str:
        """The column's name as tables are searched for it: in lower case, without blanks around it."""
        return _folded(self.column or self.name)

    @property
    def measure(self) -> Measure | None:
        """What the static is of those columns whose cells have a meaning of their own, by its name, else its column."""
        measures: tuple[Measure, ...] = get_args(Measure)
        return next(
            (measure for name in (self.name, self.table_column) for measure in measures if measure == name), None
        )


class BodyDefaults(Schema):
    """What stands for a height (cm), weight (kg) or sex (-1 female, 1 male) that no static gives a default for."""

    height: PositiveFloat | None = Field(default=None, exclude_if=lambda value: value is None)
    weight: PositiveFloat | None = Field(default=None, exclude_if=lambda value: value is None)
    sex: float | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _is_a_sex(self) -> Self:
        if self.sex not in (None, -1, 1):
            raise ConfigError(f"{self.sex:g} is not a sex", fix="write -1 for female or 1 for male.", key="body.sex")
        return self


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
    """How recordings are read. What vitalprep 0.1.0 did stands for a key that is left out.

    Attributes
    ----------
    max_decompressed_bytes : int
        Larger recordings are ``too_large``.
    start_tolerance : int, optional
        In seconds. The header's start time counts only if a record lies at most that much later, and times at or below
        0 are dropped where none lies that close above 0. Left out, the header's start time always counts.
    max_days : float, optional
        Longer recordings are ``too_long``. Left out, 7 days.
    clock_set_back : str
        ``exclude`` a case whose clock was set back, or ``merge`` its records by time.
    salvage : bool
        Use an unfinished recording up to its last whole packet.
    """

    max_decompressed_bytes: int = Field(gt=0, le=MOST)
    start_tolerance: int | None = Field(default=None, ge=0, le=MOST_SECONDS, exclude_if=lambda value: value is None)
    max_days: float | None = Field(default=None, gt=0, le=MOST_DAYS, exclude_if=lambda value: value is None)
    clock_set_back: Literal["exclude", "merge"] = Field(default="merge", exclude_if=lambda value: value == "merge")
    salvage: bool = Field(default=False, exclude_if=lambda value: not value)


class Imputation(Schema):
    """`causal`: fill every gap for `hold` seconds only, so that no sample depends on the future."""

    causal: bool


class Windowing(Schema):
    """Sizes in seconds, and which windows are kept.

    Attributes
    ----------
    min_observed_inputs : int
        Inputs that have an observed second in the window; windows with fewer are ``unobserved``. 0 keeps all.
    min_observed_fraction : float
        Share of the window's samples of the vital signs that are observed; windows below it are dropped.
    min_target_observed : float
        Share of the window's targets that are observed; windows below it are dropped.
    """

    window: int = Field(gt=0, le=MOST_SECONDS)
    step: int = Field(gt=0, le=MOST_SECONDS)
    target_horizon: int = Field(ge=0, le=MOST_SECONDS)
    min_observed_inputs: int = Field(default=0, ge=0, le=MOST_SECONDS, exclude_if=lambda value: not value)
    min_observed_fraction: float = Field(ge=0, le=1)
    min_target_observed: float = Field(default=0, ge=0, le=1, exclude_if=lambda value: not value)

    @property
    def demands(self) -> tuple[str, ...]:
        """What a window must have observed to be kept, in words."""
        inputs = self.min_observed_inputs
        said = (
            (inputs, f"at least {inputs} input{'s' if inputs > 1 else ''}"),
            (self.min_observed_fraction, f"at least {self.min_observed_fraction:.0%} of the vital signs' samples"),
            (self.min_target_observed, f"at least {self.min_target_observed:.0%} of the targets"),
        )
        return tuple(text for wanted, text in said if wanted)


class Split(Schema):
    """Shares of the cases; the rest is test."""

    seed: int = Field(ge=-MOST, le=MOST)
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
    """Thresholds that a data set must reach to be published."""

    min_success_rate: float = Field(ge=0, le=1)
    min_windows: int = Field(ge=0, le=MOST)


class Privacy(Schema):
    """`hash_subjects`: records carry a salted hash in place of the subject id."""

    hash_subjects: bool


class Config(Schema):
    """The complete configuration of one data set.

    `source` states where the recordings come from. It affects documentation only, never the data. `ignored_cells` are
    texts of cells that no source's `where` maps, and that are accepted all the same.
    """

    schema_version: Literal[1]
    units: dict[str, tuple[str, ...]]
    ideal_body_weight: IdealBodyWeight
    inputs: tuple[Input, ...] = Field(min_length=1)
    statics: tuple[Static, ...] = Field(min_length=1)
    body: BodyDefaults | None = Field(default=None, exclude_if=lambda value: value is None)
    targets: tuple[Target, ...] = Field(min_length=1)
    reading: Reading
    imputation: Imputation
    windowing: Windowing
    split: Split
    output: Output
    validation: Validation
    privacy: Privacy
    ignored_cells: tuple[CellText, ...] = Field(default=(), exclude_if=lambda value: not value)
    source: KnownProvenance | Provenance | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        _refuse_twice("inputs", [item.name for item in self.inputs])
        _refuse_twice("statics", [item.name for item in self.statics])
        _refuse_twice("targets", [item.name for item in self.targets])
        refuse_ambiguous((source.track, source.where) for item in self.inputs for source in item.sources)
        for item in self.inputs:
            for source in item.sources:
                if source.unit not in self.units:
                    raise ValueError(
                        f"inputs.{item.name}.sources.{source.track}.unit: {source.unit!r} has no entry in units"
                    )
        if self.windowing.min_observed_inputs > len(self.inputs):
            raise ConfigError(
                f"{self.windowing.min_observed_inputs} inputs cannot be observed: there are {len(self.inputs)}",
                fix="demand fewer, or 0 for none.",
                key="windowing.min_observed_inputs",
            )
        mapped = {source.where.value for item in self.inputs for source in item.sources if source.where}
        if both := sorted(mapped.intersection(self.ignored_cells)):
            raise ConfigError(
                f"a source maps {both[0]!r}", fix="leave it out, or remove the source.", key="ignored_cells"
            )
        for target in self.targets:
            if target.input not in {item.name for item in self.inputs}:
                raise ConfigError(
                    f"there is no input {target.input!r}",
                    fix=f"give it another input, or remove it: targets: [{{name: {target.name}, remove: true}}].",
                    key=f"targets.{target.name}.input",
                )
        return self

    @model_validator(mode="after")
    def _body_has_defaults(self) -> Self:
        """Each of height, weight and sex has its default in one place: the static of that name, or `body`."""
        statics = {item.name for item in self.statics}
        for name in BODY:
            given = getattr(self.body, name, None)
            if given is None and name not in statics:
                raise ConfigError(
                    "it has no default, which doses and tidal volumes take where the clinical table gives none",
                    fix=f"set body.{name} ({_BODY_UNITS[name]}), or add a static {name} with a default.",
                    key=f"body.{name}",
                )
            if given is not None and name in statics:
                raise ConfigError(
                    f"statics.{name}.default gives this default already",
                    fix=f"set statics.{name}.default, and leave body.{name} out.",
                    key=f"body.{name}",
                )
        return self

    @cached_property
    def target_columns(self) -> list[int]:
        """The place of each target's input among the inputs."""
        names = [item.name for item in self.inputs]
        return [names.index(target.input) for target in self.targets]

    def accepted_units(self, source: Source) -> tuple[str, ...]:
        """Return the spellings under which a source's unit stands in real files."""
        return self.units[source.unit]

    def body_default(self, name: str) -> float:
        """Return the height (cm), weight (kg) or sex (-1 female, 1 male) of a patient of whom it is not known."""
        given: float | None = getattr(self.body, name, None)
        return next(item.default for item in self.statics if item.name == name) if given is None else given

    def needed_by(self, measure: str) -> str | None:
        """Return the key of the first conversion that depends on a patient's height, weight or sex, or None."""
        for item in self.inputs:
            for source in item.sources:
                if source.conversion and measure in source.conversion.depends_on:
                    return f"inputs.{item.name}.sources.{source.name}.conversion"
        return None

    def features(self) -> list[dict[str, Any]]:
        """Return the inputs as ``vitalprep config --json`` prints them (docs/design.md, 6)."""
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
                        **({"pulse": source.pulse.model_dump()} if source.pulse else {}),
                        **({"where": source.where.model_dump()} if source.where else {}),
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
