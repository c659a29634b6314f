"""A local folder, which may be a mount: what can go wrong with it, and what killed processes leave in it."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from obstore.exceptions import BaseError, InvalidPathError, PreconditionError
from obstore.store import LocalStore

from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError, VitalprepError
from vitalprep.storage.object_errors import ObjectChanged, ObjectMissing

__all__ = ["Folder"]

STAGED = re.compile(r"(.*[^/])#[0-9]+")  # what `obstore` writes to before it renames; no listing shows it
ABANDONED_AFTER = 3600.0  # s without a write, for the writers of other machines

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_TROUBLE = frozenset({errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, *_FULL})
_NOT_ALLOWED = frozenset({errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTDIR})

Outcome = TypeVar("Outcome")

_device_of: dict[str, int] = {}  # of the folders that this process has opened


class Folder:
    """A local folder. There must lie the disk that lay there when the process first opened it.

    Otherwise `obstore` would make the folders of a vanished mount anew on the disk below.
    """

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = path
        if path in _device_of and not create:
            _refuse_other_disk(path)
        try:
            if Path(path).is_file():
                raise UsageError(f"{path} is a file; a folder is needed.", fix=f"give its folder: {Path(path).parent}.")
            if not create and not Path(path).is_dir():
                raise UsageError(f"The folder {path} does not exist.", fix="check the path for a typing error.")
            self.store = LocalStore(path, mkdir=create)
            _device_of[path] = Path(path).stat().st_dev
        except (OSError, BaseError) as error:
            what = f"The folder {path} cannot be made or opened ({_said(error)})."
            if _errno(error) in _TROUBLE:
                raise RetryableError(what, fix="check the disk or the mount, then run it again: it resumes.") from error
            raise UsageError(what, fix="choose a folder that this user may write.") from error

    def do(self, action: Callable[[], Outcome], *, verb: str, uri: str) -> Outcome:
        """Return what `action` returns, or raise its error as one of the project's."""
        with self.errors(verb=verb, uri=uri):
            return action()

    @contextmanager
    def errors(self, *, verb: str, uri: str) -> Iterator[None]:
        """Raise the errors of the block as the project's."""
        _refuse_other_disk(self.path)
        try:
            yield
        except (OSError, BaseError) as error:
            _refuse_other_disk(self.path)
            raise _translated(error, verb=verb, uri=uri) from error

    def sweep(self, prefix: str, *, of: Callable[[str], bool]) -> int:
        """Remove what killed processes left of unfinished writes below a prefix, and return how many files.

        A file goes only if nobody has written to it for an hour and no process of this machine has it open for
        writing. (Taken from under a writer all the same, it would cost that writer a retry.) Where the system cannot
        tell, it stays.

        Parameters
        ----------
        of : callable
            Whether a path below the folder is one whose leftovers may go.
        """
        swept = 0
        with self.errors(verb="sweep", uri=self.path):
            for folder, _, names in os.walk(Path(self.path, prefix)):
                for name in names:
                    staged = Path(folder, name)
                    target = STAGED.fullmatch(staged.relative_to(self.path).as_posix())
                    if target and of(target[1]) and _is_abandoned(staged):
                        staged.unlink(missing_ok=True)
                        swept += 1
        return swept


def _refuse_other_disk(path: str) -> None:
    try:
        there = Path(path).stat().st_dev == _device_of[path]
        cause = "another disk is there"
    except OSError as error:
        there = False
        cause = _said(error)
    if not there:
        raise RetryableError(
            f"The folder {path} has vanished while it was in use ({cause}).",
            fix="mount or restore it, then run it again: it resumes.",
        )


def _is_abandoned(staged: Path) -> bool:
    try:
        import fcntl

        with staged.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime < ABANDONED_AFTER:
                return False
            # The kernel grants a read lease only on a file that nobody has open for writing.
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except (ImportError, AttributeError, OSError):  # not Linux, no leases there, or somebody writes
        return False
    return True


def _translated(error: Exception, *, verb: str, uri: str) -> VitalprepError:
    if isinstance(error, InvalidPathError):  # of a file that is listed: a control character in its name
        said = str(error).split("\n", 1)[0]
        return RefusedError(f"Could not {verb} {uri}: {said}.", fix="rename that file, or name a folder without it.")
    number = _errno(error)
    what = f"Could not {verb} {uri}: {_said(error)}."
    if isinstance(error, PreconditionError):
        return ObjectChanged(f"{uri} has changed since it was planned.", fix="plan again.")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(f"{uri} is not there.", fix="check the location, or run the stage that writes it.")
    if number in _NOT_ALLOWED:
        return UsageError(what, fix="choose a folder that this user may write, or change its permissions.")
    if number in _FULL:
        return RetryableError(what, fix="free space on that disk, then run it again: it resumes.")
    return RetryableError(what, fix="check the disk or the mount, then run it again: it resumes.")


def _errno(error: Exception) -> int | None:
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)


def _said(error: Exception) -> str:
    number = _errno(error)
    return os.strerror(number) if number else str(error).strip().split("\n", 1)[0]
