"""Console output: progress bar and readable log on a terminal, otherwise JSON log lines; a JSON result on stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from io import TextIOWrapper
from threading import Event
from typing import TYPE_CHECKING, Any

from vitalprep.runtime.errors import RetryableError, UsageError, VitalprepError
from vitalprep.runtime.periodic import called_every
from vitalprep.runtime.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "cell", "log", "log_again", "log_json_always", "log_through", "log_to", "log_to_file", "log_traceback",
    "print_failure", "print_result", "print_table", "progress", "report_failure",
]  # fmt: skip

_RECORD_KEYS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "shown_by_bar"}
_LOGGER = logging.getLogger("vitalprep")
_json_always = Event()


class _JsonLines(logging.Formatter):
    """Formats a log record as one JSON object: time, level, message, then the record's own keys."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _RECORD_KEYS}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to(*, level: str, file: str | None) -> None:
    """Log to stderr (readable on a terminal, otherwise JSON lines) and, if `file` is given, to that file as well."""
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False
    for old in list(_LOGGER.handlers):
        _LOGGER.removeHandler(old)
    _LOGGER.addHandler(_on_stderr())
    if file:
        log_to_file(file)


def log_json_always() -> None:
    """Log JSON lines from now on, also on a terminal: some platforms give the containers of their jobs one."""
    _json_always.set()
    for old in [handler for handler in _LOGGER.handlers if not isinstance(handler, logging.FileHandler)]:
        _LOGGER.removeHandler(old)
    _LOGGER.addHandler(_on_stderr())


def _is_read_by_a_person() -> bool:
    return sys.stderr.isatty() and not _json_always.is_set()


def _on_stderr() -> logging.Handler:
    if _is_read_by_a_person():
        from rich.logging import RichHandler

        readable = RichHandler(console=_terminal(), show_path=False, highlighter=None)
        readable.addFilter(lambda record: not getattr(record, "shown_by_bar", False))
        return readable
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_JsonLines())
    return lines


class _LogFile(logging.FileHandler):
    """A log file. If it becomes full, one warning says so, and the command goes on."""

    _lost = False

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_without_waiting)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._lost:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        self._lost = True
        log(f"the log file {self.baseFilename} cannot be written; the rest is missing there", level=logging.WARNING)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file. A named pipe without a reader is an error, not a wait for one."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def log_to_file(file: str) -> None:
    """Also write log records to a file, as JSON lines."""
    try:
        lines = _LogFile(file, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Could not write the log file {file} ({error.strerror}).", fix="choose another.") from error
    lines.setFormatter(_JsonLines())
    _LOGGER.addHandler(lines)


class _Through(logging.Handler):
    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(record)


def log_through(send: Callable[[logging.LogRecord], None]) -> None:
    """Pass all records to `send`. A worker process sends them to its parent, which logs them with `log_again`."""
    _LOGGER.setLevel(logging.DEBUG)
    _LOGGER.propagate = False
    _LOGGER.handlers[:] = [_Through(send)]


def log_again(record: logging.LogRecord) -> None:
    """Log a record that a worker process sent."""
    if _LOGGER.isEnabledFor(record.levelno):
        _LOGGER.handle(record)


def log(
    message: str, *, level: int = logging.INFO, shown_by_bar: bool = False, lines: bool = False, **keys: Any
) -> None:
    """Log a message with stable keys. Control characters are escaped.

    Parameters
    ----------
    shown_by_bar : bool
        Omit the message on a terminal, because the progress bar shows the same.
    lines : bool
        Keep line breaks in the message instead of escaping them.
    """
    text = printable_lines(message) if lines else printable(message)
    _LOGGER.log(level, text, extra={**keys, "shown_by_bar": shown_by_bar})


def log_traceback(text: str) -> None:
    """Log a traceback at level debug. The log file gets it at every level."""
    shown = {"shown_by_bar": False}
    record = _LOGGER.makeRecord(_LOGGER.name, logging.DEBUG, "", 0, printable_lines(text), (), None, extra=shown)
    for handler in _LOGGER.handlers:
        if isinstance(handler, logging.FileHandler) or _LOGGER.isEnabledFor(logging.DEBUG):
            handler.handle(record)


@cache
def _terminal() -> Console:
    """Return the stderr console that log lines and progress bar share, so that they do not overwrite each other."""
    from rich.console import Console

    return Console(stderr=True)


def print_result(result: Mapping[str, Any]) -> None:
    """Print the result as JSON, the last line of stdout."""
    sys.stdout.write(json.dumps(result, sort_keys=True, default=str) + "\n")
    sys.stdout.flush()


def print_failure(**failure: Any) -> None:
    """Print a failure as JSON if ``--json`` was given. Without it, the log already shows the failure."""
    if "--json" in sys.argv:
        with suppress(RetryableError):  # stdout is closed or full: log and exit code tell the failure
            print_result({"ok": False} | failure)


def report_failure(error: VitalprepError) -> None:
    """Log an error, and print it as JSON if ``--json`` was given."""
    code, kind = error.exit_code, type(error).__name__
    log(str(error), level=logging.ERROR, lines=True, error=kind, exit_code=code)
    print_failure(exit_code=code, error=kind, message=error.message, fix=error.fix)


@contextmanager
def progress(
    what: str, total: int, *, every: float = 10.0, line: Callable[[int], tuple[str, dict[str, Any]]] | None = None
) -> Iterator[Callable[[], None]]:
    """Show progress over `total` items. The block calls the yielded function once per finished item.

    On a terminal: a bar with rate and remaining time. Otherwise: a log line every `every` seconds, even if no item has
    finished meanwhile.

    Parameters
    ----------
    line : callable, optional
        Takes the number of finished items; returns text and keys of the log line. Default: items done and in total,
        rate and remaining seconds.
    """
    if _is_read_by_a_person():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        with Progress(*columns, console=_terminal(), transient=True) as bar:
            task = bar.add_task(what, total=total, rate="")

            def step() -> None:
                bar.advance(task)
                speed = bar.tasks[0].speed
                bar.update(task, rate=f"{60 * speed:.0f}/min" if speed else "")

            yield step
        return
    began = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1

    def log_progress() -> None:
        message, keys = line(done) if line else _counted(what, done, total, time.monotonic() - began)
        log(message, **keys)

    with called_every(every, log_progress):
        yield advance


def _counted(what: str, done: int, total: int, seconds: float) -> tuple[str, dict[str, Any]]:
    left = {"seconds_left": round(seconds / done * (total - done))} if done else {}
    keys = {"done": done, "total": total, "per_minute": round(60 * done / seconds, 1)} | left
    return f"{what}: {done} of {total}", keys


def print_table(title: str, rows: Mapping[str, Any]) -> None:
    """Print a two-column table for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=cell(title), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(cell(name), cell(value))
    Console().print(table)


def cell(value: object) -> Text:
    """Return a value as a literal table cell: brackets are not markup, and control characters are escaped."""
    from rich.text import Text

    return Text(printable(str(value)))
