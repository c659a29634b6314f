"""Figures behind an estimate: prices, assumptions and the measured machine, each with unit, source and date.

They are data and stand in ``prices.yaml`` and ``machine.yaml``; a user's file is laid over both.
"""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, ValidationError

from vitalprep.contract.document import Schema
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.region import DEFAULT_REGION
from vitalprep.runtime.strict_yaml import yaml_content
from vitalprep.storage import read_uri

__all__ = [
    "Architecture",
    "Backend",
    "Figure",
    "Figures",
    "Machine",
    "Rates",
    "Stage",
    "Storing",
    "load_figures",
    "priced_regions",
]

Architecture = Literal["X86_64", "ARM64"]
Stage = Literal["plan", "harmonize", "build", "publish", "validate"]

_DEFAULTS = ("prices.yaml", "machine.yaml")
MOST_BYTES = 10**6  # the packaged figures have some KB
_FIX = "compare with preprocessing/vitalprep/cost/prices.yaml and machine.yaml."


class Figure(Schema):
    """A number of 0 or more. `as_of` is None for a number from the user."""

    value: NonNegativeFloat
    unit: str
    source: str
    as_of: date | None = None


class PositiveFigure(Figure):
    """A number above 0."""

    value: PositiveFloat


class Share(Figure):
    """A number from 0 to below 1."""

    value: float = Field(ge=0, lt=1)


class Recordings(Schema):
    """Size of a recorded minute, with and without waves, and plausible durations of an operation."""

    waves: PositiveFigure
    numeric_only: PositiveFigure
    shortest: Figure
    longest: PositiveFigure
    harmonized: Figure


class Tasks(Schema):
    """Size of tasks."""

    shard_minutes: PositiveFigure


class Storing(Schema):
    """Prices and speed of S3."""

    storage_gb_month: Figure
    thousand_writes: Figure
    thousand_reads: Figure
    transfer_gb: Figure
    stream_mb_s: PositiveFigure
    request_seconds: Figure


class OneTask(Schema):
    """The task that does a whole run: its size, and what its disk costs beside what Fargate includes."""

    label: str
    vcpus: PositiveFigure
    memory_gb: PositiveFigure
    disk_hour: Figure


class ArmPrices(Schema):
    """Prices of vCPU and memory on ARM."""

    vcpu_hour: Figure
    memory_gb_hour: Figure


class Backend(Schema):
    """A backend: size of its tasks, price of an hour, and cost of starting a task.

    `machine` is the type that `machine_hour` is the price of, where machines are what is billed. `arm` is None where
    the worker does not run on ARM.
    """

    label: str
    machine: str = ""
    vcpus: PositiveFigure
    memory_gb: PositiveFigure
    speed: PositiveFigure
    vcpu_hour: Figure
    memory_gb_hour: Figure
    machine_hour: Figure
    discount: Share
    extra_hour: Figure
    redone: Figure
    start_seconds: Figure
    billed_start_seconds: Figure
    minimum_seconds: Figure
    arm: ArmPrices | None = None

    def on(self, architecture: Architecture) -> Backend | None:
        """Return the backend with an architecture's prices; None if it has none."""
        if architecture == "X86_64":
            return self
        if self.arm is None:
            return None
        prices = {"vcpu_hour": self.arm.vcpu_hour, "memory_gb_hour": self.arm.memory_gb_hour}
        return self.model_copy(update={"label": f"{self.label}, ARM", **prices})

    @property
    def hour(self) -> float:
        """Price of one hour of a task, in USD."""
        listed = (
            self.vcpus.value * self.vcpu_hour.value
            + self.memory_gb.value * self.memory_gb_hour.value
            + self.machine_hour.value
        )
        return listed * (1 - self.discount.value) + self.extra_hour.value

    @property
    def priced(self) -> date | None:
        """Date of the oldest price that is not 0; None if the user gave one of them."""
        prices = (self.vcpu_hour, self.memory_gb_hour, self.machine_hour, self.extra_hour)
        dates = [price.as_of for price in prices if price.value]
        known = [day for day in dates if day is not None]
        return min(known) if known and len(known) == len(dates) else None


class Rates(Schema):
    """CPU seconds of one stage: per case, per MB read, per recorded hour, per GB of records."""

    per_case: NonNegativeFloat = 0.0
    per_mb_in: NonNegativeFloat = 0.0
    per_hour: NonNegativeFloat = 0.0
    per_gb_out: NonNegativeFloat = 0.0


class Machine(Schema):
    """The machine whose CPU seconds the estimate counts. `process_seconds`: what starting one process takes."""

    cpu: str
    measured: date
    how: str
    process_seconds: NonNegativeFloat
    stages: dict[Stage, Rates]


class Figures(Schema):
    """All figures."""

    region: str
    recordings: Recordings
    tasks: Tasks
    s3: Storing
    one_task: OneTask
    backends: dict[str, Backend] = Field(min_length=1)
    machine: Machine

    @property
    def runner(self) -> Backend:
        """Fargate on demand with the size of the task that does a whole run."""
        fargate, one = self.backends["fargate"], self.one_task
        extra = fargate.extra_hour.value + one.disk_hour.value
        changed = {"label": one.label, "vcpus": one.vcpus, "memory_gb": one.memory_gb}
        return fargate.model_copy(
            update=changed | {"extra_hour": fargate.extra_hour.model_copy(update={"value": extra})}
        )


def load_figures(file: str | None = None, region: str = DEFAULT_REGION) -> Figures:
    """Return the figures, with the user's file laid over the defaults.

    Parameters
    ----------
    file : str, optional
        Path or URI of a YAML file laid over the defaults, key by key; a number alone keeps the default's unit.
    region : str
        Region to price, unless the file names one. One without prices of its own gets those of the default region.

    Raises
    ------
    UsageError
        Naming the file that cannot be read, or the key that is unknown, missing, negative or no number.
    """
    content = _defaults()
    regions = content.pop("regions")
    given = _parsed(_read(file), file) if file else {}
    priced = str(given.get("region", region))
    if priced in regions:
        content = _laid_over(content, {"region": priced} | regions[priced], _DEFAULTS[0])
    if file:
        content = _laid_over(content, given, file)
    try:
        return Figures.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = "this key is unknown" if first["type"] == "extra_forbidden" else str(first["msg"])
        raise UsageError(f"{file or 'The figures'}: {key}: {problem[0].lower()}{problem[1:]}.", fix=_FIX) from error


def priced_regions() -> list[str]:
    """Return the regions that there are prices of, the default one first."""
    content = _defaults()
    return [content["region"], *content["regions"]]


def _defaults() -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name in _DEFAULTS:
        content |= _parsed(files("vitalprep.cost").joinpath(name).read_bytes(), name)
    return content


def _read(file: str) -> bytes:
    try:
        return read_uri(file, most=MOST_BYTES)
    except RefusedError as error:
        raise UsageError(
            f"The prices {file} cannot be read: {error.message}", fix="check the path after --prices."
        ) from error


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    content = yaml_content(data, name)
    if not isinstance(content, dict):
        raise UsageError(f"{name} is not a mapping of figures.", fix=_FIX)
    return content


def _laid_over(base: Any, over: Any, file: str) -> Any:
    """Lay a user's value over a default. A figure keeps only the default's unit: its source was the default's."""
    if not isinstance(base, dict):
        return over
    if "value" in base and "unit" in base:
        figure = {"unit": base["unit"], "source": file}
        return figure | (over if isinstance(over, dict) else {"value": over})
    if not isinstance(over, dict):
        return over
    return base | {key: _laid_over(base.get(key), value, file) for key, value in over.items()}
