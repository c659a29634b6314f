"""Compares two data sets: source, configuration, cases, counts, warnings, bytes. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from vitalprep.contract.paths import SPLITS
from vitalprep.contract.warning import DataWarning
from vitalprep.diff.comparison import Bytes, CaseChange, Cases, Change, Comparison, WarningChanges
from vitalprep.diff.described import Described
from vitalprep.diff.distributions import distributions, target_origins

__all__ = ["compare"]


def compare(a: Described, b: Described) -> Comparison:
    """Compare two data sets."""
    files = _bytes(a, b)
    return Comparison(
        a=a.uri,
        b=b.uri,
        name_a=a.metadata.name,
        name_b=b.metadata.name,
        content_id_a=a.content_id,
        content_id_b=b.content_id,
        same_content=a.content_id is not None and a.content_id == b.content_id,
        source_a=_source(a).get("source.name"),
        source_b=_source(b).get("source.name"),
        same=not (files.different or files.only_a or files.only_b),
        versions=tuple(_changes(a.metadata.versions, b.metadata.versions)),
        source=tuple(_changes(_source(a), _source(b))),
        config=tuple(_changes(a.metadata.config, b.metadata.config)),
        cases=_cases(a, b),
        counts=tuple(_counts(a, b)),
        warnings=_warnings(a, b),
        targets=tuple(target_origins(a, b)),
        distributions=tuple(distributions(a, b)),
        bytes=files,
    )


def _source(side: Described) -> dict[str, Any]:
    """Return what a data set states about its source, by key; empty if it states nothing."""
    return dict(_flat(side.metadata.source or {}))


def _flat(content: Any, key: str = "") -> Iterator[tuple[str, str | int | float | bool | None]]:
    """Yield (key, value) of all leaves. Entries of lists are addressed by name, as in --set."""
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
    moved = [(case, x, y) for case, x, y in pairs if x.input_id and y.input_id and x.input_id != y.input_id]
    copied = {case for case, x, y in moved if x.made is not None and x.made == y.made}
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
            for case, x, y in sorted(pairs, key=lambda pair: -abs(pair[1].windows - pair[2].windows))
            if x.reason == y.reason and x.windows != y.windows
        ),
        input=tuple(case for case, _, _ in moved if case not in copied) if known else None,
        stamp=tuple(case for case, _, _ in moved if case in copied) if known else None,
    )


def _counts(a: Described, b: Described) -> Iterator[Change]:
    for split in SPLITS:
        first, second = _counted(a, split), _counted(b, split)
        for name in first:
            yield Change(key=f"{split} {name}", a=first[name], b=second[name])
    yield Change(key="cases requested", a=len(a.cases), b=len(b.cases))
    excluded = [Counter(row.reason for row in side.cases.values() if row.reason) for side in (a, b)]
    for reason in sorted(excluded[0] | excluded[1]):
        yield Change(key=f"excluded, {reason}", a=excluded[0][reason], b=excluded[1][reason])


def _counted(item: Described, split: str) -> dict[str, int]:
    summary = item.summaries[split]
    written = [case for case in summary.cases if case.windows]
    return {
        "cases": len(written),
        "subjects": len({item.cases[case.case_id].subject for case in written if case.case_id in item.cases}),
        "windows": summary.windows,
        "windows unobserved": summary.unobserved,
        "windows dropped": summary.dropped,
        "files": len(summary.files),
        "bytes": sum(file.bytes for file in summary.files),
    }


def _warnings(a: Described, b: Described) -> WarningChanges | None:
    if a.metadata.warnings is None or b.metadata.warnings is None:
        return None
    first, second = ({_kind(item): item for item in known} for known in (a.metadata.warnings, b.metadata.warnings))
    return WarningChanges(
        both=len(first.keys() & second.keys()),
        only_a=tuple((item.level, item.message) for key, item in first.items() if key not in second),
        only_b=tuple((item.level, item.message) for key, item in second.items() if key not in first),
    )


def _kind(warning: DataWarning) -> tuple[Any, ...]:
    return warning.code, warning.level, warning.item, warning.cases, tuple(sorted(warning.values))


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
