"""The log of a training job's containers, from CloudWatch."""

from __future__ import annotations

import json
import logging
from typing import Any

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.sagemaker.aws import aws_errors, error_code

__all__ = ["JobLogs"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class JobLogs:
    """The log lines of a job's containers, from CloudWatch.

    Parameters
    ----------
    name : str
        The job's name, with which its streams' names begin.
    logs : boto3 client of CloudWatch Logs
    """

    def __init__(self, name: str, logs: Any) -> None:
        self._name = name
        self._logs = logs
        self._tokens: dict[str, str | None] = {}
        self._denied = self._lost = False

    def read(self) -> None:
        """Log the new lines, each once.

        A log that cannot be read decides nothing about the job: one warning says so. What is denied is not asked for
        again; otherwise the next call goes on where this one ended.
        """
        if self._denied:
            return
        try:
            with aws_errors(f"read the log of {self._name}"):
                self._find_streams()
                for stream in self._tokens:
                    self._read_stream(stream)
            self._lost = False
        except RetryableError as error:
            if not self._lost:
                log(f"{error.message} The job does not depend on its log.", level=logging.WARNING, job=self._name)
            self._lost = True
        except UsageError as error:
            if error_code(error) == "ResourceNotFoundException":  # until the first container writes
                return
            self._denied = True
            log(str(error), level=logging.WARNING, job=self._name)

    def _find_streams(self) -> None:
        pages = self._logs.get_paginator("describe_log_streams")
        for page in pages.paginate(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._name}/"):
            for stream in page["logStreams"]:
                self._tokens.setdefault(stream["logStreamName"], None)

    def _read_stream(self, stream: str) -> None:
        while True:
            token = self._tokens[stream]
            where = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
            answer = self._logs.get_log_events(**where, **({"nextToken": token} if token else {}))
            for event in answer["events"]:
                _log_line(_host_of(stream), event["message"])
            self._tokens[stream] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token:
                return


def _host_of(stream: str) -> str:
    """Return the host in ``JOB/algo-1-1700000000``."""
    return stream.rpartition("/")[2].rpartition("-")[0]


def _log_line(host: str, text: str) -> None:
    """Log a container's line; lines of vitalprep keep their level."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if isinstance(line, dict) and "message" in line:
        level = logging.getLevelNamesMapping().get(str(line.get("level")), logging.INFO)
        log(f"{host}: {line['message']}", level=level, host=host)
    elif text.strip():
        log(f"{host}: {text.rstrip()}", host=host)
