"""Escapes untrusted text so that terminals, logs and tables can show it safely."""

from __future__ import annotations

__all__ = ["FORMULA", "printable", "printable_lines", "shortened"]

FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a cell with such a first character, unless it is a number


def printable(text: str) -> str:
    r"""Return a text as one line: line breaks, control characters and bidirectional overrides are escaped.

    Examples
    --------
    >>> print(printable("\x1b[2Jone\ntwo"))
    \x1b[2Jone\ntwo
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable_lines(text: str) -> str:
    """Escape each line of a text with `printable`, and keep its line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, most: int) -> str:
    """Return a text cut to its first `most` characters and an ellipsis, or unchanged if it is no longer."""
    return text if len(text) <= most else text[:most] + "..."
