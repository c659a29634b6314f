"""Statistical warnings about a data set, to be read before training on it.

Pure functions of counts and receipts. `Thresholds` documents each threshold with its source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from vitalprep.contract.accounting import Account
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.config import BODY
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.contract.warning import Code, DataWarning, Level
from vitalprep.report.chance import holm
from vitalprep.report.demographics import Demographic, demographics_of
from vitalprep.report.differences import Difference, differences_of
from vitalprep.report.duplicates import near_duplicates
from vitalprep.report.recording_warnings import warnings_of_recordings
from vitalprep.report.signal_warnings import origin_tells_future, warnings_of_signals
from vitalprep.report.thresholds import Thresholds
from vitalprep.report.words import listed

__all__ = ["Thresholds", "warnings_of"]

MOST_GROUPS = 100


def warnings_of(plan: Plan, account: Account, thresholds: Thresholds | None = None) -> list[DataWarning]:
    """Return all warnings of a data set, with level ``warning`` before ``note``."""
    limits = thresholds or Thresholds()
    demographics = demographics_of(plan, account.outcomes)
    found = [
        *recordings_left_out(plan),
        *warnings_of_recordings(plan, account, limits),
        *few_subjects(plan, account, limits),
        *cases_dominate(plan, account, limits),
        *near_duplicate_cases(plan, account),
        *static_all_default(demographics),
        *static_outside_limits(plan, account),
        *warnings_of_signals(plan.config, account, limits),
        *apart(differences_of(plan, account, fewest=limits.fewest_subjects), limits),
        *origin_tells_future(plan.config),
    ]
    return sorted(found, key=lambda warning: warning.level != "warning")


def recordings_left_out(plan: Plan) -> Iterator[DataWarning]:
    """Yield the recordings of the input that no case uses, by reason."""
    for one in plan.left_out:
        yield DataWarning(
            code="recordings_left_out",
            level="note" if one.reason in ("hidden", "trash") else "warning",
            item=one.reason,
            message=f"Left out: {one.described}.",
        )


def few_subjects(plan: Plan, account: Account, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of splits with too few subjects to train on or to evaluate with."""
    counts = {
        split: len({plan.by_id[case.case_id].subject_id for case in summary.cases if case.windows})
        for split, summary in account.summaries.items()
    }
    few: dict[str, float] = {split: float(count) for split, count in counts.items() if 0 < count < limits.few_subjects}
    if few:
        none = {split: count for split, count in few.items() if count < limits.no_conclusion}
        numbers = ", ".join(f"{split} {few[split]:g}" for split in SPLITS if split in few)
        yield DataWarning(
            code="few_subjects",
            level="warning",
            threshold=limits.few_subjects,
            values=few,
            message=f"Fewer than {limits.few_subjects} subjects in {listed(few)} ({numbers})"
            f"{f'; fewer than {limits.no_conclusion} allow no conclusion' if none else ''}.",
        )


