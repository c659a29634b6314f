"""Reference implementation of docs/design.md, 4 ("Exact semantics"), sentence by sentence.

The tests compare the real implementation with this module, so it was written from the text alone
and shares no code with it. It is slow on purpose: plain loops over seconds and records in Python
floats, so that each function can be compared with the sentence that its docstring quotes. Where
the sentence is ambiguous, the docstring gives the interpretation after "Read as".
"""

import hashlib
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = [
    "DEFAULT",
    "HELD",
    "OBSERVED",
    "Corrupt",
    "NotANumber",
    "Source",
    "assign_splits",
    "assign_splits_appending",
    "clock",
    "devine_ibw",
    "encode_example",
    "frame",
    "harmonize_feature",
    "ideal_body_weight",
    "impute",
    "masked_crc32c",
    "normalize",
    "number_in_cell",
    "numeric_static",
    "observed_fraction",
    "output_shards",
    "per_hour_multiplier",
    "per_ibw_multiplier",
    "per_minute_multiplier",
    "second_of",
    "seconds_of_recording",
    "target_second",
    "window_starts",
    "windows_in_order",
]

OBSERVED, HELD, DEFAULT = 0, 1, 2
"""Origin codes: "0 observed, 1 held (carried forward), 2 default"."""

SEVEN_DAYS = 7 * 24 * 3600.0

Split = Literal["train", "validation", "test"]
SubjectId = int | str
Record = tuple[Literal["wave", "numeric"], float, int, float]
"""(kind, time in s, samples, rate in Hz) of one record of a recording."""


class Corrupt(ValueError):
    """The recording is excluded with reason `corrupt`."""


class NotANumber(ValueError):
    """The cell of a configured column holds something else than a number; the table is refused."""


# --- Statics of any column (LABELS.md, section 4) ---------------------------------------------


def number_in_cell(cell: str) -> float | None:
    """The number that a cell of any other column than the six of the POC holds; None where the cell is empty.

    "What is not a number in a configured column is refused"; "empty cells: default"; "0 and negative
    numbers are real values". Read as: blanks around it do not count; `NaN` and `NA` in any case are
    empty cells, as VitalDB's table has them; a number is a decimal numeral with sign, point and
    exponent if wanted, in ASCII; what a record's float32 cannot hold is none.

    >>> number_in_cell(" -1.5e1 "), number_in_cell("0"), number_in_cell("nan")
    (-15.0, 0.0, None)
    """
    text = cell.strip()
    if text.lower() in {"", "nan", "na"}:
        return None
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise NotANumber(cell)
    if abs(float(text)) > 3.4028235e38:
        raise NotANumber(cell)
    return float(text)


def numeric_static(
    cell: str, *, limits: tuple[float, float] | None, value_range: tuple[float, float], default: float
) -> tuple[float, int, bool]:
    """(normalized value, origin, whether it is counted as outside of the limits) of a numeric static.

    "`limits` drop (origin 2, counted, cases named), `range` clips." Read as: a value on a limit is
    inside of it, and the default is normalized like a value.

    >>> [float(part) for part in numeric_static("20", limits=(2, 25), value_range=(5, 20), default=13)]
    [1.0, 0.0, 0.0]
    >>> [float(part) for part in numeric_static("99", limits=(2, 25), value_range=(5, 20), default=12.5)]
    [0.0, 2.0, 1.0]
    """
    number = number_in_cell(cell)
    if number is None:
        return normalize(default, *value_range), DEFAULT, False
    if limits is not None and (number < limits[0] or number > limits[1]):
        return normalize(default, *value_range), DEFAULT, True
    return normalize(number, *value_range), OBSERVED, False


# --- Ideal body weight and conversion factors -----------------------------------------------


def devine_ibw(sex: str | None, height_cm: float) -> float:
    """Ideal body weight after Devine, unbounded, in kg.

    "IBW (Devine): men 50, women 45.5 kg, + 0.9055 x (height - 152.4). [...] Sex missing: female."

    Parameters
    ----------
    sex : 'M', 'F', or None or '' where missing.
    height_cm : float. Height in cm, already settled by ruling 10.

    Examples
    --------
    >>> devine_ibw("M", 152.4), devine_ibw("F", 152.4), devine_ibw(None, 152.4)
    (50.0, 45.5, 45.5)
    >>> round(devine_ibw("M", 180.0), 4)
    74.9918
    >>> round(devine_ibw("F", 100.0), 4)
    -1.9482
    """
    if sex not in ("M", "F", None, ""):
        raise ValueError(f"sex must be 'M', 'F' or missing, not {sex!r}")
    at_152_4 = 50.0 if sex == "M" else 45.5
    return at_152_4 + 0.9055 * (height_cm - 152.4)


