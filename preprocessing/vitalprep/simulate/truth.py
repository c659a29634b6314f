"""The truth of a simulated case: what is measured, held or missing at each second, and the patient's true values.

An independent implementation of harmonization and imputation, applied to the data written to the file. It shares only
the registry of signals with the pipeline, so that tests can compare both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vitalprep.contract.config import Config, Input, Source
from vitalprep.simulate.course import Floats, Quantity
from vitalprep.simulate.signals import NumericTrack

__all__ = ["HELD", "MEASURED", "MISSING", "Body", "WrittenCase", "body_of", "case_truth", "write_truth"]

MEASURED, HELD, MISSING = 0, 1, 2  # origins of a value

Seconds: TypeAlias = npt.NDArray[np.int64]
Singles: TypeAlias = npt.NDArray[np.float32]
Origins: TypeAlias = npt.NDArray[np.uint8]

_TOLERANCE: Final = 0.001  # s; a time stamp less than this before a second belongs to that second

# The patient's quantity for each signal, in the unit of the signal's sources.
_QUANTITIES: Final[Mapping[str, Quantity]] = {
    "HR": "hr",
    "BP_SYS": "sbp",
    "BP_DIA": "dbp",
    "BP_MAP": "mbp",
    "SPO2": "spo2",
    "ETCO2": "etco2",
    "BIS": "bis",
    "Propofol_INF": "propofol",
    "Remifentanil_INF": "remifentanil",
    "Noradrenalin_INF": "noradrenaline",
    "TV": "tv",
    "PEEP": "peep",
    "FIO2": "fio2",
    "RR": "rr",
    "etSEV": "exp_sevo",
    "inSev": "insp_sevo",
}


@dataclass(frozen=True, kw_only=True)
class WrittenCase:
    """The data written to a file.

    Attributes
    ----------
    start : float
        The recording's start in Unix seconds. The times of `numerics` are relative to it.
    start_in_header : bool
        Whether the file header contains the start; a header of 10 bytes is too short for it.
    numerics : sequence of NumericTrack
        In file order. Tracks may share a name, and records a time stamp.
    wave_span : tuple of float, optional
        Unix seconds of the first and the last sample of all waves; None without waves.
    """

    start: float
    start_in_header: bool
    numerics: Sequence[NumericTrack]
    wave_span: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Body:
    """The weights in kg by which doses and tidal volumes are divided."""

    weight: float
    ideal_weight: float


@dataclass(frozen=True)
class _Records:
    """A source's plausible records in order: their `seconds` (n,) and converted `values` (n,)."""

    seconds: Seconds
    values: Floats


@dataclass(frozen=True)
class _Clock:
    """`zero` is the Unix time at which second 0 begins; `count` is the number of seconds."""

    zero: float
    count: int

    def seconds(self, times: Floats) -> Seconds:
        """Return the second of each of the Unix times (n,)."""
        return np.floor(times - self.zero + _TOLERANCE).astype(np.int64)


def body_of(config: Config, *, sex: str | None, height: float | None, weight: float | None) -> Body:
    """Return a patient's weights. Missing or non-positive values are replaced by the registry's defaults.

    Parameters
    ----------
    config : Config
        Its `ideal_body_weight` holds the constants of Devine's formula.
    sex : {"F", "M"}, optional
    height : float, optional
        In cm.
    weight : float, optional
        In kg.
    """
    formula = config.ideal_body_weight
    male = sex == "M" if sex in ("F", "M") else config.body_default("sex") > 0
    tall = _known(height, config.body_default("height"))
    heavy = _known(weight, config.body_default("weight"))
    base = formula.male_base if male else formula.female_base
    devine = base + formula.slope * (tall - formula.reference_height)
    return Body(weight=heavy, ideal_weight=max(devine, min(heavy, base)))


def case_truth(
    config: Config,
    *,
    body: Body,
    written: WrittenCase,
    patient_values: Mapping[Quantity, Floats],
    remifentanil_ug_per_ml: float | None,
) -> pa.Table:
    """Return each signal's value, origin and true value at each second.

    Parameters
    ----------
    config : Config
        The registry of signals, and `imputation.causal`.
    body : Body
        See `body_of`.
    written : WrittenCase
        The data written to the file.
    patient_values : mapping of Quantity to ndarray of float64, shape (m,)
        The patient at 0, 1, ... m - 1 s after the recording's start: pumps in mL/h, TV in mL, PEEP in mbar, CO2 in
        mmHg, sevoflurane in kPa; NaN if there is nothing to measure.
    remifentanil_ug_per_ml : float, optional
        Remifentanil concentration in the syringe in ug/mL; None without a pump.

    Returns
    -------
    pyarrow.Table
        One row per second: `second` (int32), and for each signal `NAME` (float32, in its unit; the default if missing),
        `NAME_origin` (uint8: 0 measured, 1 held, 2 missing), and `NAME_patient` (float32, same unit; NaN if there is
        nothing to measure). A signal is missing throughout if its only source has a foreign unit.
    """
    clock = _clock(written)
    columns: dict[str, npt.NDArray[np.generic]] = {"second": np.arange(clock.count, dtype=np.int32)}
    for item in config.inputs:
        series = _harmonized(config, item, body, written, clock)
        columns[item.name], columns[f"{item.name}_origin"] = _imputed(item, series, causal=config.imputation.causal)
        real = _patient(item, body, patient_values, remifentanil_ug_per_ml)
        columns[f"{item.name}_patient"] = _on_clock(real, clock.zero - written.start, clock.count)
    return pa.Table.from_arrays([_column(values) for values in columns.values()], names=list(columns))


