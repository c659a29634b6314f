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

from vitalprep.contract.job import HostFailure
from vitalprep.contract.paths import output_of_plan
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import Stopped, UsageError, VitalprepError
from vitalprep.runtime.printable import printable_lines
from vitalprep.sagemaker.attempt import HostStart
from vitalprep.sagemaker.hosts import RESOURCE_CONFIG, host_share
from vitalprep.sagemaker.hyperparameters import WholePlan, read_hyperparameters
from vitalprep.sagemaker.job_folder import OUTPUT, JobFolder

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
        self.start = HostStart.now()

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
        """Write an error of the block to where DescribeTrainingJob and `submit` find it, and raise it again.

        An error of that writing is logged; it hides none of the block.
        """
        try:
            yield
        except Stopped as error:  # no failure, and the job's folder is for those
            self._write(error.exit_code, error.message, error.fix)
            raise
        except VitalprepError as error:
            self._tell(error.exit_code, error.message, error.fix)
            raise
        except click.UsageError as error:
            self._tell(UsageError.exit_code, error.format_message(), "correct the hyperparameter `arguments`.")
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # also a panic of a native library
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            self._tell(1, f"unforeseen {type(error).__name__} at {where}: {error}", "report this with the log.")
            raise

    def _tell(self, exit_code: int, message: str, fix: str) -> None:
        message = printable_lines(message)
        self._write(exit_code, message, fix)
        try:
            output = self._output()
            folder = JobFolder.of_container(output) if output else None
            if folder is not None:
                failure = HostFailure(
                    host=self._host(),
                    start=self.start.id,
                    started=self.start.at,
                    exit_code=exit_code,
                    message=message,
                    fix=fix,
                )
                folder.put_failure(failure)
        except Exception as error:  # whatever it is, the failure itself has to be seen
            log(f"the failure is not in the job's folder: {error}", level=logging.WARNING)

    def _write(self, exit_code: int, message: str, fix: str) -> None:
        try:
            self.failure.parent.mkdir(parents=True, exist_ok=True)
            self.failure.write_bytes(failure_text(exit_code, message, fix).encode("utf-8", "backslashreplace"))
        except OSError as error:
            log(f"{self.failure} cannot be written ({error.strerror})", level=logging.WARNING)

    def _output(self) -> str | None:
        """Return the output of the job's plan, where the other hosts look, or else the one that its request names."""
        try:
            task = read_hyperparameters(self.hyperparameters)
            if isinstance(task, WholePlan):
                return output_of_plan(task.plan)[0]
        except UsageError as error:  # it is the failure itself
            log(f"no plan tells the output: {error.message}", level=logging.DEBUG)
        return os.environ.get(OUTPUT)

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