def ideal_body_weight(sex: str | None, height_cm: float, weight_kg: float) -> float:
    """Ideal body weight as the conversions use it, in kg.

    "Unbounded, it is negative for 14 VitalDB cases; so
    `ibw = max(devine(height), min(weight, devine(152.4)))`".

    Parameters
    ----------
    sex : 'M', 'F', or None or '' where missing.
    height_cm, weight_kg : float. Already settled by ruling 10: the caller has put the static
        default in place of a missing value.

    Examples
    --------
    >>> round(ideal_body_weight("M", 180.0, 80.0), 4)
    74.9918
    >>> ideal_body_weight("F", 100.0, 20.0)
    20.0
    >>> ideal_body_weight("F", 100.0, 60.0)
    45.5
    """
    return max(devine_ibw(sex, height_cm), min(weight_kg, devine_ibw(sex, 152.4)))


def per_hour_multiplier(concentration: float, weight_kg: float) -> float:
    """Factor from mL/h to mg/kg/h: "`m` = concentration / weight (propofol)".

    >>> per_hour_multiplier(20.0, 80.0)
    0.25
    """
    return concentration / weight_kg


def per_minute_multiplier(concentration: float, weight_kg: float) -> float:
    """Factor from mL/h to ug/kg/min.

    "concentration / 60 / weight (remifentanil, noradrenaline)", divided in that order.

    >>> per_minute_multiplier(60.0, 80.0)
    0.0125
    """
    return concentration / 60 / weight_kg


def per_ibw_multiplier(ibw_kg: float) -> float:
    """Factor from mL to mL/kg IBW: "1 / ibw (TV)".

    >>> per_ibw_multiplier(50.0)
    0.02
    """
    return 1 / ibw_kg


# --- Clock ----------------------------------------------------------------------------------


def second_of(t: float, t0: float) -> int:
    """Second of a record at time `t`; negative where it lies before the recording.

    "Second `k` of a record at `t`: `floor(t - t0 + 0.001)`; negative: dropped and counted."

    Examples
    --------
    >>> second_of(100.0, 100.0), second_of(100.9985, 100.0), second_of(100.9995, 100.0)
    (0, 0, 1)
    >>> second_of(99.9995, 100.0), second_of(99.5, 100.0)
    (0, -1)
    """
    return math.floor(t - t0 + 0.001)


def seconds_of_recording(t0: float, t_last: float) -> int:
    """Number of seconds `n` on the grid.

    "`n = floor(t_last - t0 + 0.001) + 1`."

    Read as: no lower bound. A header that starts after the last sample gives `n <= 0`.

    Examples
    --------
    >>> seconds_of_recording(100.0, 100.0), seconds_of_recording(100.0, 109.9995)
    (1, 11)
    """
    return math.floor(t_last - t0 + 0.001) + 1


def last_sample_time(kind: str, t: float, samples: int, rate: float) -> float:
    """Time of the last sample of one record, in s.

    "a wave record's last sample is at `t + (samples - 1) / rate`; rate or samples 0: `t`"

    Examples
    --------
    >>> last_sample_time("wave", 10.0, 501, 500.0)
    11.0
    >>> last_sample_time("wave", 10.0, 501, 0.0), last_sample_time("wave", 10.0, 0, 500.0)
    (10.0, 10.0)
    >>> last_sample_time("numeric", 10.0, 1, 0.0)
    10.0
    """
    if kind != "wave" or rate == 0 or samples == 0:
        return t
    return t + (samples - 1) / rate


