"""The fenced blocks of README and documentation, and what the tests do with each.

A block of ``sh``, ``python`` or ``yaml`` is executed, in the order of its page, unless a comment stands before it:

``<!-- snippet: not run: REASON -->``
    Cannot run here (needs an account, an engine, the network, ...). What can be told without running it is checked:
    targets of make, vitalprep's commands and options, Python's syntax, the DAG's id, Terraform's outputs.
``<!-- snippet: pending: WHAT -->``
    Shows what is not built yet. It is executed and must fail; once it works, the test asks for the comment's removal.
``<!-- snippet: exits CODE -->``
    Is executed and ends with this exit code.
``<!-- snippet: output -->``
    A ``text`` block that shows what the block before it prints: the same labels in the same order.

``text`` is a picture or an output. Blocks in braces (``{toctree}``) are Sphinx's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Snippet", "markdown_pages", "snippets_of"]

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ("sh", "python", "yaml")
SHOWN = ("text",)
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>[^`]*)$")
MARKER = re.compile(r"^ *<!-- snippet: (?P<kind>not run|pending|exits|output)(?::? (?P<said>.+?))? -->$")
ANY_MARKER = re.compile(r"^\s*<!--\s*snippet", re.IGNORECASE)


@dataclass(frozen=True)
class Snippet:
    """One block. `kind` is run, not run, pending, exits, output or shown; `said` is the reason or the exit code."""

    page: str
    line: int
    language: str
    text: str
    kind: str
    said: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def markdown_pages() -> list[Path]:
    """README, the pages of the documentation, and the contributor's page."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if "_build" not in page.parts]


PAGES = [str(page.relative_to(ROOT)) for page in markdown_pages()]


def snippets_of(page: str) -> list[Snippet]:
    """Return the blocks of a page.

    Raises
    ------
    ValueError
        At an unknown marker, a marker without its block, a language that nobody decided about, or a fence without end.
    """
    return list(_snippets(page, (ROOT / page).read_text("utf-8").splitlines()))


def _snippets(page: str, lines: list[str]) -> Iterator[Snippet]:
    marker: tuple[str, str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if ANY_MARKER.search(line):
            found = MARKER.match(line)
            if found is None:
                raise ValueError(f"{page}:{number}: unknown marker {line.strip()!r}; see tests/docs/snippets.py")
            marker = (found["kind"], found["said"] or "")
            continue
        fence = FENCE.match(line)
        if fence is None:
            if marker and line.strip():
                raise ValueError(f"{page}:{number}: a marker stands before no block")
            continue
        begin, body = number, []
        while number < len(lines) and lines[number].strip() != fence["fence"]:
            body.append(lines[number].removeprefix(fence["indent"]))
            number += 1
        if number == len(lines):
            raise ValueError(f"{page}:{begin}: the block does not end")
        number += 1
        yield _snippet(page, begin, fence["info"].strip(), "\n".join(body) + "\n", marker)
        marker = None


def _snippet(page: str, line: int, info: str, text: str, marker: tuple[str, str] | None) -> Snippet:
    place = f"{page}:{line}"
    kind, said = marker or (("run", "") if info in EXECUTED else ("shown", ""))
    if not info.startswith("{") and info not in EXECUTED + SHOWN:
        raise ValueError(f"{place}: nobody decided what to do with blocks of {info!r}")
    if kind in ("not run", "pending") and not said:
        raise ValueError(f"{place}: a block that is {kind} has no reason")
    if kind == "exits" and not said.isdigit():
        raise ValueError(f"{place}: exits without a code")
    if (kind == "output" and info != "text") or (kind in ("pending", "exits") and info not in EXECUTED):
        raise ValueError(f"{place}: the marker {kind!r} does not fit a block of {info!r}")
    return Snippet(page, line, info, text, kind, said)
