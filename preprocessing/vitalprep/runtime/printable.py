"""Texts that others chose, as terminals, logs and tables may show them."""

from __future__ import annotations

__all__ = ["FORMULA", "printable", "printable_lines"]

FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a cell that begins so, unless it is a number


def printable(text: str) -> str:
    r"""Return a text on one line, with what would not print, or would turn the line around, as escapes.

    Examples
    --------
    >>> print(printable("\x1b[2Jone\ntwo"))
    \x1b[2Jone\ntwo
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable_lines(text: str) -> str:
    """Return a text whose line breaks are meant, each of its lines as `printable` has it."""
    return "\n".join(map(printable, text.split("\n")))