def write_truth(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, atomically. Equal tables give equal bytes."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        pq.write_table(table, unfinished, version="2.6", compression="zstd", compression_level=3)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _known(value: float | None, default: float) -> float:
    return value if value is not None and np.isfinite(value) and value > 0 else default


def _clock(written: WrittenCase) -> _Clock:
    """Return the clock. Second 0 is the header's start, otherwise the first record; without records, 0 seconds."""
    spans = [written.wave_span] if written.wave_span is not None else []
    for track in written.numerics:
        if len(track.times):
            spans.append((written.start + float(track.times.min()), written.start + float(track.times.max())))
    if not spans:
        return _Clock(written.start, 0)
    zero = written.start if written.start_in_header else min(first for first, _ in spans)
    last = max(last for _, last in spans)
    return _Clock(zero, max(int(np.floor(last - zero + _TOLERANCE)) + 1, 0))


def _multiplier(source: Source, body: Body) -> float:
    """Return the factor from a source's unit to its signal's unit."""
    conversion = source.conversion
    if conversion is None:
        return 1.0
    if conversion.per_kg_h is not None:
        return conversion.per_kg_h.concentration / body.weight
    if conversion.per_kg_min is not None:
        return conversion.per_kg_min.concentration / 60 / body.weight
    if conversion.per_kg_ibw:
        return 1 / body.ideal_weight
    assert conversion.factor is not None
    return conversion.factor


def _records(config: Config, source: Source, body: Body, written: WrittenCase, clock: _Clock) -> _Records:
    """Return a source's records; none if it is not recorded or one of its tracks has a foreign unit."""
    tracks = [track for track in written.numerics if f"{track.device}/{track.name}" == source.track]
    accepted = {_folded(unit) for unit in config.accepted_units(source)} | {""}
    if not tracks or any(_folded(track.unit) not in accepted for track in tracks):
        return _Records(np.empty(0, dtype=np.int64), np.empty(0))
    times = np.concatenate([written.start + track.times for track in tracks])
    values = np.concatenate([track.values for track in tracks]).astype(np.float32).astype(np.float64)  # as in the file
    order = np.argsort(times, kind="stable")  # records of one time keep the order of the file
    seconds, values = clock.seconds(times[order]), values[order]
    low, high = source.limits
    kept = np.isfinite(values) & (values >= low) & (values <= high) & (seconds >= 0)
    return _Records(seconds[kept], values[kept] * _multiplier(source, body))


def _folded(unit: str) -> str:
    return unit.strip().casefold()


def _harmonized(config: Config, item: Input, body: Body, written: WrittenCase, clock: _Clock) -> Singles:
    """Return a signal's value at each second, shape (count,), in its unit; NaN where no source is live."""
    series = np.full(clock.count, np.nan)
    for source in item.sources:
        values = _live(_records(config, source, body, written, clock), source.stale_after, clock.count)
        both = np.isfinite(series) & np.isfinite(values)
        filled = np.where(np.isfinite(series), series, values)
        series = np.where(both, series + values, filled) if item.combine == "sum" else filled
    return series.astype(np.float32)


def _live(records: _Records, stale_after: int, count: int) -> Floats:
    """Return the latest value at each second, shape (count,); NaN before the first and after `stale_after` s."""
    if not len(records.seconds):
        return np.full(count, np.nan)
    now = np.arange(count)
    latest = np.searchsorted(records.seconds, now, side="right") - 1
    live = (latest >= 0) & (now - records.seconds[latest] <= stale_after)
    return np.where(live, records.values[latest], np.nan)


def _imputed(item: Input, series: Singles, *, causal: bool) -> tuple[Singles, Origins]:
    """Impute a series (n,) with NaN. Return values and origins, both of shape (n,)."""
    observed = np.flatnonzero(np.isfinite(series))
    default = np.float32(item.default)
    if not len(observed):
        return np.full(len(series), default), np.full(len(series), MISSING, dtype=np.uint8)
    now = np.arange(len(series))
    position = np.searchsorted(observed, now, side="right") - 1
    latest = observed[position]  # meaningless before the first observation
    carried = now - latest <= item.hold
    if not causal:
        carried |= now < observed[-1]  # a gap between observations is filled, however long
    origin = np.where(carried, HELD, MISSING).astype(np.uint8)
    origin[position < 0] = MISSING
    origin[observed] = MEASURED
    return np.where(origin == MISSING, default, series[latest]), origin


def _patient(
    item: Input, body: Body, values: Mapping[Quantity, Floats], remifentanil_ug_per_ml: float | None
) -> Floats:
    """Return a signal's true values, shape (m,) at 1 Hz from the recording's start, in the signal's unit."""
    quantity = _QUANTITIES.get(item.name)
    if quantity is None or quantity not in values:
        return np.empty(0)
    sources = item.sources
    if quantity == "remifentanil":
        sources = tuple(source for source in sources if _concentration(source) == remifentanil_ug_per_ml)
    if not sources:
        return np.empty(0)
    return np.asarray(values[quantity] * _multiplier(sources[0], body))


def _concentration(source: Source) -> float | None:
    dose = source.conversion.per_kg_min if source.conversion else None
    return dose.concentration if dose else None


def _on_clock(values: Floats, zero: float, count: int) -> Singles:
    """Resample values (m,) at 1 Hz from the recording's start to a clock (count,) that begins at `zero` (s)."""
    seconds = np.floor(zero + np.arange(count) + _TOLERANCE).astype(np.int64)
    inside = (seconds >= 0) & (seconds < len(values))
    shown = np.full(count, np.nan, dtype=np.float32)
    shown[inside] = values[seconds[inside]]
    return shown


def _column(values: npt.NDArray[np.generic]) -> pa.Array:
    # From its buffer: pa.array() imports pandas if it is installed, which takes a second.
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])
