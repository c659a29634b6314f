"""Something that happens again and again beside the work, also while one piece of it takes long."""

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
    """Call `action` every so many seconds while the block runs, in a thread, which Python never gives a signal.

    Parameters
    ----------
    at_both_ends : bool
        Also when the block begins, and once more when it has ended.
    patience : callable, optional
        Gives the seconds to wait at the end for a call that hangs; it is left behind then. Default: without end.
    """
    over = Event()

    def call() -> None:
        if at_both_ends:
            action()
        while not over.wait(seconds):
            action()
        if at_both_ends:
            action()

    thread = Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(patience() if patience else None)
