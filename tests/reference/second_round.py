"""Reference implementation of rulings 10 and 11 of docs/design.md, 3, sentence by sentence.

The tests compare the real implementation with this module, so it was written from the text alone and shares no code
with it. It continues `design4`: plain loops over seconds, each function under the sentence that its docstring quotes,
the interpretation of an ambiguous one after "Read as". Ruling 13 is in `second_round_clock`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.reference.design4 import DEFAULT, HELD, OBSERVED, observed_fraction, target_second, window_starts

__all__ = [
    "HOLDS",
    "Chosen",
    "Rules",
    "choose_windows",
    "has_observed_second",
    "impute_causal",
    "observed_inputs",
    "observed_runs",
    "target_replays",
    "targets_observed",
    "window_replays",
]

HOLDS: dict[str, int] = {
    "HR": 600,
    "BP_SYS": 600,
    "BP_DIA": 600,
    "BP_MAP": 600,
    "SPO2": 300,
    "ETCO2": 60,
    "BIS": 60,
    "Propofol_INF": 600,
    "Remifentanil_INF": 600,
    "Noradrenalin_INF": 600,
    "TV": 60,
    "PEEP": 60,
    "FIO2": 60,
    "RR": 60,
    "etSEV": 60,
    "inSev": 60,
}
"""Hold of each input in s: "600 s for the pumps and 60 s for BIS, ETCO2, TV, PEEP, FIO2, RR, etSEV and inSev; HR and
pressures stay 600, SPO2 300"."""

Imputed = tuple[list[float], list[int]]
Impute = Callable[[Sequence[float]], Imputed]


# --- Ruling 10: causal imputation -----------------------------------------------------------


def impute_causal(values: Sequence[float], default: float, hold: float) -> Imputed:
    """Series without gaps, and the origin of each second, from what was known at that second.

    "Under `causal` every gap is filled for `hold` seconds"; "[`hold`] is how long the last value stands after the last
    observation before the default replaces it"; "before the first observed second: default".

    Read as: with the last observation at second `k`, the seconds `k + 1` to `k + hold` are held and `k + hold + 1` is
    the default; a hold of 0 holds nothing. Rulings 2 and 6 ("carried forward without limit") do not apply. The held
    value is the observation itself, never the average or a value in between.

    Parameters
    ----------
    values : harmonized values, NaN where nothing was measured.
    default : float. In the feature's unit.
    hold : float. Seconds.

    Returns
    -------
    values, origins : two lists as long as `values`.

    Examples
    --------
    >>> nan = math.nan
    >>> impute_causal([nan, 80.0, nan, nan, nan, 90.0, nan], 70.0, 2)
    ([70.0, 80.0, 80.0, 80.0, 70.0, 90.0, 90.0], [2, 0, 1, 1, 2, 0, 1])
    >>> impute_causal([nan, 80.0, nan, 90.0], 70.0, 0)
    ([70.0, 80.0, 70.0, 90.0], [2, 0, 2, 0])
    """
    imputed: list[float] = []
    origins: list[int] = []
    for k in range(len(values)):
        k_observed = latest_observed(values, k)
        if k_observed is None or k - k_observed > hold:
            imputed.append(default)
            origins.append(DEFAULT)
        elif k_observed == k:
            imputed.append(values[k])
            origins.append(OBSERVED)
        else:
            imputed.append(values[k_observed])
            origins.append(HELD)
    return imputed, origins


def latest_observed(values: Sequence[float], k: int) -> int | None:
    """Latest second up to `k` that has a harmonized value, None where there is none.

    >>> latest_observed([80.0, math.nan, math.nan], 2), latest_observed([math.nan, 80.0], 0)
    (0, None)
    """
    while k >= 0:
        if not math.isnan(values[k]):
            return k
        k = k - 1
    return None


def window_replays(impute: Impute, values: Sequence[float], start: int, window: int) -> bool:
    """Whether the samples of a window stay the same when the table is cut at the window's end.

    "38 of 653 drawn windows change [...] when the recording is cut at the window's end; none with `causal: true`";
    "`validate` [...] replays drawn windows from the prefix of their table".

    Read as: the prefix ends with the window's last second; samples and origins must both be the same.

    Parameters
    ----------
    impute : gives (values, origins) of a series; whatever implementation is to be proved.

    Examples
    --------
    >>> from tests.reference.design4 import impute
    >>> series = [80.0, math.nan, math.nan, 90.0]
    >>> window_replays(lambda values: impute_causal(values, 70.0, 1), series, 0, 3)
    True
    >>> window_replays(lambda values: impute(values, 70.0, 1), series, 0, 3)
    False
    """
    whole, whole_origins = impute(values)
    cut, cut_origins = impute(values[: start + window])
    end = start + window
    return whole[start:end] == cut[start:end] and whole_origins[start:end] == cut_origins[start:end]


def target_replays(impute: Impute, values: Sequence[float], start: int, window: int, horizon: int) -> bool:
    """Whether the target of a window stays the same when the table is cut after the target's second.

    Read as: what holds for a window's samples ("no sample depends on the future") holds for its target, whose prefix
    ends with the target's second.

    >>> series = [4.0, math.nan, math.nan, 5.0]
    >>> target_replays(lambda values: impute_causal(values, 0.0, 9), series, 0, 2, 1)
    True
    """
    k = target_second(start, window=window, horizon=horizon)
    whole, whole_origins = impute(values)
    cut, cut_origins = impute(values[: k + 1])
    return whole[k] == cut[k] and whole_origins[k] == cut_origins[k]


# --- Ruling 11: windows in which something was observed -------------------------------------


