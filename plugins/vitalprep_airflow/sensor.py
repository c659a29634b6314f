"""The DAG's last task: waits until a data set is complete on storage, then announces it as an asset."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from vitalprep_airflow.command import completed, required_result
from vitalprep_airflow.outcome import REFUSED
from vitalprep_airflow.page.links import ReportLink
from vitalprep_airflow.process import WorkerProcess

__all__ = ["DatasetReadySensor"]

log = logging.getLogger("airflow.task")


class DatasetReadySensor(BaseSensorOperator):
    """Waits until the data set's objects, their sizes and the stored verdict agree, then announces the asset.

    Storage that lists objects late (a network file system, a replica) needs a moment. A disagreement that persists is
    an error; the message of the timeout names it.

    :param dataset: URI of the data set. (templated)
    """

    template_fields: Sequence[str] = ("dataset",)
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self._problem = ""

    def execute(self, context: Context) -> Any:
        """Poke until the data set is ready. The timeout's message says what disagreed."""
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(f"{self.dataset} is not ready: {self._problem}") from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Compare once."""
        outcome = completed(WorkerProcess("validate", [self.dataset, "--quick", "--json"], log=log.log))
        if outcome.exit_code == REFUSED:
            self._problem = outcome.problem
            return PokeReturnValue(is_done=False)
        result = required_result(outcome)
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {
                "dataset": self.dataset,
                "dataset_id": self.dataset.rstrip("/").rsplit("/", 1)[-1],
                "windows": result.get("windows", {}),
            }
        return PokeReturnValue(is_done=True, xcom_value=result)