def cases_dominate(plan: Plan, account: Account, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of cases that supply a large share of a split's windows, in splits with enough subjects."""
    for split, summary in account.summaries.items():
        windows = {case.case_id: case.windows for case in summary.cases if case.windows}
        if len({plan.by_id[case].subject_id for case in windows}) < limits.no_conclusion:
            continue
        most = {case: n / summary.windows for case, n in windows.items() if n / summary.windows > limits.case_share}
        if most:
            together = sum(most.values())
            yield DataWarning(
                code="cases_dominate",
                level="warning",
                threshold=limits.case_share,
                values={split: together},
                cases=tuple(sorted(most)),
                message=f"{'Cases' if len(most) > 1 else 'Case'} {short_case_list(sorted(most))} of {len(windows)} "
                f"{'give' if len(most) > 1 else 'gives'} {100 * together:.0f} % of the windows of {split}.",
            )


def apart(differences: Sequence[Difference], limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of differences from train beyond chance; large differences that chance may explain become notes."""
    tested = [item for item in differences if item.p is not None]
    rejected = holm([item.p or 0.0 for item in tested], limits.level)
    proved = {id(item) for item, sure in zip(tested, rejected, strict=True) if sure}
    threshold = {"splits_differ": limits.difference, "distributions_differ": limits.distance}
    groups: dict[tuple[Code, str, Level], list[Difference]] = defaultdict(list)
    for item in differences:
        least, level = threshold.get(item.kind, limits.share_difference), "warning"
        if id(item) not in proved:
            least, level = limits.large, "note"
        if abs(item.effect) > least:
            groups[item.kind, item.item, "warning" if level == "warning" else "note"].append(item)
    for (kind, name, severity), found in groups.items():
        values: dict[str, float] = {split: value for item in found for split, value in item.values.items()}
        yield DataWarning(
            code=kind,
            level=severity,
            item=name,
            threshold=limits.large if severity == "note" else threshold.get(kind, limits.share_difference),
            values={split: values[split] for split in SPLITS if split in values},
            message=f"{SAID[kind].format(name=name, splits=listed({item.split for item in found}))}"
            f"{'' if severity == 'warning' else '; chance cannot be excluded'}.",
        )


SAID: Mapping[Code, str] = {
    "splits_differ": "The patients of {splits} differ from those of train in {name}",
    "distributions_differ": "The distribution of {name} in {splits} differs from that in train",
    "coverage_differs": "The observed share of {name} in {splits} differs from that in train",
    "sources_differ": "The share of {name} among its input's values in {splits} differs from that in train",
}


def near_duplicate_cases(plan: Plan, account: Account) -> Iterator[DataWarning]:
    """Warn of groups of written cases that are the same recording: at most 100 groups, then their number."""
    tables = {
        case: account.receipts[case].values_digest for case, outcome in account.outcomes.items() if outcome.windows
    }
    sketches = {case: sketch for summary in account.summaries.values() for case, sketch in summary.sketches.items()}
    groups = near_duplicates(tables, sketches)
    for group in groups[:MOST_GROUPS]:
        splits = dict.fromkeys(split for split in SPLITS if any(plan.by_id[case].split == split for case in group))
        subjects = {plan.by_id[case].subject_id for case in group}
        whose = "one subject" if len(subjects) == 1 else f"{len(subjects)} subjects"
        yield DataWarning(
            code="near_duplicate",
            level="warning",
            cases=group,
            message=f"Cases {short_case_list(group)} are nearly the same recording, under {whose}, in "
            f"{listed(splits)}{': the split leaks' if len(splits) > 1 else ''}.",
        )
    if len(groups) > MOST_GROUPS:
        yield DataWarning(
            code="near_duplicate",
            level="warning",
            message=f"{len(groups) - MOST_GROUPS} more groups of cases are nearly the same recording.",
        )


def static_all_default(demographics: list[Demographic]) -> Iterator[DataWarning]:
    """Warn of statics, and of body measures for doses, that are missing in every written case of a split."""
    for item in demographics:
        splits = {split: 1.0 for split, summary in item.splits.items() if summary.default and not summary.known}
        if splits and (item.in_records or item.static.name in BODY):
            holds = "the records hold" if item.in_records else "doses and tidal volumes use"
            yield DataWarning(
                code="static_all_default",
                level="warning",
                item=item.static.name,
                values=splits,
                message=f"{item.static.name} is missing in every case of {listed(splits)}: {holds} the "
                f"default {item.static.default:g}. Check the clinical table.",
            )


def static_outside_limits(plan: Plan, account: Account) -> Iterator[DataWarning]:
    """Yield statics whose limits dropped the value of a written case."""
    written = {case for case, outcome in account.outcomes.items() if outcome.windows}
    for item in plan.config.statics:
        cases = tuple(case for case in plan.outside_limits.get(item.name, ()) if case in written)
        if cases and item.limits:
            low, high = item.limits
            yield DataWarning(
                code="static_outside_limits",
                level="warning",
                item=item.name,
                values=_shares_by_split(plan, set(cases), written),
                cases=cases,
                message=f"{item.name} lies outside of its limits {low:g} to {high:g} in "
                f"{'case' if len(cases) == 1 else 'cases'} {short_case_list(cases)}: the records hold the default "
                f"{item.default:g}. Look at column {item.table_column} of the clinical table.",
            )


def _shares_by_split(plan: Plan, cases: Collection[int], written: Collection[int]) -> dict[str, float]:
    """Return which share of each split's written cases some cases are; splits without one are left out."""
    shares = {}
    for split in SPLITS:
        own = [case.case_id for case in plan.cases_of(split) if case.case_id in written]
        some = sum(case in cases for case in own)
        if some:
            shares[str(split)] = some / len(own)
    return shares
