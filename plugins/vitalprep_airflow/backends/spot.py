"""Spot capacity: how often a step has lost it, how long the step waits then, and when it moves to on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException

from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused
from vitalprep_airflow.step import Step, map_index

__all__ = ["InterruptionsApart", "SpotLost", "Tally", "on_demand_after", "on_demand_shards"]

LONGEST_PAUSE = timedelta(minutes=5)


class SpotLost(WorkerFailed):
    """Spot capacity was taken away or is not available. The next try resumes from the receipts."""


def on_demand_after() -> int:
    """Return after how many interruptions a step moves to on-demand capacity."""
    return int(os.environ.get("VITALPREP_ON_DEMAND_AFTER") or 2)


def on_demand_shards() -> int:
    """Return how many shards, counted from the first, run on demand from the start."""
    return int(os.environ.get("VITALPREP_ON_DEMAND_SHARDS") or 0)


@dataclass
class Tally:
    """Interruptions and failures of a task since it was last cleared. Airflow's state store keeps it between tries."""

    interruptions: int = 0
    failures: int = 0

    @classmethod
    def of(cls, context: Context) -> Tally:
        """Read the tally. Clearing a task raises `max_tries`: a stored tally with another `max_tries` is outdated."""
        kept: Any = context["task_state_store"].get("tally")
        if not isinstance(kept, dict) or kept["max_tries"] != context["ti"].max_tries:
            return cls()
        return cls(kept["interruptions"], kept["failures"])

    def takes_spot(self, context: Context, step: Step) -> bool:
        """Decide whether this try runs on spot capacity, and store the decision: the page prices tries by it."""
        store = context["task_state_store"]
        first = map_index(context) < on_demand_shards()
        spot = step.interruptible and self.interruptions < on_demand_after() and not first
        earlier: Any = store.get("spot")
        store.set("spot", {**(earlier or {}), str(context["ti"].try_number): spot})
        return spot

    def after(self, error: WorkerFailed, context: Context, *, step: Step, retries: int) -> AirflowException:
        """Count and store a failed try, and return the error to raise, which says what comes next.

        Interruptions are not failures: `retries` of an interruptible step includes the tries that they may cost.
        """
        if isinstance(error, SpotLost):
            self.interruptions += 1
        else:
            self.failures += 1
        kept: dict[str, Any] = {
            "interruptions": self.interruptions,
            "failures": self.failures,
            "max_tries": context["ti"].max_tries,
        }
        context["task_state_store"].set("tally", kept)
        if isinstance(error, SpotLost):
            capacity = "on demand" if self.interruptions >= on_demand_after() else "on spot"
            return SpotLost(f"{error} Interruption {self.interruptions}; the next try runs {capacity}.")
        if self.failures > retries - (on_demand_after() if step.interruptible else 0):
            return WorkerRefused(f"{error} Given up after {self.failures} failures.")
        return error


class InterruptionsApart(RetryPolicy):
    """Retries an interrupted step after a pause of its own, from 15 s to 5 min. Failures wait as the DAG says."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide after one failed try."""
        if not isinstance(exception, SpotLost) or context is None:
            return RetryDecision.default()
        lost = Tally.of(context).interruptions
        first = timedelta(seconds=float(os.environ.get("VITALPREP_INTERRUPTION_PAUSE") or 15))
        pause = min(first * 2 ** (lost - 1), LONGEST_PAUSE)
        return RetryDecision.retry(delay=pause, reason=f"spot interruption {lost}, not a failure")
