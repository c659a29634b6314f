"""Markdown from untrusted text: names, units and sources appear literally, never as markup.

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
# What GitHub and the Hugging Face hub make links of without any markup; an escape would not keep the latter from it.
_BARE_LINK = re.compile(
    r"((?:\b(?:https?|ftp)://|\bwww\.|\b(?:mailto|xmpp):)[^\s<>|`]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)", re.I
)
_AT_BEGIN = re.compile(r"^([-+=]|\d+[.)])")


def plain(text: str) -> str:
    r"""Return a text on one line, read as it stands; an address in it is shown as code, so that nothing links to it.

    Examples
    --------
    >>> plain("<b>[x](y)")
    '&lt;b&gt;\\[x\\](y)'
    >>> plain("see www.example.org")
    'see `www.example.org`'
    """
    parts = _BARE_LINK.split(one_line(text))
    line = "".join(code(part) if place % 2 else _escaped(part) for place, part in enumerate(parts))
    begin = _AT_BEGIN.match(line)
    return f"{line[: begin.end() - 1]}\\{line[begin.end() - 1 :]}" if begin else line


def _escaped(text: str) -> str:
    for character, entity in _ENTITIES.items():
        text = text.replace(character, entity)
    return _MARKUP.sub(r"\\\1", text)


def code(text: str) -> str:
    """Return a name as inline code for a sentence or a table cell.

    Examples
    --------
    >>> code("BP_SYS")
    '`BP_SYS`'
    """
    return f"`{one_line(text).replace('`', chr(39)).replace('|', '¦') or ' '}`"


def fenced(text: str, language: str) -> str:
    """Return lines as a fenced code block with a fence that the lines cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int) -> str:
    """Return a table of Markdown cells; columns from `numbers_from` on are right-aligned."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def bullets(texts: Iterable[str]) -> str:
    """Return a bullet list of Markdown texts."""
    return "\n".join(f"- {text}" for text in texts)


def one_line(text: str) -> str:
    """Return a text without line breaks and invisible characters."""
    seen = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
    return " ".join(seen.split())
