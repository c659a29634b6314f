"""The hyperparameters of a training job: one command, or a whole plan."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitalprep.runtime.errors import UsageError

__all__ = ["COMMANDS", "RUN_PLAN", "WAIT_SECONDS", "OneCommand", "WholePlan", "arguments_in", "read_hyperparameters"]

COMMANDS = ("harmonize", "build", "publish", "validate")
RUN_PLAN = "run-plan"
WAIT_SECONDS = 1800.0
_SAGEMAKERS_OWN = "sagemaker_"  # what its SDKs add, such as sagemaker_region


@dataclass(frozen=True)
class OneCommand:
    """``vitalprep NAME ARGUMENTS``: a scheduler sends one job for each shard or split."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class WholePlan:
    """All stages of a plan, its cases shared by the job's hosts.

    Parameters
    ----------
    plan : str
        URI of a plan that has a shard for each host.
    wait_seconds : float
        How long the first host waits for the others without a new receipt.
    workers : int, optional
        Worker processes of each host; default one per core.
    """

    plan: str
    wait_seconds: float = WAIT_SECONDS
    workers: int | None = None


def read_hyperparameters(path: Path) -> OneCommand | WholePlan:
    """Read ``hyperparameters.json``: a JSON object of strings.

    ``command`` is one of `COMMANDS`, with ``arguments`` (a JSON list of strings), or `RUN_PLAN`, with ``plan`` and, if
    wanted, ``wait_seconds`` and ``workers``. Names that begin with ``sagemaker_`` are SageMaker's own.

    Raises
    ------
    UsageError
        If it is not there, or says anything else.
    """
    given = {name: value for name, value in _strings(path).items() if not name.startswith(_SAGEMAKERS_OWN)}
    command = given.pop("command", None)
    if command in COMMANDS:
        _refuse_unknown(given, command, {"arguments"})
        return OneCommand(command, arguments_in(given.get("arguments", "[]")))
    if command != RUN_PLAN:
        names = ", ".join((*COMMANDS, RUN_PLAN))
        raise UsageError(f"The hyperparameter `command` is {command!r}.", fix=f"give one of {names}.")
    _refuse_unknown(given, command, {"plan", "wait_seconds", "workers"})
    if not given.get("plan"):
        raise UsageError(f"{RUN_PLAN} needs the hyperparameter `plan`.", fix="give what `vitalprep plan` printed.")
    workers = given.get("workers")
    return WholePlan(
        plan=given["plan"],
        wait_seconds=_number("wait_seconds", given.get("wait_seconds", str(WAIT_SECONDS)), least=0),
        workers=None if workers is None else int(_number("workers", workers, least=1, whole=True)),
    )


def _strings(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} is not there.",
            fix="SageMaker starts `vitalprep sagemaker-job` in training containers; elsewhere use `vitalprep run`.",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}).", fix="leave it to SageMaker.") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise UsageError(f"{path} is no JSON object of strings.", fix="give every hyperparameter as a string.")
    return content


def _refuse_unknown(given: Mapping[str, str], command: str, known: set[str]) -> None:
    unknown = ", ".join(f"`{name}`" for name in sorted(given.keys() - known))
    if unknown:
        raise UsageError(
            f"{command} takes no hyperparameter {unknown}.",
            fix=f"leave it out; besides `command` there may be {', '.join(f'`{name}`' for name in sorted(known))}.",
        )


def arguments_in(text: str) -> tuple[str, ...]:
    """Return the command line that the hyperparameter ``arguments`` holds.

    Raises
    ------
    UsageError
        Unless it is a JSON list of strings.
    """
    arguments: Any
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise UsageError(
            f"The hyperparameter `arguments` is {text!r}.",
            fix='give a JSON list of strings, e.g. ["--plan", "s3://...", "--shard", "0"].',
        )
    return tuple(arguments)


def _number(name: str, text: str, *, least: float, whole: bool = False) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf or (whole and not number.is_integer()):
        raise UsageError(f"The hyperparameter `{name}` is {text!r}.", fix=f"give a number from {least:g} on.")
    return number
