"""Warnings about what the recordings hold: whether anybody was measured, and what contradicts itself in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from vitalprep.contract.accounting import Account
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.contract.profiles import profiles_of
from vitalprep.contract.warning import DataWarning
from vitalprep.report.thresholds import Thresholds

__all__ = ["warnings_of_recordings"]


def warnings_of_recordings(plan: Plan, account: Account, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield the warnings about written cases, and about tracks of all harmonized ones."""
    written = {case: account.receipts[case] for case, outcome in sorted(account.outcomes.items()) if outcome.windows}
    yield from known_track_unused(plan, account)
    yield from case_without_vital(plan, written)
    yield from windows_without_vital(account, limits)
    yield from two_devices(written)
    yield from merged_clocks(written)
    yield from salvaged(written)


def known_track_unused(plan: Plan, account: Account) -> Iterator[DataWarning]:
    """Warn of tracks that a packaged profile lists for an input, but the configuration does not name: by profile."""
    order = [item.name for item in plan.config.inputs]
    for profile, pairs in profiles_of(account.unnamed, order).items():
        tracks: dict[str, list[str]] = defaultdict(list)
        for item, track in sorted(pairs, key=lambda pair: (order.index(pair[0]), -len(account.unnamed[pair[1]]))):
            tracks[item].append(track)
        cases = tuple(sorted({case for _, track in pairs for case in account.unnamed[track]}))
        said = "; ".join(f"{', '.join(names)} for {item}" for item, names in tracks.items())
        count = len({track for _, track in pairs})
        number, whose, them = (f"{count} tracks", "Their", "them as sources")
        if count == 1:
            number, whose, them = ("1 track", "Its", "it as a source")
        yield DataWarning(
            code="known_track_unused",
            level="warning",
            item=profile,
            cases=cases,
            message=f"The configuration does not name {number} of {_cases(cases, begins=False)} that the packaged "
            f"profile {profile} lists: {said}. {whose} values are not used. Add --profile {profile}, or name {them} in "
            "a configuration of your own.",
        )


def case_without_vital(plan: Plan, written: Mapping[int, FinishedCase]) -> Iterator[DataWarning]:
    """Warn of cases in which no vital sign has a value."""
    vitals = [item.name for item in plan.config.inputs if item.vital]
    cases = tuple(
        case
        for case, receipt in written.items()
        if vitals
        and receipt.features
        and not any(sum(receipt.features[name].live_seconds.values()) for name in vitals if name in receipt.features)
    )
    if cases:
        yield DataWarning(
            code="case_without_vital",
            level="warning",
            cases=cases,
            message=f"{_cases(cases)} without one observed vital sign: the records hold defaults. See which tracks the "
            "recordings have (vitalprep inspect), and leave these cases out or map their tracks.",
        )


def windows_without_vital(account: Account, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of splits of which many windows have no observed vital sign."""
    many: dict[str, float] = {}
    for split in SPLITS:
        summary = account.summaries.get(split)
        share = summary.without_vital / summary.windows if summary and summary.without_vital else 0.0
        if share > limits.unobserved_share:
            many[split] = share
    if many:
        said = ", ".join(f"{split} {100 * share:.1f} %" for split, share in many.items())
        yield DataWarning(
            code="windows_without_vital",
            level="warning",
            threshold=limits.unobserved_share,
            values=many,
            message=f"Windows without one observed second of a vital sign: {said}. Demand more with "
            "windowing.min_observed_inputs or windowing.min_observed_fraction.",
        )


def two_devices(written: Mapping[int, FinishedCase]) -> Iterator[DataWarning]:
    """Warn of tracks that two devices of one name recorded with different values in the same second."""
    found: dict[str, list[int]] = defaultdict(list)
    for case, receipt in written.items():
        for track in receipt.doubled:
            found[track].append(case)
    for track, cases in sorted(found.items()):
        seconds = sum(written[case].doubled[track] for case in cases)
        yield DataWarning(
            code="two_devices",
            level="warning",
            item=track,
            cases=tuple(cases),
            message=f"Two devices record {track} with different values in {seconds} seconds of "
            f"{_cases(cases, begins=False)}. The later record of a second was used.",
        )


def merged_clocks(written: Mapping[int, FinishedCase]) -> Iterator[DataWarning]:
    """Warn of cases whose clock was set back and whose records were merged by time."""
    cases = tuple(case for case, receipt in written.items() if receipt.set_back)
    if cases:
        yield DataWarning(
            code="clock_set_back",
            level="warning",
            cases=cases,
            message=f"The clock was set back in {_cases(cases, begins=False)}, and the same moments were recorded "
            "twice. The records were merged by time, because reading.clock_set_back is merge.",
        )


def salvaged(written: Mapping[int, FinishedCase]) -> Iterator[DataWarning]:
    """Note cases whose recording is unfinished and was used up to its last whole packet."""
    cases = tuple(case for case, receipt in written.items() if receipt.salvaged)
    if cases:
        yield DataWarning(
            code="salvaged",
            level="note",
            cases=cases,
            message=f"{_cases(cases)} from an unfinished file, used up to the last whole packet (reading.salvage).",
        )


def _cases(cases: tuple[int, ...] | list[int], *, begins: bool = True) -> str:
    word = "case" if len(cases) == 1 else "cases"
    return f"{word.capitalize() if begins else word} {short_case_list(cases)}"
