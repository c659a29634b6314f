"""Calls a function periodically from a background thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

__all__ = ["called_every"]


@contextmanager
def called_every(
    seconds: float,
    action: Callable[[], None],
    *,
    at_both_ends: bool = False,
    patience: Callable[[], float] | None = None,
) -> Iterator[None]:
    """Call `action` every `seconds` seconds from a daemon thread while the block runs.

    Parameters
    ----------
    at_both_ends : bool
        Also call it when the block begins and after it has ended.
    patience : callable, optional
        Returns how many seconds to wait at the end for a call in progress before abandoning it. Default: no limit.
    """
    finished = Event()

    def call() -> None:
        if at_both_ends:
            action()
        while not finished.wait(seconds):
            action()
        if at_both_ends:
            action()

    thread = Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join(patience() if patience else None)
