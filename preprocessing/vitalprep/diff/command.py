"""The command's side of the comparison: as text, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vitalprep.contract.case_list import short_case_list
from vitalprep.diff.compare import compare
from vitalprep.diff.comparison import Change, Comparison, Distribution, Shares
from vitalprep.diff.described import described
from vitalprep.report.command import write_page
from vitalprep.report.page import rendered
from vitalprep.report.words import NOTHING, clinical, count, percent
from vitalprep.runtime.printable import printable

__all__ = ["diff_data_sets", "shown", "text_of"]

MOST = 12  # lines of one kind
LONGEST = 100  # letters of a value that a terminal is shown
MOST_LISTED = 100  # lines of one kind on the page: a step of the windows changes every case


def diff_data_sets(a: str, b: str, *, html: str | None) -> tuple[dict[str, Any], str]:
    """Compare two data sets and, if wanted, write the page. Return the comparison as JSON types and as text."""
    comparison = compare(described(a), described(b))
    result = comparison.content()
    text = text_of(comparison)
    if html is not None:
        page = rendered("diff.html.j2", diff=comparison, cases=short_case_list, shown=shown, most=MOST_LISTED)
        result["html"] = str(write_page(html, page))
        text += f"page           {result['html']}\n"
    return result, text


def text_of(diff: Comparison) -> str:
    """Return a comparison for a terminal; what is equal is said in a word."""
    lines = [_content(diff), _side("A", diff.a, diff.name_a), _side("B", diff.b, diff.name_b)]
    lines += _block("versions", [_change(change) for change in diff.versions])
    lines += _block("source", [_change(change) for change in diff.source])
    lines += _block("configuration", [_change(change) for change in diff.config])
    lines += _block("cases", list(_cases(diff)))
    lines += _block("counts", [_change(change) for change in diff.counts if change.a != change.b])
    lines += _block("warnings", list(_warnings(diff)))
    lines += _block("targets", _first([line for _, line in sorted(_targets(diff), key=lambda found: -found[0])]))
    apart = [item for item in diff.distributions if not item.same]
    lines += _block("distributions", _first([_distribution(item) for item in apart]))
    found = diff.bytes
    lines += _block(
        "bytes",
        [f"{name}: another SHA-256" for name in found.different]
        + [f"{name}: only in A" for name in found.only_a]
        + [f"{name}: only in B" for name in found.only_b],
        same=f"the same: {len(found.same)} files, {shown('bytes', found.bytes_a)}",
    )
    return "\n".join(map(printable, lines)) + "\n"


def _content(diff: Comparison) -> str:
    """Return whether the records are the same: the first thing that is asked."""
    if diff.same_content:
        stamps = diff.a != diff.b and diff.cases.stamp
        return f"content        the same content{'; file stamps differ' if stamps else ''}: {diff.content_id_a}"
    ids = [(side or "unknown")[:12] for side in (diff.content_id_a, diff.content_id_b)]
    return f"content        different: A {ids[0]}, B {ids[1]}"


def _side(side: str, uri: str, name: str | None) -> str:
    return f"{side:14} {uri}" + (f" ({name})" if name else "")


def shown(key: str, value: object) -> str:
    """Return a value as it is read: bytes in MB, thousands set apart."""
    if value is None:
        return "none"
    if type(value) is int and key.split()[-1] == "bytes":
        return f"{value / 1e6:,.2f} MB"
    if type(value) is int:
        return count(value)
    return printable(str(value))


def _cases(diff: Comparison) -> Iterator[str]:
    cases = diff.cases
    if cases.only_a:
        yield f"only in A: {short_case_list(cases.only_a)}"
    if cases.only_b:
        yield f"only in B: {short_case_list(cases.only_b)}"
    if cases.input:
        yield f"recording, or the patient's sex, height or weight, differs: {short_case_list(cases.input)}"
    if cases.stamp:
        yield f"file stamps differ, same bytes: {short_case_list(cases.stamp)}"
    if cases.input is None:
        yield "unknown whether recordings changed: a plan no longer exists"
    for name, changes in (("split", cases.split), ("outcome", cases.outcome), ("windows", cases.windows)):
        yield from _first([f"case {change.case_id}, {name}: {change.a} -> {change.b}" for change in changes])


def _warnings(diff: Comparison) -> Iterator[str]:
    if diff.warnings is None:
        yield "unknown: a data set does not list its warnings"
        return
    for side, found in (("A", diff.warnings.only_a), ("B", diff.warnings.only_b)):
        yield from _first([f"only in {side}: {printable(message)}" for level, message in found if level == "warning"])
        notes = sum(level != "warning" for level, _ in found)
        if notes:
            yield f"only in {side}: {notes} {'note' if notes == 1 else 'notes'}"


def _targets(diff: Comparison) -> Iterator[tuple[float, str]]:
    """Yield how far the shares of default are apart, and the line of it."""
    for item in diff.targets:
        name = f"{printable(item.item)} {item.split}"
        if item.a is None or item.b is None:
            if item.a != item.b:
                yield 1.0, f"{name}: not counted in {'A' if item.a is None else 'B'}"
        elif _apart(item.a, item.b):
            yield abs((item.a.default or 0) - (item.b.default or 0)), f"{name}: {_apart(item.a, item.b)}"


def _distribution(item: Distribution) -> str:
    parts = [f"distance {item.distance:.3f}" if item.distance is not None else f"no distance, {item.no_distance}"]
    if (item.cases_a, item.cases_b) != (0, 0):
        parts[0] += f" ({count(item.cases_a)} and {count(item.cases_b)} cases)"
    parts.append(_apart(item.a, item.b))
    if clinical(item.mean_a) != clinical(item.mean_b):
        parts.append(f"mean {clinical(item.mean_a)} -> {clinical(item.mean_b)}")
    return f"{printable(item.item)} {item.split}: " + ", ".join(part for part in parts if part)


def _apart(a: Shares, b: Shares) -> str:
    """Return the shares that differ as they are shown."""
    pairs = [(name, percent(getattr(a, name)), percent(getattr(b, name))) for name in Shares.model_fields]
    return ", ".join(f"{name} {x} -> {y}" for name, x, y in pairs if x != y and (x, y) != (NOTHING, NOTHING))


def _first(lines: list[str]) -> list[str]:
    """Return the first lines, and how many follow."""
    return lines[:MOST] + ([f"{len(lines) - MOST} more; --html or --json has them"] if len(lines) > MOST else [])


def _change(change: Change) -> str:
    if any(isinstance(value, str) and len(value) > LONGEST for value in (change.a, change.b)):
        return f"{printable(change.key)}: another text"
    return f"{printable(change.key)}: {shown(change.key, change.a)} -> {shown(change.key, change.b)}"


def _block(title: str, lines: list[str], *, same: str = "the same") -> list[str]:
    body = lines[: 3 * MOST] or [same]
    if len(lines) > len(body):
        body.append(f"{len(lines) - len(body)} more; --html or --json has them all")
    return [f"{title if not place else '':14} {line}" for place, line in enumerate(body)]