def clock(header_start: float | None, records: Sequence[Record]) -> tuple[float, float]:
    """Start of the grid and time of the latest sample, `(t0, t_last)`, in s.

    "`t0` = the header's start time if there is one, finite and > 0, else the earliest record time
    over *all* wave and numeric tracks in the file, whichever are used; `t_last` = the latest sample
    time over all of them". "A time stamp that is not finite, or a span over 7 days: `corrupt`."

    Read as: the span is `t_last - t0`. A start time in the header that is not finite is not
    corrupt, because the clock's sentence says what to do then.

    Parameters
    ----------
    header_start : float or None. Start time of the header in s.
    records : (kind, time, samples, rate) of every wave and numeric record of the file whose track
        has a header.

    Raises
    ------
    Corrupt
        A time stamp is not finite, or the span is over 7 days.
    ValueError
        There are no records: the specification gives no clock for such a file.

    Examples
    --------
    >>> records = [("numeric", 12.0, 1, 0.0), ("wave", 10.5, 1001, 500.0)]
    >>> clock(None, records)
    (10.5, 12.5)
    >>> clock(10.0, records), clock(0.0, records), clock(math.nan, records)
    ((10.0, 12.5), (10.5, 12.5), (10.5, 12.5))
    >>> week = 7 * 86400
    >>> clock(10.0, [("numeric", 10.0 + week, 1, 0.0)])
    (10.0, 604810.0)
    >>> clock(10.0, [("numeric", 11.0 + week, 1, 0.0)])  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    Corrupt: span of 604801.0 s is over 7 days
    """
    if not records:
        raise ValueError("no wave or numeric record: the recording has no clock")
    ends = []
    for kind, t, samples, rate in records:
        end = last_sample_time(kind, t, samples, rate)
        if not math.isfinite(t) or not math.isfinite(end):
            raise Corrupt(f"time stamp {t} is not finite")
        ends.append(end)
    t_last = max(ends)
    if header_start is not None and math.isfinite(header_start) and header_start > 0:
        t0 = header_start
    else:
        t0 = min(t for _, t, _, _ in records)
    if t_last - t0 > SEVEN_DAYS:
        raise Corrupt(f"span of {t_last - t0} s is over 7 days")
    return t0, t_last


