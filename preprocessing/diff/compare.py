"""Two data sets compared: configuration, cases, counts, distributions, bytes. Pure functions of their descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from preprocessing.diff.described import Described
from preprocessing.documents import Model
from preprocessing.layout import SPLITS
from preprocessing.records.statistics import FeatureStatistics
from preprocessing.report.signals import distance

__all__ = ["Comparison", "compare"]


class Change(Model):
    """One thing that differs; None where one side has none."""

    key: str
    a: str | int | float | bool | None
    b: str | int | float | bool | None


class CaseChange(Model):
    """One case that both have and that differs."""

    case_id: int
    a: str
    b: str


class Cases(Model):
    """The requested cases of both.

    `outcome` are those written in one and excluded in the other, or for another reason. `input` are those whose
    recording or patient's build changed, None where a plan is no longer there to tell.
    """

    both: int
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    split: tuple[CaseChange, ...]
    outcome: tuple[CaseChange, ...]
    windows: tuple[CaseChange, ...]
    input: tuple[int, ...] | None


class Distribution(Model):
    """One input of one split in both: shares of observed seconds, means, and the distance of their distributions."""

    item: str
    split: str
    observed_a: float | None
    observed_b: float | None
    mean_a: float | None
    mean_b: float | None
    distance: float | None
    same: bool


class Bytes(Model):
    """The TFRecord files of both by SHA-256."""

    same: tuple[str, ...]
    different: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    bytes_a: int
    bytes_b: int


class Comparison(Model):
    """What is different between data sets A and B. `same` says that their files have the same bytes."""

    a: str
    b: str
    same: bool
    versions: tuple[Change, ...]
    config: tuple[Change, ...]
    cases: Cases
    counts: tuple[Change, ...]
    distributions: tuple[Distribution, ...]
    bytes: Bytes


def compare(a: Described, b: Described) -> Comparison:
    """Compare two data sets."""
    files = _bytes(a, b)
    return Comparison(
        a=a.uri,
        b=b.uri,
        same=not (files.different or files.only_a or files.only_b),
        versions=tuple(_changes(a.metadata["versions"], b.metadata["versions"])),
        config=tuple(_changes(a.metadata["config"], b.metadata["config"])),
        cases=_cases(a, b),
        counts=tuple(_counts(a, b)),
        distributions=tuple(_distributions(a, b)),
        bytes=files,
    )


def _flat(content: Any, key: str = "") -> Iterator[tuple[str, str | int | float | bool | None]]:
    """Yield (key, value) of all leaves; the entries of a list of named things are addressed as --set does."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list) and content and isinstance(content[0], Mapping):
        for place, value in enumerate(content):
            yield from _flat(value, f"{key}.{value.get('track') or value.get('name') or place}")
    elif isinstance(content, list):
        yield key, "[" + ", ".join(map(str, content)) + "]"
    else:
        yield key, content


def _changes(a: Any, b: Any) -> Iterator[Change]:
    first, second = dict(_flat(a)), dict(_flat(b))
    for key in [*first, *(key for key in second if key not in first)]:
        if first.get(key) != second.get(key):
            yield Change(key=key, a=first.get(key), b=second.get(key))


def _cases(a: Described, b: Described) -> Cases:
    both = sorted(a.cases.keys() & b.cases.keys())
    pairs = [(case, a.cases[case], b.cases[case]) for case in both]
    known = all(row.input_id for side in (a, b) for row in side.cases.values() if row.split)
    return Cases(
        both=len(both),
        only_a=tuple(sorted(a.cases.keys() - b.cases.keys())),
        only_b=tuple(sorted(b.cases.keys() - a.cases.keys())),
        split=tuple(
            CaseChange(case_id=case, a=x.split, b=y.split)
            for case, x, y in pairs
            if x.split and y.split and x.split != y.split
        ),
        outcome=tuple(
            CaseChange(case_id=case, a=x.reason or "written", b=y.reason or "written")
            for case, x, y in pairs
            if x.reason != y.reason
        ),
        windows=tuple(
            CaseChange(case_id=case, a=str(x.windows), b=str(y.windows))
            for case, x, y in pairs
            if x.reason == y.reason and x.windows != y.windows
        ),
        input=tuple(case for case, x, y in pairs if x.input_id and y.input_id and x.input_id != y.input_id)
        if known
        else None,
    )


def _counts(a: Described, b: Described) -> Iterator[Change]:
    for split in SPLITS:
        first, second = _counted(a, split), _counted(b, split)
        for name in first:
            yield Change(key=f"{split} {name}", a=first[name], b=second[name])


def _counted(item: Described, split: str) -> dict[str, int]:
    summary = item.summaries[split]
    return {
        "cases": sum(case.windows > 0 for case in summary.cases),
        "windows": summary.windows,
        "files": len(summary.files),
        "bytes": sum(file.bytes for file in summary.files),
    }


def _distributions(a: Described, b: Described) -> Iterator[Distribution]:
    names = dict.fromkeys(name for side in (a, b) for config in (side.metadata["config"],) for name in _names(config))
    for name in names:
        for split in SPLITS:
            first, second = (side.summaries[split].statistics.get(name, FeatureStatistics()) for side in (a, b))
            yield Distribution(
                item=name,
                split=split,
                observed_a=_observed(first),
                observed_b=_observed(second),
                mean_a=_mean(first),
                mean_b=_mean(second),
                distance=distance(first, second) if _range(a, name) == _range(b, name) else None,
                same=first == second,
            )


def _names(config: Mapping[str, Any]) -> list[str]:
    return [item["name"] for item in config["inputs"]]


def _range(side: Described, name: str) -> list[float] | None:
    return next((item["range"] for item in side.metadata["config"]["inputs"] if item["name"] == name), None)


def _observed(statistics: FeatureStatistics) -> float | None:
    total = statistics.observed + statistics.held + statistics.default
    return statistics.observed / total if total else None


def _mean(statistics: FeatureStatistics) -> float | None:
    return statistics.total / statistics.observed if statistics.observed else None


def _bytes(a: Described, b: Described) -> Bytes:
    first, second = (
        {file.name: file for summary in side.summaries.values() for file in summary.files} for side in (a, b)
    )
    both = sorted(first.keys() & second.keys())
    return Bytes(
        same=tuple(name for name in both if first[name].sha256 == second[name].sha256),
        different=tuple(name for name in both if first[name].sha256 != second[name].sha256),
        only_a=tuple(sorted(first.keys() - second.keys())),
        only_b=tuple(sorted(second.keys() - first.keys())),
        bytes_a=sum(file.bytes for file in first.values()),
        bytes_b=sum(file.bytes for file in second.values()),
    )
