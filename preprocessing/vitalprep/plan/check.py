"""Checks before a run: configuration, input, output and number of cases, before anything costs money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitalprep.contract.document import Schema
from vitalprep.contract.locations import refuse_locations
from vitalprep.plan.make_plan import PlanRequest, make_plan, named_in_table
from vitalprep.plan.recordings import described, find_recordings
from vitalprep.runtime.errors import UsageError, VitalprepError
from vitalprep.storage import Storage, honours_create_only

__all__ = ["CHECKS", "CheckOutcome", "run_checks"]

PROBE = "runs/.write-check"


class CheckOutcome(Schema):
    """One check. `exit_code` is 0, 2 or 65."""

    name: str
    ok: bool
    message: str
    fix: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class _Subject:
    request: Callable[[], PlanRequest]
    output: str


def run_checks(names: tuple[str, ...], request: Callable[[], PlanRequest], output: str) -> list[CheckOutcome]:
    """Run the named checks in order, up to the first that fails.

    Parameters
    ----------
    request : callable
        Makes the plan request; it raises where the configuration is wrong.
    """
    outcomes: list[CheckOutcome] = []
    for name in names:
        try:
            message = CHECKS[name](_Subject(request, output))
        except VitalprepError as error:
            outcomes.append(
                CheckOutcome(name=name, ok=False, message=error.message, fix=error.fix, exit_code=error.exit_code)
            )
            break
        outcomes.append(CheckOutcome(name=name, ok=True, message=message))
    return outcomes


def _config(subject: _Subject) -> str:
    config = subject.request().config
    return f"{len(config.inputs)} inputs, {len(config.statics)} statics, {len(config.targets)} targets"


def _raw_data(subject: _Subject) -> str:
    request = subject.request()
    refuse_locations(request.input, subject.output)
    recordings = find_recordings(Storage(request.input), _named(request))
    storage = Storage(subject.output, create=True)
    _refuse_overwriting(storage)
    size = sum(file.size for files in recordings.by_case.values() for file in files)
    left_out = f"; left out: {described(recordings.left_out)}" if recordings.left_out else ""
    return f"{len(recordings.by_case)} recordings, {size / 1e6:.1f} MB; the output can be written{left_out}"


def _refuse_overwriting(output: Storage) -> None:
    """Refuse an output that cannot be written, or whose server replaces what it was told only to create."""
    if not honours_create_only(output, PROBE):
        raise UsageError(
            f"The server of {output.uri} ignores create-only writes (If-None-Match: *): two workers could replace each "
            "other's results.",
            fix="use a server that refuses to create what exists; docs/how-to/s3-proxies-offline.md names some.",
        )


def _named(request: PlanRequest) -> dict[int, tuple[str, ...]]:
    """Return the paths that the clinical table names; none where it cannot be read, which the last check says."""
    try:
        return named_in_table(request)
    except VitalprepError:
        return {}


def _enough_cases(subject: _Subject) -> str:
    plan = make_plan(subject.request())
    subjects = {case.subject_id for case in plan.cases}
    return f"{len(plan.cases)} of {len(plan.cases) + len(plan.excluded)} cases of {len(subjects)} subjects can be used"


CHECKS: dict[str, Callable[[Any], str]] = {"config": _config, "raw-data": _raw_data, "enough-cases": _enough_cases}
