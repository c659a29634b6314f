"""Listing of a store, on S3 past keys with an empty, '.' or '..' segment.

`obstore` refuses such a key, and with it the whole page of the listing that has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import obstore

from vitalprep.runtime.console import log
from vitalprep.storage.object_errors import ObjectMissing, OddKey

__all__ = ["EachObject", "OddFolder", "odd_folder"]

LISTING_CHUNK = 1000
_ODD = ("", ".", "..")


class OddFolder(NamedTuple):
    """Where an odd key lies: the folder that holds its first odd segment, and the path that follows all below it."""

    folder: str
    after: str


def odd_folder(path: str) -> OddFolder | None:
    """Return where the path of an odd key lies, or None if no segment of it is empty, '.' or '..'.

    '0' follows '/', so that the segment with a '0' in place of its slash sorts behind all that lies below it.

    Examples
    --------
    >>> odd_folder("a//1.vital")
    OddFolder(folder='a', after='a/0')
    >>> odd_folder("../1.vital")
    OddFolder(folder='', after='..0')
    """
    parts = path.split("/")
    place = next((place for place, part in enumerate(parts) if part in _ODD), None)
    if place is None:
        return None
    return OddFolder("/".join(parts[:place]), "/".join([*parts[:place], f"{parts[place]}0"]))


@dataclass(frozen=True)
class EachObject:
    """Yields the metadata of the objects below a prefix, recursively.

    Parameters
    ----------
    store : ObjectStore
        Of `obstore`.
    do : callable
        Takes verb, path and an action, and calls the action with retries. See `Storage`.
    odd : list of str, optional
        Takes the path of the first odd key below each odd segment, and what lies below that segment is left out. By
        default an odd key raises `OddKey`.
    """

    store: Any
    do: Callable[[str, str, Callable[[], Any]], Any]
    odd: MutableSequence[str] | None = None

    def below(self, prefix: str, after: str | None = None) -> Iterator[obstore.ObjectMeta]:
        """Yield every object below a prefix whose path sorts after `after`."""
        pages: Iterator[Any] | None = None

        def page() -> Any:
            nonlocal pages
            current, pages = pages, None  # after any error, the next attempt resumes after the last page
            if current is None:
                current = obstore.list(self.store, prefix or None, offset=after, chunk_size=LISTING_CHUNK)
            found = next(current, None)
            pages = current
            return found

        while True:
            try:
                metas = self.do("list", prefix, page)
            except OddKey as error:
                where = self._skipped(error)
                yield from self._before(where.folder, prefix, after)
                after = where.after
                yield from self._at(after)  # the next page begins behind it
                continue
            if not metas:
                return
            yield from metas
            after = metas[-1]["path"]

    def has(self, path: str) -> bool:
        """Return whether an object is listed."""
        begun = self.below(path.rpartition("/")[0], path[:-1] or None)
        return next((meta["path"] == path for meta in begun if meta["path"] >= path), False)

    def _skipped(self, error: OddKey) -> OddFolder:
        path = error.key.removeprefix(f"{self.store.prefix}/") if self.store.prefix else error.key
        where = odd_folder(path)
        if self.odd is None or where is None:
            raise error
        self.odd.append(path)
        log(
            f"left out: the key {error.key!r} and others with that empty, '.' or '..' segment; names that sort before "
            "it in the same folder cannot be listed either. Rename or remove these objects to have all listed",
            level=logging.WARNING,
            key=error.key,
        )
        return where

    def _before(self, folder: str, prefix: str, after: str | None) -> Iterator[obstore.ObjectMeta]:
        """Yield the objects below a prefix that sort after `after` and before a folder: the begin of a refused page."""
        parts = folder.split("/") if folder else []
        start = after or ""
        for depth in range(len(prefix.split("/")) if prefix else 0, len(parts)):
            end = "/".join(parts[: depth + 1]) + "/"
            level = self._level("/".join(parts[:depth]))
            yield from (meta for meta in level["objects"] if start < meta["path"] < end)
            for path in level["common_prefixes"]:
                if path and f"{path}/" < end and f"{path}0" > start:  # none: keys that begin with a slash
                    yield from self.below(path, after)

    def _level(self, path: str) -> Any:
        return self.do("list", path, lambda: obstore.list_with_delimiter(self.store, path or None))

    def _at(self, path: str) -> Iterator[obstore.ObjectMeta]:
        try:
            yield self.do("read", path, lambda: obstore.head(self.store, path))
        except ObjectMissing:
            return
