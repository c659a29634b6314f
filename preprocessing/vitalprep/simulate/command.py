"""The command `vitalprep simulate`: fills a folder with a set of cases, or draws one case as a picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vitalprep.runtime.console import log, log_to_file, progress
from vitalprep.runtime.errors import Stopped, VitalprepError
from vitalprep.runtime.workers import StopRequest
from vitalprep.simulate.damage import parse_damage
from vitalprep.simulate.simulate import SimulatedSet, SimulationOptions, case_hours, found_options, open_set

__all__ = ["preview", "simulate"]


def simulate(
    output: str, given: Mapping[str, Any], *, append: bool, workers: int, log_file: bool, stop: StopRequest
) -> dict[str, Any]:
    """Create or complete a set in a folder, and return a summary.

    Parameters
    ----------
    output : str
        The folder.
    given : mapping
        Fields of `SimulationOptions` by name; `damage` as text. None means not given: then the value of the existing
        set applies, otherwise the default.
    append : bool
        Add `cases` cases to the existing set.
    workers : int
        Number of worker processes.
    log_file : bool
        Write `logs/simulate-<time>.log` into the folder.
    """
    folder = Path(output)
    claimed = open_set(folder, _settled(folder, given, append=append), append=append)
    if log_file:
        (folder / "logs").mkdir(exist_ok=True)
        log_to_file(str(folder / "logs" / f"simulate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"))
    wanted = claimed.options.cases
    log(
        "simulating",
        output=output,
        cases=wanted,
        missing=len(claimed.missing),
        seed=claimed.options.seed,
        workers=workers,
        shown_by_bar=True,
    )
    began, written = time.monotonic(), 0
    with progress("simulate", len(claimed.missing)) as advance:

        def done(case_id: int, size: int) -> None:
            nonlocal written
            written += size
            log("case written", case=case_id, bytes=size, shown_by_bar=True)
            advance()

        try:
            claimed.fill(workers=workers, stop=stop, progress=done)
        except VitalprepError as error:
            raise _with_count(error, claimed) from error
    seconds = time.monotonic() - began
    result = _described(claimed, written, seconds)
    log("simulated", **result, shown_by_bar=True)
    for damage, count in claimed.damages().items():
        if not count:
            log(
                f"no case is damaged by {damage}: {claimed.options.damage[damage]:g} is the chance of each case. "
                "Fix: give a greater chance, more cases or another --seed.",
                level=logging.WARNING,
                damage=damage,
            )
    return result


def preview(picture: str, given: Mapping[str, Any], *, case_id: int) -> dict[str, Any]:
    """Draw one case of the set that the options describe, without writing a set."""
    from vitalprep.contract.config_file import load_config
    from vitalprep.simulate.case import case_truth_table, make_case
    from vitalprep.simulate.other_monitors import on_other_monitors
    from vitalprep.simulate.preview import draw_case

    options = _options(given)
    case = make_case(options.seed, case_id, case_hours(options, case_id), waves=False)
    case = on_other_monitors(case, options.profile)
    config = load_config(profiles=[options.profile] if options.profile else [])
    draw_case(Path(picture), case, case_truth_table(case, config), config)
    return {"picture": picture, "case": case_id, "hours": round(case.course.phases.end / 3600, 2)}


def _settled(folder: Path, given: Mapping[str, Any], *, append: bool) -> SimulationOptions:
    """Return the options: those given by the user, then those of the existing set, then the defaults."""
    found = found_options(folder) or {}
    names = [field.name for field in fields(SimulationOptions) if not (append and field.name == "cases")]
    return _options({name: found[name] for name in names if name in found} | _said(given))


def _options(values: Mapping[str, Any]) -> SimulationOptions:
    return SimulationOptions(**_said(values))


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in given.items() if value is not None}
    if isinstance(said.get("damage"), str):
        said["damage"] = parse_damage(said["damage"])
    return said


def _with_count(error: VitalprepError, claimed: SimulatedSet) -> VitalprepError:
    """Return the same error with the number of finished cases."""
    wanted = claimed.options.cases
    there = sum(claimed.recording(case_id).exists() for case_id in range(1, wanted + 1))
    fix = error.fix
    if isinstance(error, Stopped):
        fix = f"run `vitalprep simulate --output {claimed.output}` to create the rest."
    return type(error)(f"{error.message} {there} of {wanted} cases are complete.", fix=fix)


def _described(claimed: SimulatedSet, written: int, seconds: float) -> dict[str, Any]:
    options = claimed.options
    made = len(claimed.missing)
    return {
        "output": str(claimed.output),
        "cases": options.cases,
        "made_now": made,
        "bytes_now": written,
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "cases_per_minute": round(60 * made / max(seconds, 1e-9), 1),
        "damaged": claimed.damages(),
    }