# --- Harmonized value -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of a feature.

    Attributes
    ----------
    track : str. Full `Device/NAME`.
    limits : (lo, hi). Plausible values in the file's own unit, both ends included.
    stale_after : float. Seconds for which a record stays live.
    multiplier : float. `m` of "`value * m`".
    """

    track: str
    limits: tuple[float, float]
    stale_after: float
    multiplier: float = 1.0


def is_plausible(value: float, limits: tuple[float, float]) -> bool:
    """Whether a value is kept.

    "A record is *plausible* if finite and within its source's limits, in the file's own unit".

    Read as: both limits belong to the plausible range.

    >>> is_plausible(30.0, (30.0, 250.0)), is_plausible(250.0, (30.0, 250.0))
    (True, True)
    >>> is_plausible(29.9, (30.0, 250.0)), is_plausible(math.nan, (30.0, 250.0))
    (False, False)
    """
    lo, hi = limits
    return math.isfinite(value) and lo <= value <= hi


def values_by_second(source: Source, records: Sequence[tuple[float, float]], t0: float) -> dict[int, float]:
    """Plausible value of each second that has one, in the file's own unit.

    "others are dropped and counted. Within a second the last record (by time, then file order)
    wins."

    Read as: implausible records are dropped first, so they never win a second.

    Parameters
    ----------
    records : (time in s, value in the file's unit), in file order.

    Examples
    --------
    >>> source = Source(track="Solar8000/HR", limits=(1.0, 300.0), stale_after=10)
    >>> values_by_second(source, [(0.6, 72.0), (0.2, 70.0), (0.8, 999.0), (-1.0, 60.0)], 0.0)
    {0: 72.0}
    >>> values_by_second(source, [(0.6, 72.0), (0.6, 73.0)], 0.0)
    {0: 73.0}
    """
    by_second: dict[int, float] = {}
    # sorted() is stable: records of equal time stay in file order.
    for t, value in sorted(records, key=lambda record: record[0]):
        second = second_of(t, t0)
        if second < 0 or not is_plausible(value, source.limits):
            continue
        by_second[second] = value
    return by_second


def live_series(by_second: Mapping[int, float], stale_after: float, n: int) -> list[float | None]:
    """Latest plausible value at each second while the source is live, else None.

    "A source is *live* at second `k` while its latest plausible record is at most `stale_after`
    seconds old (`k - k_record <= stale_after`)."

    >>> live_series({1: 70.0}, 2, 6)
    [None, 70.0, 70.0, 70.0, None, None]
    """
    series: list[float | None] = []
    k_record: int | None = None
    for k in range(n):
        if k in by_second:
            k_record = k
        if k_record is not None and k - k_record <= stale_after:
            series.append(by_second[k_record])
        else:
            series.append(None)
    return series


def harmonize_feature(
    sources: Sequence[Source],
    records_by_track: Mapping[str, Sequence[tuple[float, float]]],
    t0: float,
    n: int,
    combine: Literal["first", "sum"] = "first",
) -> list[float]:
    """Value of one feature at each second, NaN where nothing is live.

    "The value at `k` is the latest plausible value of the first live source in order; none live:
    NaN. Remifentanil: the sum over live sources." "Conversion in float64, `value * m`, [...] stored
    as float32."

    Read as: the sum runs over converted values, in float64 and in the order of the sources, and is
    rounded to float32 once.

    Parameters
    ----------
    sources : in the registry's order.
    records_by_track : (time in s, value in the file's unit) per `Device/NAME`, in file order.
        A source whose track is absent is never live.
    t0 : float. Start of the grid in s.
    n : int. Number of seconds.
    combine : 'first' live source, or 'sum' over live sources.

    Returns
    -------
    list of n floats, each exactly a float32, in the feature's unit.

    Examples
    --------
    >>> art = Source(track="ART", limits=(30.0, 250.0), stale_after=1)
    >>> nibp = Source(track="NIBP", limits=(30.0, 250.0), stale_after=600)
    >>> records = {"ART": [(12.0, 120.0), (14.0, -5.0)], "NIBP": [(11.0, 110.0)]}
    >>> harmonize_feature([art, nibp], records, 10.0, 6)
    [nan, 110.0, 120.0, 120.0, 110.0, 110.0]
    >>> rftn20 = Source(track="R20", limits=(0.0, 1200.0), stale_after=1, multiplier=0.25)
    >>> rftn50 = Source(track="R50", limits=(0.0, 1200.0), stale_after=1, multiplier=0.5)
    >>> records = {"R20": [(0.0, 4.0), (1.0, 8.0)], "R50": [(1.0, 2.0), (2.0, 2.0)]}
    >>> harmonize_feature([rftn20, rftn50], records, 0.0, 5, combine="sum")
    [1.0, 3.0, 3.0, 1.0, nan]
    >>> kpa = Source(track="CO2", limits=(0.0, 100.0), stale_after=0, multiplier=0.133322)
    >>> harmonize_feature([kpa], {"CO2": [(0.0, 38.0)]}, 0.0, 1) == [float(np.float32(5.066236))]
    True
    """
    if combine not in ("first", "sum"):
        raise ValueError(f"combine must be 'first' or 'sum', not {combine!r}")
    live = []
    for source in sources:
        by_second = values_by_second(source, records_by_track.get(source.track, []), t0)
        live.append(live_series(by_second, source.stale_after, n))

    harmonized = []
    for k in range(n):
        converted = []
        for source, series in zip(sources, live, strict=True):
            value = series[k]
            if value is not None:
                converted.append(value * source.multiplier)
        if not converted:
            harmonized.append(math.nan)
        elif combine == "sum":
            harmonized.append(rounded_to_float32(sum_in_order(converted)))
        else:
            harmonized.append(rounded_to_float32(converted[0]))
    return harmonized


def sum_in_order(values: Sequence[float]) -> float:
    """Sum from left to right, one float64 addition at a time.

    The built-in `sum` compensates rounding from Python 3.12 on.
    """
    total = 0.0
    for value in values:
        total = total + value
    return total


def rounded_to_float32(value: float) -> float:
    """The float32 nearest to `value`, as a Python float.

    >>> rounded_to_float32(0.1)
    0.10000000149011612
    """
    return float(np.float32(value))


# --- Imputation and normalization -----------------------------------------------------------


def impute(
    values: Sequence[float], default: float, hold: float, *, causal: bool = False
) -> tuple[list[float], list[int]]:
    """Series without gaps, and the origin of each second.

    "(observed = a second with a harmonized value). Before the first observed second: default.
    Between observed seconds: last value carried forward without limit. After the last one: carried
    for `hold` seconds, then default. **Origin**: 0 observed, 1 held (carried forward), 2 default."
    "`imputation.causal: true` [...] treats every gap like the last one".

    Read as: it runs over the whole recording, before windows are cut; with the last observation at
    second `k`, the seconds `k + 1` to `k + hold` are held.

    Parameters
    ----------
    values : harmonized values, NaN where nothing was measured.
    default : float. In the feature's unit; not rounded to float32 here.
    hold : float. Seconds.
    causal : bool. No sample depends on a later one.

    Returns
    -------
    values, origins : two lists as long as `values`.

    Examples
    --------
    >>> nan = math.nan
    >>> series = [nan, 80.0, nan, nan, 90.0, nan, nan]
    >>> impute(series, 70.0, 1)
    ([70.0, 80.0, 80.0, 80.0, 90.0, 90.0, 70.0], [2, 0, 1, 1, 0, 1, 2])
    >>> impute(series, 70.0, 1, causal=True)
    ([70.0, 80.0, 80.0, 70.0, 90.0, 90.0, 70.0], [2, 0, 1, 2, 0, 1, 2])
    >>> impute([nan, nan], 70.0, 600)
    ([70.0, 70.0], [2, 2])
    """
    observed_seconds = [k for k, value in enumerate(values) if not math.isnan(value)]
    last_observed = observed_seconds[-1] if observed_seconds else None

    imputed: list[float] = []
    origins: list[int] = []
    k_observed: int | None = None  # the latest observed second up to k
    for k, value in enumerate(values):
        if not math.isnan(value):
            k_observed = k
        if k_observed is None:
            origin = DEFAULT
        elif k == k_observed:
            origin = OBSERVED
        elif k_observed != last_observed and not causal:
            origin = HELD
        else:
            origin = HELD if k - k_observed <= hold else DEFAULT
        if k_observed is None or origin == DEFAULT:
            imputed.append(default)
        else:
            imputed.append(values[k_observed])
        origins.append(origin)
    return imputed, origins


def normalize(value: float, lo: float, hi: float) -> np.float32:
    """Value on the scale of the record.

    "`normalized = clip((value - lo) / (hi - lo) * 2 - 1, -1, 1)`, in float64, then float32."

    Examples
    --------
    >>> [float(normalize(value, 20.0, 200.0)) for value in (20.0, 110.0, 200.0, 0.0, 300.0)]
    [-1.0, 0.0, 1.0, -1.0, 1.0]
    """
    scaled = (float(value) - lo) / (hi - lo) * 2 - 1
    if scaled < -1:
        scaled = -1.0
    if scaled > 1:
        scaled = 1.0
    return np.float32(scaled)


# --- Windows --------------------------------------------------------------------------------


def target_second(start: int, *, window: int = 300, horizon: int = 30) -> int:
    """Second whose outputs are the target of the window at `start`.

    "The target is the outputs' value `target_horizon` seconds after the window's last second".

    >>> target_second(60)
    389
    """
    return start + window - 1 + horizon


def window_starts(n: int, window: int = 300, step: int = 30, horizon: int = 30) -> list[int]:
    """Start seconds of the windows of a recording of `n` seconds.

    "Window `j` starts at `s = j * step`; it exists while `s + window - 1 + horizon <= n - 1`."
    "No window fits: `too_short`", which is the empty list here.

    Examples
    --------
    >>> window_starts(329, 300, 30, 30), window_starts(330, 300, 30, 30)
    ([], [0])
    >>> window_starts(390, 300, 30, 30)
    [0, 30, 60]
    """
    starts = []
    j = 0
    while j * step + window - 1 + horizon <= n - 1:
        starts.append(j * step)
        j = j + 1
    return starts


def observed_fraction(vital_origins: Sequence[Sequence[int]], *, start: int, window: int = 300) -> float:
    """Share of a window's vital samples that were observed, 0 to 1.

    "an optional `min_observed_fraction` over the seven vitals (default 0) drops some, counted."

    Read as: the vitals are inputs 0 to 6 (HR to BIS); the fraction is pooled, observed samples
    (origin 0) over `7 * window`; a window is dropped if its fraction is *below* the minimum; the
    target second does not count.

    Parameters
    ----------
    vital_origins : one list of origin codes per vital, each over the whole recording.

    Examples
    --------
    >>> observed_fraction([[0, 0, 1, 0], [2, 0, 2, 2]], start=0, window=4)
    0.5
    >>> observed_fraction([[0, 0, 1, 0], [2, 0, 2, 2]], start=2, window=2)
    0.25
    """
    observed = 0
    samples = 0
    for origins in vital_origins:
        for k in range(start, start + window):
            samples = samples + 1
            if origins[k] == OBSERVED:
                observed = observed + 1
    return observed / samples


# --- Splits ---------------------------------------------------------------------------------


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 text, as 64 lower-case hex digits.

    >>> sha256_hex("42:1")[:12]
    '03ddf851127d'
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def cases_per_subject(cases: Sequence[tuple[int, SubjectId]]) -> dict[SubjectId, int]:
    """Number of cases of each subject.

    >>> cases_per_subject([(1, 7), (2, 8), (3, 7)])
    {7: 2, 8: 1}
    """
    counts: dict[SubjectId, int] = {}
    for _, subject_id in cases:
        counts[subject_id] = counts.get(subject_id, 0) + 1
    return counts


def subjects_in_order(subjects: Mapping[SubjectId, int], seed: int) -> list[SubjectId]:
    """Subjects "sorted by `sha256("<seed>:<subject_id>")` (hex)".

    >>> subjects_in_order({1: 1, 2: 1, 3: 1}, 42)
    [1, 3, 2]
    """
    return sorted(subjects, key=lambda subject_id: sha256_hex(f"{seed}:{subject_id}"))


def assign_splits(
    cases: Sequence[tuple[int, SubjectId]],
    seed: int,
    train: float = 0.70,
    validation: float = 0.85,
) -> dict[SubjectId, Split]:
    """Split of each subject in a first run.

    "N = cases in the plan that have an object and a clinical row. Subjects sorted by
    `sha256("<seed>:<subject_id>")` (hex); walking them with the running count `c` of their cases:
    train while `c < 0.70 N`, validation while `c < 0.85 N`, else test (`c` before the subject is
    added)."

    The refusal of an empty split belongs to planning and is not made here.

    Parameters
    ----------
    cases : (case_id, subject_id) of the N cases.
    seed : int.
    train, validation : float. Cumulative bounds: the share of train, and of train and validation.

    Examples
    --------
    >>> assign_splits([(1, 1), (2, 2), (3, 3)], seed=42)
    {1: 'train', 3: 'train', 2: 'train'}
    >>> cases = [(case_id, case_id) for case_id in range(1, 21)]
    >>> splits = list(assign_splits(cases, seed=42).values())
    >>> splits.count("train"), splits.count("validation"), splits.count("test")
    (14, 3, 3)
    """
    n_cases = len(cases)
    counts = cases_per_subject(cases)
    splits: dict[SubjectId, Split] = {}
    c = 0
    for subject_id in subjects_in_order(counts, seed):
        if c < train * n_cases:
            splits[subject_id] = "train"
        elif c < validation * n_cases:
            splits[subject_id] = "validation"
        else:
            splits[subject_id] = "test"
        c = c + counts[subject_id]
    return splits


def assign_splits_appending(
    earlier: Mapping[SubjectId, Split],
    cases: Sequence[tuple[int, SubjectId]],
    seed: int,
    train: float = 0.70,
    validation_share: float = 0.15,
) -> dict[SubjectId, Split]:
    """Split of each subject in append mode.

    "Append mode: earlier subjects keep their split; new ones, in the same order: train while
    `n_train < 0.70 N_total`, else validation while `n_validation < 0.15 N_total`, else test."

    Read as: `N_total`, `n_train` and `n_validation` count cases, over all of `cases`. All cases of
    earlier subjects, new ones among them, are counted before the first new subject is placed, and
    each test is made before the subject is added.

    Parameters
    ----------
    earlier : split of each subject of the parent data set.
    cases : (case_id, subject_id) of all cases of the grown data set, the parent's included.
    seed : int.
    train, validation_share : float. Shares of the cases, *not* cumulative.

    Returns
    -------
    dict : every subject of `earlier`, then the new ones in the order they were placed.

    Examples
    --------
    >>> earlier = {1: "train", 2: "test"}
    >>> cases = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 1), (7, 1)]
    >>> subjects_in_order({3: 1, 4: 1}, 42)
    [4, 3]
    >>> assign_splits_appending(earlier, cases, seed=42)
    {1: 'train', 2: 'test', 4: 'train', 3: 'validation'}
    """
    n_total = len(cases)
    counts = cases_per_subject(cases)
    splits: dict[SubjectId, Split] = dict(earlier)

    n_train = 0
    n_validation = 0
    for subject_id, split in earlier.items():
        if split == "train":
            n_train = n_train + counts.get(subject_id, 0)
        elif split == "validation":
            n_validation = n_validation + counts.get(subject_id, 0)

    for subject_id in subjects_in_order(counts, seed):
        if subject_id in earlier:
            continue
        if n_train < train * n_total:
            splits[subject_id] = "train"
            n_train = n_train + counts[subject_id]
        elif n_validation < validation_share * n_total:
            splits[subject_id] = "validation"
            n_validation = n_validation + counts[subject_id]
        else:
            splits[subject_id] = "test"
    return splits


# --- Order of the output --------------------------------------------------------------------


def output_shards(
    case_windows: Mapping[int, int],
    record_bytes: Callable[[int], Sequence[int]],
    seed: int,
    shard_bytes: int = 150 * 10**6,
) -> list[list[int]]:
    """Case ids of each output shard of one split, in the order they fill it.

    "Within a split, cases sorted by `sha256("<seed>:<case_id>")` fill output shards in that order,
    whole cases only; a shard closes before it would exceed `shard_mb` (150) x 10^6 bytes of
    records".

    Read as: `<case_id>` is the number without leading zeros; bytes are those of framed records
    before compression; a shard of exactly `shard_bytes` stays open until the next case; a case that
    alone exceeds it gets a shard of its own; a case without windows is in no shard; a split without
    windows has no shard.

    Parameters
    ----------
    case_windows : number of windows of each case of the split.
    record_bytes : sizes in bytes of the framed records of a case.
    seed : int.
    shard_bytes : int. `shard_mb` x 10^6.

    Examples
    --------
    >>> sizes = {1: [40, 40], 2: [50], 3: [20], 4: [200], 5: []}
    >>> windows = {case_id: len(of_case) for case_id, of_case in sizes.items()}
    >>> sorted(windows, key=lambda case_id: sha256_hex(f"42:{case_id}"))
    [1, 4, 5, 3, 2]
    >>> output_shards(windows, sizes.__getitem__, seed=42, shard_bytes=100)
    [[1], [4], [3, 2]]
    >>> output_shards(windows, sizes.__getitem__, seed=42, shard_bytes=280)
    [[1, 4], [3, 2]]
    """
    shards: list[list[int]] = []
    shard: list[int] = []
    bytes_in_shard = 0
    for case_id in sorted(case_windows, key=lambda case_id: sha256_hex(f"{seed}:{case_id}")):
        if case_windows[case_id] == 0:
            continue
        sizes = record_bytes(case_id)
        if len(sizes) != case_windows[case_id]:
            raise ValueError(f"case {case_id}: {len(sizes)} records, {case_windows[case_id]} windows")
        bytes_of_case = sum(sizes)
        if shard and bytes_in_shard + bytes_of_case > shard_bytes:
            shards.append(shard)
            shard = []
            bytes_in_shard = 0
        shard.append(case_id)
        bytes_in_shard = bytes_in_shard + bytes_of_case
    if shard:
        shards.append(shard)
    return shards


def windows_in_order(
    shard_cases: Sequence[int], starts_by_case: Mapping[int, Sequence[int]], seed: int
) -> list[tuple[int, int]]:
    """(case_id, start_second) of the records of one shard, in order.

    "inside it windows are sorted by `sha256("<seed>:<case_id>:<start_second>")`."

    Read as: the windows of all cases of the shard are sorted together.

    Examples
    --------
    >>> windows_in_order([1, 2], {1: [0, 30], 2: [0, 30], 3: [0]}, seed=42)
    [(2, 30), (2, 0), (1, 0), (1, 30)]
    """
    windows = []
    for case_id in shard_cases:
        for start in starts_by_case[case_id]:
            windows.append((case_id, start))
    return sorted(windows, key=lambda window: sha256_hex(f"{seed}:{window[0]}:{window[1]}"))


# --- Record ---------------------------------------------------------------------------------

# Field numbers of tensorflow/core/example/{example,feature}.proto. All fields used are
# length-delimited (wire type 2), packed numbers included.
EXAMPLE_FEATURES = 1
FEATURES_FEATURE = 1
MAP_KEY, MAP_VALUE = 1, 2
FEATURE_BYTES_LIST, FEATURE_FLOAT_LIST, FEATURE_INT64_LIST = 1, 2, 3
LIST_VALUE = 1


def varint(number: int) -> bytes:
    """Protobuf's base-128 varint; a negative int64 as its 64-bit two's complement.

    >>> varint(1).hex(), varint(300).hex(), varint(-1).hex()
    ('01', 'ac02', 'ffffffffffffffffff01')
    """
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} does not fit into int64")
    rest = number % 2**64
    encoded = bytearray()
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest = rest // 128
    encoded.append(rest)
    return bytes(encoded)


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited protobuf field: tag, length, payload.

    >>> field(1, b"ab").hex()
    '0a026162'
    """
    return varint(number * 8 + 2) + varint(len(payload)) + payload


