"""Lays one configuration over another: mappings key by key, lists of named entries by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from vitalprep.contract.condition import source_name
from vitalprep.runtime.errors import UsageError

__all__ = ["lay_over", "meant", "name_of"]

MARKS = ("remove", "replace")
_NAMING = ("name", "track", "where")
_USUAL = {"length": "window", "size": "window", "stride": "step", "hop": "step"}  # what others call it


def lay_over(base: Any, over: Any, *, key: str = "", whole: bool = False) -> Any:
    """Return `base` with `over` laid over it.

    Mappings are merged key by key. In a list of named entries (see `name_of`) an entry changes the one
    of its name or is added. ``{name: X, remove: true}`` removes an entry; ``{name: X, replace: true, ...}`` puts the
    rest of the entry in its place, so that nothing of the old one stays. Everything else is replaced.

    Parameters
    ----------
    key : str
        Where both stand, with a dot at its end, for messages.
    whole : bool
        Replace lists of named entries, too; nothing in them is a mark then.

    Raises
    ------
    UsageError
        If an entry stands twice, or one to be removed or replaced is not there.
    """
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {
            name: lay_over(base[name], value, key=f"{key}{name}.", whole=whole) if name in base else value
            for name, value in over.items()
        }
    if whole:
        return over
    if isinstance(base, list) and isinstance(over, list) and over and all(name_of(item) for item in [*base, *over]):
        return _entries_laid_over(base, over, key)
    return over


def name_of(item: Any) -> str | None:
    """Return the name of an entry of a list; a source's is its track, with the cell on which it depends."""
    if not isinstance(item, dict):
        return None
    name = item.get("name", item.get("track"))
    return source_name(name, item.get("where")) if isinstance(name, str) else None


def meant(unknown: str, known: Iterable[str]) -> str:
    """Return the key that an unknown one probably stands for, and all keys that are known there."""
    names = list(known)
    if not names:
        return "; no key is known below it"
    wanted = unknown.partition(".")[0]
    usual = [name for name in (_USUAL.get(wanted.casefold()),) if name in names]
    folded = {name.casefold(): name for name in reversed(names)}
    alike = [folded[name] for name in difflib.get_close_matches(wanted.casefold(), list(folded), n=1)]
    near = usual or alike or _kin(wanted, names)
    return (f"; did you mean {near[0]}? Known" if near else "; known") + f" here: {', '.join(names)}"


def _entries_laid_over(base: list[dict[str, Any]], over: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    names = [str(name_of(item)) for item in over]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"Configuration key {key}{twice} stands twice.", fix="remove one of them.")
    entries = {str(name_of(item)): item for item in base}
    there = tuple(entries)
    for name, item in zip(names, over, strict=True):
        mark = _mark(item, f"{key}{name}")
        content = {part: value for part, value in item.items() if part not in MARKS}
        if mark is not None and name not in there:
            raise UsageError(
                f"Configuration key {key}{name} cannot be {mark}d: there is no such entry{meant(name, there)}.",
                fix="correct the name, or leave the entry out.",
            )
        if mark == "remove":
            del entries[name]
        elif mark is None and name in entries:
            entries[name] = lay_over(entries[name], content, key=f"{key}{name}.")
        else:
            entries[name] = content
    return list(entries.values())


def _mark(item: dict[str, Any], key: str) -> str | None:
    """Return whether an entry is to ``remove`` or to ``replace`` the one of its name, or None."""
    marks = [mark for mark in MARKS if mark in item]
    if not marks:
        return None
    for mark in marks:
        if item[mark] is not True:
            raise UsageError(f"Configuration key {key}.{mark} is not true.", fix="write true, or leave the key out.")
    if len(marks) > 1:
        raise UsageError(f"Configuration key {key} has both remove and replace.", fix="leave one of them out.")
    if marks == ["remove"] and not item.keys() <= {"remove", *_NAMING}:
        raise UsageError(
            f"Configuration key {key} is to be removed, and has other keys.",
            fix="leave them out, or write replace: true in place of remove: true.",
        )
    return marks[0]


def _kin(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the names that contain the wanted one, or are contained in it, without regard to case."""
    low = wanted.casefold()
    return [name for name in names if name.casefold() in low or low in name.casefold()]
