"""The command's side of the comparison: as text, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preprocessing.diff.compare import Change, Comparison, compare
from preprocessing.diff.described import described
from preprocessing.plan.case_list import short_case_list
from preprocessing.report.command import write_page
from preprocessing.report.page import printable, rendered
from preprocessing.report.words import clinical, count, percent

__all__ = ["diff_data_sets", "text_of"]

MOST = 12  # lines of one kind


def diff_data_sets(a: str, b: str, *, html: str | None) -> tuple[dict[str, Any], str]:
    """Compare two data sets and, if wanted, write the page. Return the comparison as JSON types and as text."""
    comparison = compare(described(a), described(b))
    result = comparison.content()
    text = text_of(comparison)
    if html is not None:
        page = rendered("diff.html.j2", diff=comparison, cases=short_case_list)
        result["html"] = str(write_page(html, page))
        text += f"page           {result['html']}\n"
    return result, text


def text_of(diff: Comparison) -> str:
    """Return a comparison for a terminal; what is equal is said in a word."""
    lines = [f"A              {diff.a}", f"B              {diff.b}"]
    lines += _block("versions", [_change(change) for change in diff.versions])
    lines += _block("configuration", [_change(change) for change in diff.config])
    lines += _block("cases", list(_cases(diff)))
    lines += _block("counts", [_change(change) for change in diff.counts if change.a != change.b])
    apart = [item for item in diff.distributions if not item.same]
    lines += _block(
        "distributions",
        [
            f"{item.item} {item.split}: observed {percent(item.observed_a)} -> {percent(item.observed_b)}, "
            f"mean {clinical(item.mean_a)} -> {clinical(item.mean_b)}"
            + (f", distance {item.distance:.3f}" if item.distance is not None else "")
            for item in sorted(apart, key=lambda item: -(item.distance or 0))[:MOST]
        ]
        + ([f"{len(apart) - MOST} smaller differences; --html or --json has them"] if len(apart) > MOST else []),
    )
    found = diff.bytes
    lines += _block(
        "bytes",
        [f"{name}: another SHA-256" for name in found.different]
        + [f"{name}: only in A" for name in found.only_a]
        + [f"{name}: only in B" for name in found.only_b],
        same=f"the same: {len(found.same)} files, {count(found.bytes_a)} bytes",
    )
    return "\n".join(lines) + "\n"


def _cases(diff: Comparison) -> Iterator[str]:
    cases = diff.cases
    if cases.only_a:
        yield f"only in A: {short_case_list(cases.only_a)}"
    if cases.only_b:
        yield f"only in B: {short_case_list(cases.only_b)}"
    if cases.input:
        yield f"another recording or build: {short_case_list(cases.input)}"
    if cases.input is None:
        yield "whether recordings changed cannot be told: a plan is no longer there"
    for name, changes in (("split", cases.split), ("outcome", cases.outcome), ("windows", cases.windows)):
        for change in changes[:MOST]:
            yield f"case {change.case_id}, {name}: {change.a} -> {change.b}"
        if len(changes) > MOST:
            yield f"{len(changes) - MOST} more cases with other {name}"


def _change(change: Change) -> str:
    return f"{change.key}: {_shown(change.a)} -> {_shown(change.b)}"


def _shown(value: object) -> str:
    return "none" if value is None else printable(f"{value:,}" if type(value) is int else str(value))


def _block(title: str, lines: list[str], *, same: str = "the same") -> list[str]:
    body = lines[: 3 * MOST] or [same]
    if len(lines) > len(body):
        body.append(f"{len(lines) - len(body)} more; --html or --json has them all")
    return [f"{title if not place else '':14} {line}" for place, line in enumerate(body)]