def observed_runs(inputs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """(first, last) second of each run in which at least one input is observed, both ends included.

    "The receipt stores the runs of seconds in which at least one input is observed".

    Read as: the runs are maximal, so that between two of them lies a second in which nothing is observed; the inputs
    may take turns within a run.

    Parameters
    ----------
    inputs : harmonized values of each input over the whole recording, NaN where nothing was measured.

    Examples
    --------
    >>> nan = math.nan
    >>> observed_runs([[nan, 80.0, nan, nan, 81.0], [nan, nan, 5.0, nan, nan]])
    [(1, 2), (4, 4)]
    >>> observed_runs([[nan, nan]])
    []
    """
    runs: list[tuple[int, int]] = []
    first: int | None = None
    n = len(inputs[0])
    for k in range(n):
        observed = any(not math.isnan(values[k]) for values in inputs)
        if observed and first is None:
            first = k
        if not observed and first is not None:
            runs.append((first, k - 1))
            first = None
    if first is not None:
        runs.append((first, n - 1))
    return runs


def has_observed_second(runs: Sequence[tuple[int, int]], start: int, window: int) -> bool:
    """Whether a run of `observed_runs` reaches into the window.

    "so that the survey of the build reads no table for the default": the runs answer `min_observed_inputs: 1`.

    >>> [has_observed_second([(4, 5)], start, 3) for start in (1, 2, 3, 5, 6)]
    [False, True, True, True, False]
    """
    return any(first <= start + window - 1 and last >= start for first, last in runs)


def observed_inputs(inputs: Sequence[Sequence[float]], start: int, window: int) -> int:
    """Number of inputs that have an observed second within the window.

    "`windowing.min_observed_inputs` [...] is how many inputs must have one [an observed second]"; "the target's second
    does not count".

    Read as: each input needs one of its own, in any second of the window, the first and the last included. The target's
    second counts only where it lies within the window (a horizon of 0).

    >>> nan = math.nan
    >>> inputs = [[nan, 80.0, nan, nan], [nan, nan, nan, 5.0], [1.0, nan, nan, nan]]
    >>> [observed_inputs(inputs, start, 2) for start in (0, 1, 2)]
    [2, 1, 1]
    """
    count = 0
    for values in inputs:
        if any(not math.isnan(values[k]) for k in range(start, start + window)):
            count = count + 1
    return count


def targets_observed(targets: Sequence[Sequence[float]], second: int) -> float:
    """Share of the targets that are observed in the target's second, 0 to 1.

    "`windowing.min_target_observed` (0 to 1, default 0) can drop windows whose targets are observed too little".

    Read as: observed at the target's second itself (origin 0; held is not observed), each target counted once.

    >>> nan = math.nan
    >>> targets_observed([[nan, 5.0], [nan, nan], [1.0, nan], [nan, 0.0]], 1)
    0.5
    """
    observed = 0
    for values in targets:
        if not math.isnan(values[second]):
            observed = observed + 1
    return observed / len(targets)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`windowing` of the configuration."""

    window: int = 300
    step: int = 30
    horizon: int = 30
    min_observed_inputs: int = 1
    min_observed_fraction: float = 0.0
    min_target_observed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Windows of one case.

    Attributes
    ----------
    starts : start second of each window that is written.
    unobserved, dropped, possible : numbers of windows.
    reason : None where a window is written.
    """

    starts: list[int]
    unobserved: int
    dropped: int
    possible: int
    reason: Literal["too_short", "no_window"] | None


def choose_windows(
    inputs: Sequence[Sequence[float]], *, vitals: Sequence[int], targets: Sequence[int], rules: Rules
) -> Chosen:
    """Windows that are written, and how many are left out for what.

    "A window in which no input has an observed second measures nobody: it is dropped and counted (`unobserved`)."
    "Counted first `unobserved`, then `dropped`; written + unobserved + dropped = possible; all left out: `no_window`."
    "No window fits: `too_short`."

    Read as: a window with fewer than `min_observed_inputs` is unobserved and in no other count; of the others, one
    whose share of observed vitals or of observed targets is *below* its minimum is dropped, once even if both are. A
    share equal to the minimum is enough. More inputs demanded than there are: every window is unobserved.

    Parameters
    ----------
    inputs : harmonized values of each input over the whole recording, NaN where nothing was measured.
    vitals, targets : positions in `inputs` of the vital signs and of the targets.

    Examples
    --------
    >>> nan = math.nan
    >>> series = [nan, nan, nan, nan, 80.0, nan, nan]
    >>> rules = Rules(window=2, step=2, horizon=1)
    >>> choose_windows([series], vitals=[0], targets=[0], rules=rules)
    Chosen(starts=[4], unobserved=2, dropped=0, possible=3, reason=None)
    """
    starts: list[int] = []
    unobserved = 0
    dropped = 0
    possible = window_starts(len(inputs[0]), rules.window, rules.step, rules.horizon)
    origins = [[DEFAULT if math.isnan(value) else OBSERVED for value in inputs[row]] for row in vitals]
    for start in possible:
        target = target_second(start, window=rules.window, horizon=rules.horizon)
        if observed_inputs(inputs, start, rules.window) < rules.min_observed_inputs:
            unobserved = unobserved + 1
        elif (
            observed_fraction(origins, start=start, window=rules.window) < rules.min_observed_fraction
            or targets_observed([inputs[row] for row in targets], target) < rules.min_target_observed
        ):
            dropped = dropped + 1
        else:
            starts.append(start)
    reason: Literal["too_short", "no_window"] | None = None
    if not possible:
        reason = "too_short"
    elif not starts:
        reason = "no_window"
    return Chosen(starts=starts, unobserved=unobserved, dropped=dropped, possible=len(possible), reason=reason)
