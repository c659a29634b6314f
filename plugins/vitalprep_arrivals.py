"""Runs that begin when recordings arrive: Airflow's triggerer asks the worker now and then what a run would make.

It is the data set's id that counts, not the files: a recording that is replaced, a new row in the clinical table and a
new configuration begin a run as well; what is published already does not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from vitalprep_outcomes import DONE, NEVER_RETRY
from vitalprep_process import WorkerProcess, worker_command

__all__ = ["NewRecordings", "seconds_between_looks"]

STATE_KEY = "announced"  # in Airflow's store, so that a restarted triggerer begins no run twice
GRACE_SECONDS = 5  # the command only reads

log = logging.getLogger(__name__)


def seconds_between_looks() -> float:
    """Return how often the input is listed. A run begins when two looks have found the same."""
    return float(os.environ.get("VITALPREP_ARRIVAL_SECONDS") or 300)


class NewRecordings(BaseEventTrigger):
    """Fires once for each new thing that a run would do, when it has stayed the same from one look to the next.

    An upload that is under way changes from look to look, so its runs wait for its end. An input that cannot be planned
    fires as well: the run's checks tell people why. Storage that does not answer is asked again at the next look.

    :param arguments: the run's own options, as ``vitalprep plan`` takes them.
    :param seconds: from one look to the next.
    """

    def __init__(self, *, arguments: Sequence[str], seconds: float) -> None:
        super().__init__()
        self.arguments = list(arguments)
        self.seconds = seconds
        self._told = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow keeps of it."""
        return "vitalprep_arrivals.NewRecordings", {"arguments": self.arguments, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for ever."""
        announced = await self._announced()
        before: str | None = None
        while True:
            found = await self._look()
            if found and found == before and found != announced:
                yield TriggerEvent(found)
                announced = found
                await self._keep(found)
            before = found
            await asyncio.sleep(self.seconds)

    async def _look(self) -> str | None:
        """Return a name of what a run would do now; None where it would do nothing, or where nobody knows."""
        process = WorkerProcess(
            ["plan", *self.arguments, "--dry-run", "--json"], log=_silent, grace_seconds=GRACE_SECONDS
        )
        try:
            outcome = await asyncio.to_thread(process.run)
        except OSError as error:
            self._tell(f"{worker_command()[0]!r} cannot be started ({error.strerror}): set VITALPREP_COMMAND.")
            return None
        finally:
            process.stop()  # cancelled while the worker ran
        if outcome.exit_code in NEVER_RETRY:
            self._tell(f"The input cannot be planned: {outcome.problem}")
            return "refused " + hashlib.sha256(outcome.problem.encode()).hexdigest()[:12]
        if outcome.exit_code != DONE or "dataset_id" not in outcome.document:
            self._tell(f"Could not look for new recordings: {outcome.problem}")
            return None
        self._told = ""
        return None if outcome.document.get("up_to_date") else str(outcome.document["dataset_id"])

    def _tell(self, problem: str) -> None:
        """Log it once, not at every look."""
        if problem != self._told:
            log.warning("%s", problem)
        self._told = problem

    async def _announced(self) -> str | None:
        kept = await self.asset_state_store.aget(STATE_KEY) if self.asset_state_store else None
        return kept if isinstance(kept, str) else None

    async def _keep(self, found: str) -> None:
        if self.asset_state_store:
            await self.asset_state_store.aset(STATE_KEY, found)


def _silent(level: int, text: str) -> None:
    """What matters of the worker's lines is in how it ended."""
