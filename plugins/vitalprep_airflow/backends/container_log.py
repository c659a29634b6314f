"""Follows a container's log in CloudWatch. What cannot be read is missing in the task's log; nothing fails by it."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from botocore.config import Config
from botocore.exceptions import ClientError

from vitalprep_airflow.outcome import document_in
from vitalprep_airflow.process import readable

__all__ = ["ContainerLog", "LogEnd", "logs_client"]

LAST_LINES = 10
LINE_LENGTH = 1000  # characters of each that are kept
EMPTY_PAGES = 100  # in a row, after which a log that promises more ends nevertheless
LONGEST_PAUSE = 60.0  # s between two reads while the log cannot be read
METRICS = '{"_aws"'  # such lines are for CloudWatch and repeat what the others say
# A read that is not answered soon is given up: the next one catches up.
CALLS = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1})

log = logging.getLogger("airflow.task")


def logs_client(connection: str | None, region: str | None) -> Callable[[], Any]:
    """Return a function that returns the client of CloudWatch Logs; it connects when it is called."""
    hook = AwsLogsHook(aws_conn_id=connection, region_name=region, config=CALLS)
    return lambda: hook.conn


@dataclass(frozen=True)
class LogEnd:
    """What the end of a container's log says.

    Parameters
    ----------
    result : dict
        The worker's JSON result; empty if it has not arrived.
    last_lines : tuple of str
        The last other lines, their first 1,000 characters.
    where : str
        Where the log is.
    """

    result: dict[str, Any]
    last_lines: tuple[str, ...]
    where: str


class ContainerLog:
    """Forwards the lines of a container to the task's log, each once, and keeps the worker's result.

    A new object begins at the head of the log again.

    Parameters
    ----------
    client : callable
        Returns the client of CloudWatch Logs.
    group : str
        The log group.
    streams : callable
        Takes the client and returns the names of the container's log streams so far.
    poll_seconds : float
        Pause between two reads. It grows while the log cannot be read.
    where : str
        Names the log in messages.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        *,
        group: str,
        streams: Callable[[Any], Sequence[str]],
        poll_seconds: float,
        where: str,
    ) -> None:
        self._client = client
        self._group = group
        self._streams = streams
        self._poll_seconds = poll_seconds
        self._where = where
        self._tokens: dict[str, str] = {}  # log stream => token of what follows
        self._empty: Counter[str] = Counter()  # log stream => pages without a line since the last one
        self._result: dict[str, Any] = {}
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._pause = poll_seconds
        self._next_read = 0.0
        self._warned = False

    def forward(self) -> None:
        """Log the lines that have come since the last call."""
        if time.monotonic() >= self._next_read:
            self._read()

    def end(self, *, ok: bool, seconds: float) -> LogEnd:
        """Read the log to its end, and wait for the worker's result at most `seconds`.

        Parameters
        ----------
        ok : bool
            Whether the container ended with exit code 0. Only a result with the same ``ok`` is the worker's last one.
        """
        deadline = time.monotonic() + seconds
        more = self._read()
        while more or (self._result.get("ok") is not ok and time.monotonic() < deadline):
            if not more:
                time.sleep(min(self._poll_seconds, max(0.0, deadline - time.monotonic())))
            more = self._read()
        result = self._result if self._result.get("ok") is ok else {}
        return LogEnd(result, tuple(self._last_lines), self._where)

    def _read(self) -> bool:
        """Forward the next page of each stream. Returns whether more may follow; after an error, not now."""
        try:
            client = self._client()
            found = [self._page(client, stream) for stream in self._streams(client)]
        except Exception as error:  # whatever it is, also of Airflow's connection: the log decides nothing
            self._unreadable(error)
            return False
        self._pause, self._next_read = self._poll_seconds, 0.0
        return any(found)

    def _page(self, client: Any, stream: str) -> bool:
        since = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
        answer = client.get_log_events(logGroupName=self._group, logStreamName=stream, startFromHead=True, **since)
        # A page may be empty although more follows: only at the end does CloudWatch return the token that it was given.
        moved = answer["nextForwardToken"] != since.get("nextToken")
        self._tokens[stream] = answer["nextForwardToken"]
        for event in answer["events"]:
            self._forward(event["message"])
        self._empty[stream] = 0 if answer["events"] else self._empty[stream] + 1
        return bool(answer["events"]) or (moved and self._empty[stream] < EMPTY_PAGES)

    def _forward(self, line: str) -> None:
        if line.startswith(METRICS):
            return
        level, text = readable(line)
        log.log(level, "%s", text)
        document = document_in([line])
        if isinstance(document.get("ok"), bool) and "level" not in document:  # a log record has a level
            self._result = document
        else:
            self._last_lines.append(text[:LINE_LENGTH])

    def _unreadable(self, error: Exception) -> None:
        self._next_read = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, max(LONGEST_PAUSE, self._poll_seconds))
        # A stream exists once its container has printed something, and the group after an account's first job.
        absent = isinstance(error, ClientError) and error.response["Error"]["Code"] == "ResourceNotFoundException"
        if not absent and not self._warned:
            self._warned = True
            log.warning(
                "The container's log cannot be read now (%s). The task goes on without it, and lines follow when it "
                "can be read again. The log is %s.",
                error,
                self._where,
            )
