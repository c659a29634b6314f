"""Price of one hour of a task, on spot and on demand. The page in Airflow uses it for running tasks."""

from __future__ import annotations

import re
from typing import Any

from vitalprep.cost.figures import Architecture, Backend, Figures
from vitalprep.runtime.errors import UsageError

__all__ = ["hourly_price"]

FARGATE = "fargate"
INSTANCE = re.compile(r"(ml\.[a-z0-9]+)\.(?:(\d*)xlarge|large)")


def hourly_price(
    figures: Figures,
    machine: str,
    *,
    vcpus: float | None = None,
    memory_gb: float | None = None,
    architecture: Architecture = "X86_64",
) -> dict[str, Any]:
    """Return what ``vitalprep cost --hour-of MACHINE --json`` prints.

    Parameters
    ----------
    machine : str
        ``fargate``, or an instance type of SageMaker such as ``ml.m5.large``. Within a family AWS prices by vCPU.
    vcpus, memory_gb : float, optional
        Size of a Fargate task; default from the figures.
    architecture : str
        Of the task, named as Terraform's `cpu_architecture`.

    Returns
    -------
    dict
        `spot` and `on_demand`, USD for an hour; `label`, `region`, and `priced`: the date of the oldest price.

    Raises
    ------
    UsageError
        If the figures have no price for such a machine.
    """
    if machine == FARGATE:
        backends = [_backend(figures, name, architecture) for name in ("fargate_spot", "fargate")]
        spot, on_demand = (_sized(backend, vcpus, memory_gb) for backend in backends)
        arm = " (ARM)" if architecture == "ARM64" else ""
        label = f"ECS Fargate{arm} with {spot.vcpus.value:g} vCPU and {spot.memory_gb.value:g} GB"
    else:
        spot = _instance(_backend(figures, "sagemaker_spot", architecture), machine)
        on_demand = _changed(spot, discount=0.0)
        label = f"SageMaker on {machine}"
    dates = [backend.priced for backend in (spot, on_demand)]
    return {
        "label": label,
        "spot": spot.hour,
        "on_demand": on_demand.hour,
        "region": figures.region,
        "priced": str(min(day for day in dates if day)) if all(dates) else "by you",
    }


def _backend(figures: Figures, name: str, architecture: Architecture) -> Backend:
    if name not in figures.backends:
        raise UsageError(
            f"The figures have no backend {name}.", fix="name this backend in the --prices file, or give none."
        )
    backend = figures.backends[name].on(architecture)
    if backend is None:
        raise UsageError(
            f"{figures.backends[name].label} has no ARM prices.",
            fix="leave out --architecture ARM64 (VITALPREP_ECS_CPU_ARCHITECTURE).",
        )
    return backend


def _sized(backend: Backend, vcpus: float | None, memory_gb: float | None) -> Backend:
    return _changed(backend, vcpus=vcpus or backend.vcpus.value, memory_gb=memory_gb or backend.memory_gb.value)


def _instance(backend: Backend, machine: str) -> Backend:
    """Return the backend with another machine of the same family."""
    priced = backend.machine
    if machine == priced:
        return backend
    known, wanted = INSTANCE.fullmatch(priced), INSTANCE.fullmatch(machine)
    if known is None or wanted is None or known[1] != wanted[1]:
        raise UsageError(
            f"The price of {machine} is not known: neither fargate nor of the family of {priced}.",
            fix="name it in a --prices file, below backends: sagemaker_spot: {machine: TYPE, machine_hour: DOLLARS}.",
        )
    times = _vcpus(wanted) / _vcpus(known)
    return _changed(backend, vcpus=backend.vcpus.value * times, machine_hour=backend.machine_hour.value * times)


def _vcpus(instance: re.Match[str]) -> int:
    """Return the vCPUs of an instance size: 2 for large, 4 for xlarge, 8 for 2xlarge."""
    return 2 if instance[2] is None else 4 * int(instance[2] or 1)


def _changed(backend: Backend, **values: float) -> Backend:
    figures = {name: getattr(backend, name).model_copy(update={"value": value}) for name, value in values.items()}
    return backend.model_copy(update=figures)
