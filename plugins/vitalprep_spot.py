"""Spot capacity: what a step has lost so far, how long it pauses, and when it goes on on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException

from vitalprep_outcomes import WorkerFailed, WorkerRefused

__all__ = [
    "SAGEMAKER_TYPE",
    "InterruptionsApart",
    "SpotLost",
    "Tally",
    "is_shard",
    "on_demand_after",
    "on_demand_shards",
]

SAGEMAKER_TYPE = "ml.m5.large"  # of a shard, unless the deployment says otherwise
LONGEST_PAUSE = timedelta(minutes=5)


class SpotLost(WorkerFailed):
    """Spot capacity was taken back or not to be had: nobody's fault, and the next try goes on from the receipts."""


def on_demand_after() -> int:
    """Return after how many interruptions a shard goes on on demand."""
    return int(os.environ.get("VITALPREP_ON_DEMAND_AFTER") or 2)


def on_demand_shards() -> int:
    """Return how many shards, the first ones, run on demand from the start."""
    return int(os.environ.get("VITALPREP_ON_DEMAND_SHARDS") or 0)


def is_shard(command: str) -> bool:
    """Whether a command may be interrupted; the others are short and run on demand."""
    return command == "harmonize"


@dataclass
class Tally:
    """What a task has lost so far, since it was last cleared. Airflow keeps it from one try to the next."""

    interruptions: int = 0
    failures: int = 0

    @classmethod
    def of(cls, context: Context) -> Tally:
        """Read it. Clearing a task raises its number of tries, by which an earlier tally is known to be over."""
        kept = context["task_state_store"].get("tally")
        if not isinstance(kept, dict) or kept["max_tries"] != context["ti"].max_tries:
            return cls()
        return cls(kept["interruptions"], kept["failures"])

    def takes_spot(self, context: Context, command: str) -> bool:
        """Whether this try runs on spot capacity, which is kept for whoever reckons what it costs.

        The deployment may have the first shards run on demand.
        """
        ti, store = context["ti"], context["task_state_store"]
        spot = is_shard(command) and self.interruptions < on_demand_after() and ti.map_index >= on_demand_shards()
        store.set("spot", {**(store.get("spot") or {}), str(ti.try_number): spot})
        return spot

    def after(self, error: WorkerFailed, context: Context, *, command: str, retries: int) -> AirflowException:
        """Count and keep a failed try, and return what to raise: the error and what comes next.

        Interruptions are no failures: the tries that they may cost are among a shard's `retries`.
        """
        if isinstance(error, SpotLost):
            self.interruptions += 1
        else:
            self.failures += 1
        kept = {"interruptions": self.interruptions, "failures": self.failures, "max_tries": context["ti"].max_tries}
        context["task_state_store"].set("tally", kept)
        if isinstance(error, SpotLost):
            again = "on demand" if self.interruptions >= on_demand_after() else "on spot"
            return SpotLost(f"{error} Interruption {self.interruptions}; it is tried again {again}.")
        if self.failures > retries - (on_demand_after() if is_shard(command) else 0):
            return WorkerRefused(f"{error} Given up after {self.failures} failures.")
        return error


class InterruptionsApart(RetryPolicy):
    """Interrupted shards start again soon, by pauses of their own; failures wait as the DAG says."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide after one failed try."""
        if not isinstance(exception, SpotLost) or context is None:
            return RetryDecision.default()
        lost = Tally.of(context).interruptions
        first = timedelta(seconds=float(os.environ.get("VITALPREP_INTERRUPTION_PAUSE") or 15))
        pause = min(first * 2 ** (lost - 1), LONGEST_PAUSE)
        return RetryDecision.retry(delay=pause, reason=f"spot interruption {lost}: nobody's fault")
