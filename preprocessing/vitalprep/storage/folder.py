"""A local folder, possibly a mount: error translation, and cleanup of files that killed processes left unfinished."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from obstore.exceptions import BaseError, InvalidPathError, PreconditionError
from obstore.store import LocalStore

from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError, VitalprepError
from vitalprep.runtime.unforeseen import FIX_SCARCE, SCARCE
from vitalprep.storage.object_errors import ObjectChanged, missing

__all__ = ["STAGED", "Folder", "has_odd_name"]

STAGED = re.compile(r"(.*[^/])#[0-9]+")  # `obstore` writes to this name, then renames it; no listing shows it
ABANDONED_AFTER = 3600.0  # s without a write; protects writers on other machines

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NOT_ALLOWED = frozenset({errno.EPERM, errno.EACCES, errno.ENOTDIR})
_FAULTS = (
    frozenset({errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EROFS}) | _FULL | SCARCE
)
_FIX_FAULT = "check the disk or the mount, then run it again: it resumes."
_FIXES = (
    dict.fromkeys(SCARCE, FIX_SCARCE)
    | dict.fromkeys(_FULL, "free space on that disk, then run it again: it resumes.")
    | {errno.EROFS: "mount that disk for writing, or choose another folder, then run it again: it resumes."}
)

_KINDS = {stat.S_IFIFO: "a pipe (FIFO)", stat.S_IFSOCK: "a socket"}
EARLIEST, LATEST = (-62_135_596_800, 253_402_300_800)  # years 1 and 10,000 in Unix time: what `datetime` holds

Outcome = TypeVar("Outcome")

_device_of: dict[str, int] = {}  # st_dev of each folder that this process has opened


class Folder:
    """A local folder on the same disk as when this process first opened it.

    Without this check, `obstore` would recreate the folders of a lost mount on the underlying disk.
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
            what = f"Could not create or open the folder {path} ({_reason(error)})."
            if _errno(error) in _FAULTS:
                raise _fault(what, error) from error
            raise UsageError(what, fix="choose a folder that this user can write to.") from error

    def do(self, action: Callable[[], Outcome], *, verb: str, uri: str) -> Outcome:
        """Call `action`, and raise its error as one of the project's own."""
        with self.errors(verb=verb, uri=uri):
            return action()

    @contextmanager
    def errors(self, *, verb: str, uri: str) -> Iterator[None]:
        """Raise errors inside the block as the project's own."""
        _refuse_other_disk(self.path)
        try:
            yield
        except (OSError, BaseError) as error:
            _refuse_other_disk(self.path)
            raise _translated(error, verb=verb, uri=uri) from error

    def refuse_odd(self, path: str) -> None:
        """Refuse a path of which `odd_files` says what is wrong. One that is not there is not refused.

        Raises
        ------
        RefusedError
            If reading it would wait forever, or its metadata cannot be read.
        """
        try:
            wrong = _oddity(Path(self.path, path).stat())
        except OSError:  # reading it names the problem
            return
        if wrong:
            raise RefusedError(f"{self.path.rstrip('/')}/{path} {wrong.what}.", fix=wrong.fix)

    def odd_files(self, prefix: str = "") -> dict[str, str]:
        """Return the paths below a prefix that are no readable regular files, and what is wrong with each."""
        with self.errors(verb="list", uri=self.path):
            found = {path: _oddity(status) for path, status in self.entries(prefix) if not has_odd_name(path)}
        return {path: wrong.what for path, wrong in found.items() if wrong}

    def is_odd(self, prefix: str = "") -> bool:
        """Return whether `obstore` cannot list what is below a prefix."""
        with self.errors(verb="list", uri=self.path):
            return any(
                has_odd_name(path)
                or (status is None and _is_loop(Path(self.path, path)))
                or (status and _oddity(status))
                for path, status in self._walk(prefix)
            )

    def odd_names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the paths below a prefix that `obstore` does not take: control characters, or no UTF-8."""
        with self.errors(verb="list", uri=self.path):
            return tuple(path for path, _ in self.entries(prefix) if has_odd_name(path))

    def dangling_links(self, prefix: str = "") -> tuple[str, ...]:
        """Return the paths below a prefix that are links that lead nowhere."""
        with self.errors(verb="list", uri=self.path):
            return tuple(path for path, status in self._walk(prefix) if status is None)

    def entries(self, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Yield path and status of everything below a prefix but folders. Links are followed, each folder once."""
        for path, status in self._walk(prefix):
            if status is not None:
                yield path, status

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.stat_result | None]]:
        """Yield what `entries` yields, and without a status the links that lead nowhere."""
        pending = [Path(self.path, prefix)]
        seen: set[tuple[int, int]] = set()
        while pending:
            folder = pending.pop()
            try:
                own = folder.stat()
                listed = [] if (own.st_dev, own.st_ino) in seen else list(os.scandir(folder))
            except (FileNotFoundError, NotADirectoryError):  # nothing is there, or it has just been removed
                continue
            seen.add((own.st_dev, own.st_ino))
            for entry in listed:
                path = Path(entry.path).relative_to(self.path).as_posix()
                try:
                    status = entry.stat()
                except OSError as error:
                    if error.errno not in _NOWHERE:
                        raise
                    if entry.is_symlink():  # else it has just been removed
                        yield path, None
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(Path(entry.path))
                else:
                    yield path, status

    def sweep(self, prefix: str, *, of: Callable[[str], bool]) -> int:
        """Remove the temporary files of killed writers below a prefix, and return the number removed.

        A temporary file is removed only if nothing wrote to it for an hour and no process on this machine has it open
        for writing. Where the system cannot tell, the file is kept. A writer on another machine that loses its file
        only has to retry.

        Parameters
        ----------
        of : callable
            Takes a path below the folder; returns whether its temporary files may be removed.
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


@dataclass(frozen=True)
class _Oddity:
    what: str
    fix: str


def _is_loop(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def has_odd_name(path: str) -> bool:
    """Return whether a path has a control character or is not UTF-8."""
    return any(not " " <= letter != "\x7f" or "\ud800" <= letter <= "\udfff" for letter in path)


def _oddity(status: os.stat_result) -> _Oddity | None:
    """Return what is wrong with a file that `obstore` cannot read: it waits for a pipe, or panics at the time."""
    kind = stat.S_IFMT(status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        return _Oddity(f"is {_KINDS.get(kind, 'a device')}, not a regular file", "copy its content into a file.")
    if not EARLIEST <= status.st_mtime < LATEST:
        return _Oddity("has a modification time outside the years 1 to 9999", "set it anew, for example with touch.")
    return None


def _refuse_other_disk(path: str) -> None:
    try:
        same = Path(path).stat().st_dev == _device_of[path]
        cause = "the path is now on another disk"
    except OSError as error:
        same = False
        cause = _reason(error)
    if not same:
        raise RetryableError(
            f"The folder {path} disappeared while it was in use ({cause}).",
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
    except (ImportError, AttributeError, OSError):  # not Linux, no leases on this file system, or an active writer
        return False
    return True


def _translated(error: Exception, *, verb: str, uri: str) -> VitalprepError:
    if isinstance(error, InvalidPathError):  # a listed file with a control character in its name
        reason = str(error).split("\n", 1)[0]
        return RefusedError(f"Could not {verb} {uri}: {reason}.", fix="rename that file, or use a folder without it.")
    number = _errno(error)
    what = f"Could not {verb} {uri}: {_reason(error)}."
    if isinstance(error, PreconditionError):
        return ObjectChanged(f"{uri} has changed since it was planned.", fix="plan again.")
    if isinstance(error, FileNotFoundError):
        return missing(uri)
    if number in _NOT_ALLOWED:
        return UsageError(what, fix="choose a folder that this user can write to, or change its permissions.")
    return _fault(what, error)


def _fault(what: str, error: Exception) -> RetryableError:
    return RetryableError(what, fix=_FIXES.get(_errno(error) or 0, _FIX_FAULT))


def _errno(error: Exception) -> int | None:
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)


def _reason(error: Exception) -> str:
    number = _errno(error)
    return os.strerror(number) if number else str(error).strip().split("\n", 1)[0]
