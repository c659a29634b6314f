"""What ``vitalprep cost`` does: estimates a run from the listing of its input."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from vitalprep.contract.case_list import parse_case_list, short_case_list
from vitalprep.contract.config import Config
from vitalprep.cost.estimate import BackendCost, estimate, estimate_one_task, file_count, run_cpu_seconds
from vitalprep.cost.figures import Architecture, Backend, Figures, priced_regions
from vitalprep.cost.volume import Volume, volume_of
from vitalprep.plan.make_plan import named_beside
from vitalprep.plan.recordings import find_recordings
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.region import deployment_region
from vitalprep.runtime.workers import default_workers
from vitalprep.storage import Storage

__all__ = ["cost"]

ONE_TASK = "one_task"


def cost(
    input_uri: str,
    config: Config,
    figures: Figures,
    *,
    cases: str | None = None,
    numeric_only: bool = False,
    shards: int | None = None,
    architecture: Architecture = "X86_64",
) -> dict[str, Any]:
    """Estimate time, storage and cost of a run. No recording is opened.

    Parameters
    ----------
    cases : str, optional
        Case list; default all in the input.
    numeric_only : bool
        The recordings hold no waves, so that a minute takes far fewer bytes.
    shards : int, optional
        Shards on every backend; default as many as each backend needs.
    architecture : str
        Whose prices count, named as Terraform's `cpu_architecture`. Backends that have none of ARM are left out.

    Raises
    ------
    RefusedError
        If there is no recording, or none of the requested ones.
    UsageError
        If the case list or the location is wrong, or no backend has prices of the architecture.
    """
    backends = _backends(figures, architecture)
    source = Storage(input_uri)
    recordings = find_recordings(source, named_beside(source)).by_case
    requested = parse_case_list(cases) if cases is not None else tuple(recordings)
    sizes = {case: sum(file.size for file in recordings[case]) for case in requested if case in recordings}
    missing = [case for case in requested if case not in recordings]
    if not sizes:
        raise RefusedError(
            f"None of the {len(requested)} requested cases is in {source.uri}.",
            fix=f"it holds cases {short_case_list(tuple(recordings))}; ask for some of them.",
        )
    kind = figures.recordings.numeric_only if numeric_only else figures.recordings.waves
    volume = volume_of(sizes, config, mb_per_minute=kind.value)
    costs = {
        name: estimate_one_task(volume, config, figures, backend)
        if name == ONE_TASK
        else estimate(volume, config, figures, backend, shards=shards)
        for name, backend in backends.items()
    }
    result = _described(volume, config, figures, backends, costs) | _plausibility(
        volume, figures, numeric_only=numeric_only
    )
    result |= {
        "input": source.uri,
        "requested": len(requested),
        "missing": short_case_list(missing),
        "recorded": "numeric_only" if numeric_only else "waves",
        "architecture": architecture,
        "deployment_region": deployment_region(),
        "priced_regions": priced_regions(),
    }
    result["limits"] += [f"{item.label} (no ARM)" for name, item in figures.backends.items() if name not in backends]
    _warn(result, missing)
    return result


def _backends(figures: Figures, architecture: Architecture) -> dict[str, Backend]:
    known = {ONE_TASK: figures.runner, **figures.backends}
    found = {name: backend.on(architecture) for name, backend in known.items()}
    backends = {name: backend for name, backend in found.items() if backend is not None}
    if not backends:
        raise UsageError(
            "No backend has ARM prices.", fix="give them below backends: fargate: arm: in the --prices file."
        )
    return backends


def _described(
    volume: Volume,
    config: Config,
    figures: Figures,
    backends: Mapping[str, Backend],
    costs: Mapping[str, BackendCost],
) -> dict[str, Any]:
    load, workers = volume.load, default_workers()
    seconds = run_cpu_seconds(volume, figures.machine, workers=workers)
    minutes = [volume.minutes(case) for case in volume.sizes]
    tables = load.hours * figures.recordings.harmonized.value / 1e3
    return {
        "cases": len(volume.sizes),
        "gb_in": load.mb_in / 1e3,
        "mb_per_minute": volume.mb_per_minute,
        "hours": load.hours,
        "median_minutes": median(minutes),
        "windows": volume.windows,
        "gb_out": volume.gb_out,
        "gb_harmonized": tables,
        "files": file_count(volume.gb_out, config),
        "local": {"workers": workers, "cpu_seconds": seconds | {"total": sum(seconds.values())}},
        "backends": {
            name: asdict(item) | {"dollars": item.dollars, "priced": str(backends[name].priced or "by you")}
            for name, item in costs.items()
        },
        "storage_dollars_per_month": (volume.gb_out + tables) * figures.s3.storage_gb_month.value,
        "assumed": _assumed(figures.content()),
        "limits": _limits(config),
        "figures": figures.content(),
    }


def _assumed(content: Any, key: str = "") -> dict[str, float]:
    """Return the assumed (not measured) figures, by dotted key."""
    if not isinstance(content, dict):
        return {}
    if str(content.get("source", "")).startswith("assumed"):
        return {key: content["value"]}
    found: dict[str, float] = {}
    for name, value in content.items():
        found |= _assumed(value, f"{key}.{name}" if key else name)
    return found


def _limits(config: Config) -> list[str]:
    """Return what the estimate does not include."""
    limits = ["waiting for capacity", "cases without a clinical row", "logs, NAT gateways, taxes"]
    if config.windowing.demands:
        limits.append(
            "windows that windowing leaves out (min_observed_inputs, min_observed_fraction, min_target_observed)"
        )
    if config.output.compression != "none":
        limits.append("compression: GB and CPU are those without it")
    return limits


def _warn(result: Mapping[str, Any], missing: list[int]) -> None:
    if missing:
        there = f"{len(missing)} of {result['requested']} requested"
        log(f"cases {result['missing']} are not in the input ({there})", level=logging.WARNING)
    if not result["plausible"]:
        log(f"{result['why_not']} Fix: {result['fix']}", level=logging.WARNING)


def _plausibility(volume: Volume, figures: Figures, *, numeric_only: bool) -> dict[str, Any]:
    """Return whether the sizes of most recordings are plausible, else why no estimate is possible, and the fix."""
    minutes = [volume.minutes(case) for case in volume.sizes]
    shortest, longest = figures.recordings.shortest.value, figures.recordings.longest.value
    unlikely = sum(not shortest <= length <= longest for length in minutes)
    plausible = 2 * unlikely <= len(minutes)
    why = (
        f"The lengths of the recordings cannot be told from their sizes: at {volume.mb_per_minute:g} MB a minute "
        f"({'without' if numeric_only else 'with'} waves) {unlikely} of {len(minutes)} would last less than "
        f"{shortest:g} or more than {longest:g} min, the median {median(minutes):.1f} min."
    )
    fix = f"{'leave out' if numeric_only else 'give'} --numeric-only, or set recordings in a --prices file."
    told: dict[str, Any] = {"unlikely_sizes": unlikely, "plausible": plausible}
    return told if plausible else told | {"why_not": why, "fix": fix}
