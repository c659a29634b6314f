"""Starts runs when recordings arrive: Airflow's triggerer regularly asks the worker which data set a run would make.

It compares data set ids, not files. So a replaced recording, a new row in the clinical table and a new configuration
start a run as well. A copied recording and a data set that is already published do not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from vitalprep_airflow.outcome import DONE, NEVER_RETRY
from vitalprep_airflow.process import WorkerProcess, worker_command

__all__ = ["NewRecordings", "seconds_between_polls"]

STATE_KEY = "announced"  # in Airflow's state store, so that a restarted triggerer starts no run twice
GRACE_SECONDS = 5  # the command only reads

log = logging.getLogger(__name__)


def seconds_between_polls() -> float:
    """Return the polling interval. A run starts once two consecutive polls agree."""
    return float(os.environ.get("VITALPREP_ARRIVAL_SECONDS") or 300)


class NewRecordings(BaseEventTrigger):
    """Fires once for each new data set that a run would make, as soon as two consecutive polls agree on it.

    An upload in progress changes the result from poll to poll, so the run starts after the upload. An input that cannot
    be planned fires as well: the checks of that run tell people why. If the storage does not answer, the next poll asks
    again.

    :param arguments: the run's options, as ``vitalprep plan`` takes them.
    :param seconds: polling interval.
    """

    def __init__(self, *, arguments: Sequence[str], seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arguments = list(arguments)
        self.seconds = seconds
        self._warned = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which Airflow makes this trigger again."""
        return "vitalprep_airflow.arrivals.NewRecordings", {"arguments": self.arguments, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for ever."""
        announced = await self._announced()
        before: str | None = None
        while True:
            found = await self._poll()
            if found and found == before and found != announced:
                yield TriggerEvent(found)  # type: ignore[no-untyped-call]
                announced = found
                await self._keep(found)
            before = found
            await asyncio.sleep(self.seconds)

    async def _poll(self) -> str | None:
        """Return the id of the data set that a run would make now; None if there is none, or if the poll failed."""
        arguments = [*self.arguments, "--dry-run", "--json"]
        process = WorkerProcess("plan", arguments, log=_silent, grace_seconds=GRACE_SECONDS)
        try:
            outcome = await asyncio.to_thread(process.run)
        except OSError as error:
            self._warn(
                f"The worker command {worker_command()[0]!r} cannot be started ({error.strerror}). "
                "Fix: set VITALPREP_COMMAND in the environment of Airflow's triggerer."
            )
            return None
        finally:
            process.stop()  # if the trigger was cancelled while the worker ran
        if outcome.exit_code in NEVER_RETRY:
            self._warn(f"The input cannot be planned: {outcome.problem}")
            return "refused " + hashlib.sha256(outcome.problem.encode()).hexdigest()[:12]
        if outcome.exit_code != DONE or "dataset_id" not in outcome.document:
            self._warn(f"The poll for new recordings failed: {outcome.problem}")
            return None
        self._warned = ""
        return None if outcome.document.get("up_to_date") else str(outcome.document["dataset_id"])

    def _warn(self, problem: str) -> None:
        """Log a problem once, not at every poll."""
        if problem != self._warned:
            log.warning("%s", problem)
        self._warned = problem

    async def _announced(self) -> str | None:
        kept = await self.asset_state_store.aget(STATE_KEY) if self.asset_state_store else None
        return kept if isinstance(kept, str) else None

    async def _keep(self, found: str) -> None:
        if self.asset_state_store:
            await self.asset_state_store.aset(STATE_KEY, found)


def _silent(level: int, text: str) -> None:
    """Drop a line of the worker's log: the outcome has the error message."""
