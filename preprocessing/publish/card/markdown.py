"""Markdown of text that others wrote: names, units and sources come out as they are read, never as markup.

As CommonMark 0.31 and GitHub's tables take it: what could begin markup is escaped, line breaks and characters that are
not to be seen become spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["bullets", "code", "fenced", "one_line", "plain", "table"]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"([\\`*_\[\]|#~$])")
_AT_BEGIN = re.compile(r"^([-+=]|\d+[.)])")


def plain(text: str) -> str:
    r"""Return a text on one line, read as it stands.

    Examples
    --------
    >>> plain("<b>[x](y)")
    '&lt;b&gt;\\[x\\](y)'
    """
    line = one_line(text)
    for character, entity in _ENTITIES.items():
        line = line.replace(character, entity)
    line = _MARKUP.sub(r"\\\1", line)
    begin = _AT_BEGIN.match(line)
    return f"{line[: begin.end() - 1]}\\{line[begin.end() - 1 :]}" if begin else line


def code(text: str) -> str:
    """Return a name as code, to stand in a sentence or in a table.

    Examples
    --------
    >>> code("BP_SYS")
    '`BP_SYS`'
    """
    return f"`{one_line(text).replace('`', chr(39)).replace('|', '¦') or ' '}`"


def fenced(text: str, language: str) -> str:
    """Return lines as a block of code that nothing in them ends."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int) -> str:
    """Return a table of cells that are Markdown already; columns from `numbers_from` on stand to the right."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def bullets(texts: Iterable[str]) -> str:
    """Return a list of texts that are Markdown already."""
    return "\n".join(f"- {text}" for text in texts)


def one_line(text: str) -> str:
    """Return a text without line breaks and without characters that are not to be seen."""
    seen = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
    return " ".join(seen.split())
