"""How much of a data set was measured, as its build summaries have it. Report, card and metadata say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from vitalprep.contract.build_summary import BuildSummary, FeatureStatistics, OriginCounts
from vitalprep.contract.config import Config

__all__ = ["Measured", "Standing", "gaps_in_words", "measured_of", "standing_of"]

MOST = 0.5  # an input counts as observed in most seconds above this share


@dataclass(frozen=True)
class Measured:
    """How much of a data set, or of one split, was measured.

    Attributes
    ----------
    windows, unobserved, dropped : int
        Windows that were written, and those that were left out, as in `CaseOutcome`.
    without_vital : int or None
        Written windows without an observed second of a vital sign; None if a build did not count them.
    cases : int
        Cases that were written.
    with_vital, with_all : int or None
        Those in which a vital sign, and in which every input was observed; None if a build did not count them.
    inputs, vitals : mapping
        Seconds of the written cases by input, and those of the vital signs alone.
    targets : mapping
        Windows by target; empty if a build did not count them.
    """

    windows: int
    unobserved: int
    dropped: int
    without_vital: int | None
    cases: int
    with_vital: int | None
    with_all: int | None
    inputs: Mapping[str, OriginCounts]
    vitals: Mapping[str, OriginCounts]
    targets: Mapping[str, OriginCounts]

    @property
    def possible(self) -> int:
        """Windows that the lengths of the recordings allow."""
        return self.windows + self.unobserved + self.dropped

    @cached_property
    def totals(self) -> Mapping[str, OriginCounts]:
        """The counts of all inputs, of the vital signs and of all targets together, by what they are."""
        groups = {"inputs": self.inputs, "vital signs": self.vitals, "targets": self.targets}
        return {name: sum(counts.values(), OriginCounts()) for name, counts in groups.items() if counts}

    @property
    def never(self) -> tuple[str, ...]:
        """Inputs without an observed second."""
        return tuple(name for name, counts in self.inputs.items() if not counts.observed)

    @property
    def mostly(self) -> tuple[str, ...]:
        """Inputs that are observed in most seconds."""
        return tuple(name for name, counts in self.inputs.items() if counts.observed > MOST * counts.total)


def measured_of(config: Config, summaries: Iterable[BuildSummary]) -> Measured:
    """Add up what the build summaries of some splits say."""
    parts = list(summaries)
    cases = [case for summary in parts for case in summary.cases]
    written = {case.case_id for case in cases if case.windows}
    names = [item.name for item in config.inputs]
    vitals = [item.name for item in config.inputs if item.vital]
    inputs = {name: sum((_seconds(summary, name) for summary in parts), OriginCounts()) for name in names}
    observed = {name: _observed_in(parts, name) for name in names}
    counted = all(summary.coverage for summary in parts if summary.windows)
    without = [summary.without_vital for summary in parts]
    targets = {
        target.name: sum((summary.targets.get(target.name, OriginCounts()) for summary in parts), OriginCounts())
        for target in config.targets
    }
    return Measured(
        windows=sum(summary.windows for summary in parts),
        unobserved=sum(summary.unobserved for summary in parts),
        dropped=sum(summary.dropped for summary in parts),
        without_vital=None if None in without else sum(count or 0 for count in without),
        cases=len(written),
        with_vital=len(written & set().union(*(observed[name] for name in vitals))) if counted else None,
        with_all=len(written.intersection(*observed.values())) if counted else None,
        inputs=inputs,
        vitals={name: inputs[name] for name in vitals},
        targets=targets if all(summary.targets for summary in parts if summary.windows) else {},
    )


def _seconds(summary: BuildSummary, name: str) -> OriginCounts:
    counts = summary.statistics.get(name, FeatureStatistics())
    return OriginCounts(observed=counts.observed, held=counts.held, default=counts.default)


def _observed_in(summaries: Iterable[BuildSummary], name: str) -> set[int]:
    """Return the cases in which an input was observed."""
    return {case for summary in summaries for case, found in summary.coverage.get(name, {}).items() if found.observed}


class Standing(NamedTuple):
    """For how long values count as observed: the shortest and the longest time (s), and the tracks of the longest."""

    shortest: int
    longest: int
    tracks: tuple[str, ...]


def standing_of(config: Config) -> Standing:
    """Return for how long the values of the sources count as observed (`stale_after`)."""
    times = {source.name: source.stale_after for item in config.inputs for source in item.sources}
    longest = max(times.values())
    return Standing(min(times.values()), longest, tuple(track for track, time in times.items() if time == longest))


def gaps_in_words(config: Config) -> str:
    """Return what `imputation.causal` means for the data, in whole sentences."""
    if config.imputation.causal:
        return (
            "Gaps are filled from the past alone: the last value is held for the input's hold time, then the default "
            "stands. No sample and no origin depends on a later one, so the data are fit for a model that predicts "
            "while it records (imputation.causal is true)."
        )
    return (
        "Gaps are filled with knowledge of the future: a gap between two values is held without limit, the one after "
        "the last value for the input's hold time. A value that is held for longer shows that another one will come, "
        "which no model can know while it records (imputation.causal is false)."
    )
