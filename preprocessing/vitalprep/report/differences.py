"""Differences of validation and test from train: patients, distributions, coverage, and sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import FeatureStatistics
from vitalprep.contract.config import Input, Source
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.report.chance import effective_number, smirnov_p, student_p
from vitalprep.report.demographics import Fact, demographics_of, facts_of
from vitalprep.report.signals import distance, sources_of

__all__ = ["Difference", "differences_of"]

Kind = Literal["splits_differ", "distributions_differ", "coverage_differs", "sources_differ"]


@dataclass(frozen=True)
class Difference:
    """One comparison of a split with train.

    Attributes
    ----------
    item : str
        The static, the input or the source's track.
    effect : float
        Standardized difference, distance, or difference of shares.
    values : mapping
        What is shown of it by split: the effect, or the shares of train and of the split.
    p : float or None
        The chance of as great an effect if subjects were put into the splits at random; None where one of the groups
        has fewer than `fewest` subjects.
    """

    kind: Kind
    item: str
    split: str
    effect: float
    values: Mapping[str, float]
    p: float | None


def differences_of(plan: Plan, account: Account, *, fewest: int) -> list[Difference]:
    """Return all possible comparisons. They are the family for the correction for multiple testing."""
    found = _Splits(plan, account, fewest)
    return [*_statics(found), *_distributions(found), *_coverage(found), *_sources(found)]


@dataclass(frozen=True)
class _Splits:
    plan: Plan
    account: Account
    fewest: int

    @cached_property
    def written(self) -> Mapping[str, Mapping[int, int]]:
        """Subject of each written case, by split."""
        outcomes = self.account.outcomes
        return {
            split: {
                case.case_id: case.subject_id
                for case in self.plan.cases_of(split)
                if case.case_id in outcomes and outcomes[case.case_id].windows
            }
            for split in SPLITS
        }

    def shares(self, split: str, parts: Callable[[int], tuple[int, int]]) -> list[float]:
        """Return each subject's share from the (part, whole) of its cases; subjects with a whole of 0 are left out."""
        sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for case, subject in self.written[split].items():
            part, whole = parts(case)
            sums[subject][0] += part
            sums[subject][1] += whole
        return [part / whole for part, whole in sums.values() if whole]

    def p_of_means(self, first: Sequence[float], second: Sequence[float]) -> float | None:
        return student_p(first, second) if self._enough(first, second) else None

    def p_of_distance(self, found: float, first: Sequence[int], second: Sequence[int]) -> float | None:
        if not self._enough(first, second):
            return None
        return smirnov_p(found, effective_number(first), effective_number(second))

    def _enough(self, *groups: Collection[float]) -> bool:
        return min(map(len, groups)) >= self.fewest


def _statics(splits: _Splits) -> Iterator[Difference]:
    shown = demographics_of(splits.plan, splits.account.outcomes)
    for fact, item in zip(facts_of(splits.plan), shown, strict=True):
        means: dict[str, list[float]] = {split: _means(splits, split, fact) for split in SPLITS}
        for split, effect in item.differences.items():
            if effect is not None:
                p = splits.p_of_means(means["train"], means[split])
                yield Difference("splits_differ", item.static.name, split, effect, {split: effect}, p)


def _means(splits: _Splits, split: str, fact: Fact) -> list[float]:
    """Return each subject's mean of a fact over its cases."""
    values: dict[int, list[float]] = defaultdict(list)
    for case, subject in splits.written[split].items():
        if case in fact.values:
            values[subject].append(fact.values[case])
    return [sum(own) / len(own) for own in values.values()]


def _distributions(splits: _Splits) -> Iterator[Difference]:
    for item in splits.plan.config.inputs:
        for split in SPLITS[1:]:
            effect = distance(_statistics(splits, "train", item), _statistics(splits, split, item))
            if effect is not None:
                p = splits.p_of_distance(effect, _weights(splits, "train", item), _weights(splits, split, item))
                yield Difference("distributions_differ", item.name, split, effect, {split: effect}, p)


def _statistics(splits: _Splits, split: str, item: Input) -> FeatureStatistics:
    summary = next((summary for name, summary in splits.account.summaries.items() if name == split), None)
    return summary.statistics.get(item.name, FeatureStatistics()) if summary else FeatureStatistics()


def _observed(splits: _Splits, item: Input) -> dict[int, int]:
    """Return the observed seconds of each case. Builds of earlier versions have none."""
    return {
        case: coverage.observed
        for summary in splits.account.summaries.values()
        for case, coverage in summary.coverage.get(item.name, {}).items()
    }


def _weights(splits: _Splits, split: str, item: Input) -> list[int]:
    """Return each subject's observed seconds, where there are any."""
    observed, sums = _observed(splits, item), defaultdict[int, int](int)
    for case, subject in splits.written[split].items():
        sums[subject] += observed.get(case, 0)
    return [seconds for seconds in sums.values() if seconds]


def _coverage(splits: _Splits) -> Iterator[Difference]:
    for item in splits.plan.config.inputs:
        counts = {split: _statistics(splits, split, item) for split in SPLITS}
        seconds = {split: part.observed + part.held + part.default for split, part in counts.items()}
        shares: dict[str, float] = {
            split: counts[split].observed / seconds[split] for split in SPLITS if seconds[split]
        }
        observed = _observed(splits, item)

        def parts(case: int, observed: Mapping[int, int] = observed) -> tuple[int, int]:
            return observed.get(case, 0), (splits.account.outcomes[case].seconds or 0) if case in observed else 0

        by_subject: dict[str, list[float]] = {split: splits.shares(split, parts) for split in SPLITS}
        yield from _of_shares(splits, "coverage_differs", item.name, shares, by_subject)


def _sources(splits: _Splits) -> Iterator[Difference]:
    receipts = splits.account.receipts
    for item in splits.plan.config.inputs:
        for place, source in enumerate(item.sources[1:], start=1):  # the first one's share is what the others leave
            shares: dict[str, float] = {}
            for split in SPLITS:
                used = sources_of(item, (receipts[case] for case in splits.written[split]))
                if any(use.seconds for use in used):
                    shares[split] = used[place].share

            def parts(case: int, item: Input = item, source: Source = source) -> tuple[int, int]:
                quality = receipts[case].features.get(item.name)
                live = quality.live_seconds if quality else {}
                return live.get(source.name, 0), sum(live.values())

            by_subject: dict[str, list[float]] = {split: splits.shares(split, parts) for split in SPLITS}
            yield from _of_shares(splits, "sources_differ", source.name, shares, by_subject)


def _of_shares(
    splits: _Splits, kind: Kind, item: str, shares: Mapping[str, float], by_subject: Mapping[str, Sequence[float]]
) -> Iterator[Difference]:
    if "train" not in shares:
        return
    for split in SPLITS[1:]:
        if split in shares:
            p = splits.p_of_means(by_subject["train"], by_subject[split])
            values: dict[str, float] = {"train": shares["train"], split: shares[split]}
            yield Difference(kind, item, split, shares[split] - shares["train"], values, p)
