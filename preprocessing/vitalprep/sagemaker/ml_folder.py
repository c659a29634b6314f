"""The folder ``/opt/ml``, the interface between SageMaker and a training container.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html and
``...-output.html``, of the same guide.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import UsageError, VitalprepError
from vitalprep.sagemaker.hosts import RESOURCE_CONFIG, host_share

__all__ = ["FAILURE_LENGTH", "ML_FOLDER", "MlFolder", "failure_text"]

ML_FOLDER = RESOURCE_CONFIG.parents[2]
FAILURE_LENGTH = 1024  # characters of it that DescribeTrainingJob repeats


class MlFolder:
    """The folder that holds a job's inputs and from which SageMaker uploads its outputs.

    Parameters
    ----------
    root : str or Path
        ``/opt/ml`` in a training container.
    """

    def __init__(self, root: str | Path = ML_FOLDER) -> None:
        config = Path(root, "input", "config")
        self.hyperparameters = config / "hyperparameters.json"
        self.resource_config = config / RESOURCE_CONFIG.name
        self.failure = Path(root, "output", "failure")
        self.data = Path(root, "output", "data")

    def log_file(self) -> str | None:
        """Return the path of this host's log file, or None, with a warning, if it cannot be written.

        The hosts of a job have different names: SageMaker lays their files together.
        """
        path = self.data / f"vitalprep-{self._host()}.jsonl"
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            path.open("a", encoding="utf-8").close()
        except OSError as error:
            log(f"no log file: {path} cannot be written ({error.strerror})", level=logging.WARNING)
            return None
        return str(path)

    @contextmanager
    def failure_told(self) -> Iterator[None]:
        """Write an error of the block to the file that DescribeTrainingJob shows, and raise it again."""
        try:
            yield
        except VitalprepError as error:
            self._tell(error.exit_code, error.message, error.fix)
            raise
        except click.UsageError as error:
            self._tell(UsageError.exit_code, error.format_message(), "correct the hyperparameter `arguments`.")
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            self._tell(1, f"unforeseen {type(error).__name__} at {where}: {error}", "report this with the log.")
            raise

    def _tell(self, exit_code: int, message: str, fix: str) -> None:
        try:
            self.failure.parent.mkdir(parents=True, exist_ok=True)
            self.failure.write_text(failure_text(exit_code, message, fix), encoding="utf-8")
        except OSError as error:
            log(f"{self.failure} cannot be written ({error.strerror})", level=logging.WARNING)

    def _host(self) -> str:
        try:
            return host_share(os.environ, resource_config=self.resource_config).host
        except UsageError:  # who needs the share will say so
            return "host"


def failure_text(exit_code: int, message: str, fix: str) -> str:
    """Return a failure in `FAILURE_LENGTH` characters: the exit code first, the fix in full, the message cut to fit."""
    head, tail = f"exit code {exit_code}: ", f" Fix: {fix}"
    room = FAILURE_LENGTH - len(head) - len(tail)
    if len(message) > room:
        message = f"{message[: max(room - 3, 0)]}..."
    return f"{head}{message}{tail}"[:FAILURE_LENGTH]