def encode_feature(key: str, value: Sequence[int] | Sequence[float] | bytes) -> bytes:
    """`tf.train.Feature`: bytes_list of one value, packed float_list or packed int64_list."""
    if isinstance(value, bytes):
        return field(FEATURE_BYTES_LIST, field(LIST_VALUE, value))
    if len(value) == 0:
        raise ValueError(f"feature {key}: an empty list has no type")
    if all(isinstance(number, int | np.integer) for number in value):
        packed = b"".join(varint(int(number)) for number in value)
        return field(FEATURE_INT64_LIST, field(LIST_VALUE, packed))
    if all(isinstance(number, float | np.floating) for number in value):
        packed = b"".join(struct.pack("<f", number) for number in value)
        return field(FEATURE_FLOAT_LIST, field(LIST_VALUE, packed))
    raise TypeError(f"feature {key}: a list holds ints or floats, not a mixture")


def encode_example(features: Mapping[str, Sequence[int] | Sequence[float] | bytes]) -> bytes:
    """Serialized `tf.train.Example`.

    "(`tf.train.Example`, feature keys in alphabetical order, deterministic bytes, no time stamps or
    host names)".

    Parameters
    ----------
    features : per key a list of ints (int64), a list of floats (float32), or bytes (one value).
        A shape of () is a list of one; arrays are flattened row-major by the caller.

    Examples
    --------
    >>> encode_example({"b": [0.5], "a": [1]}).hex()
    '0a1b0a0a0a016112051a030a01010a0d0a0162120812060a040000003f'
    """
    entries = b""
    for key in sorted(features):
        feature = encode_feature(key, features[key])
        entry = field(MAP_KEY, key.encode("utf-8")) + field(MAP_VALUE, feature)
        entries = entries + field(FEATURES_FEATURE, entry)
    return field(EXAMPLE_FEATURES, entries)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), bit by bit, reflected polynomial 0x82F63B78 (RFC 3720, B.4).

    >>> hex(crc32c(b"123456789")), hex(crc32c(bytes(32)))
    ('0xe3069283', '0x8a9136aa')
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc ^ byte
        for _ in range(8):
            if crc & 1:
                crc = (crc >> 1) ^ 0x82F63B78
            else:
                crc = crc >> 1
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """CRC of the TFRecord format: rotated right by 15 bits, plus 0xa282ead8, modulo 2^32.

    From tensorflow/core/lib/hash/crc32c.h.

    >>> hex(masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    crc = crc32c(data)
    rotated = (crc >> 15) | (crc << 17)
    return (rotated + 0xA282EAD8) % 2**32


def frame(record: bytes) -> bytes:
    """One record as it stands in a TFRecord file.

    uint64 length, uint32 masked CRC of the length, the record, uint32 masked CRC of the record; all
    little-endian.

    >>> framed = frame(b"123456789")
    >>> len(framed), framed[:8].hex(), framed[12:21], framed[21:].hex()
    (25, '0900000000000000', b'123456789', 'e5b08ac7')
    """
    length = struct.pack("<Q", len(record))
    length_crc = struct.pack("<I", masked_crc32c(length))
    record_crc = struct.pack("<I", masked_crc32c(record))
    return length + length_crc + record + record_crc
