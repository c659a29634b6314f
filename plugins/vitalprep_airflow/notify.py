"""Sends a message about each run's end: by SNS, or by any Airflow notifier that the deployment names.

The task is a teardown: it runs whatever happened before it, and the run's state does not depend on it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, Context
from airflow.sdk.configuration import conf
from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

from vitalprep_airflow.backends.aws import region
from vitalprep_airflow.page.links import report_path

__all__ = ["NotifyOperator", "is_wanted"]

SNS = "airflow.providers.amazon.aws.notifications.sns.SnsNotifier"
LOCAL = "http://localhost:8080"
SUBJECT_LENGTH = 100  # SNS accepts no more
FAILED = ("failed", "upstream_failed")

log = logging.getLogger("airflow.task")


def is_wanted() -> bool:
    """Return whether the deployment names a topic or a notifier."""
    return bool(os.environ.get("VITALPREP_NOTIFY_TOPIC") or os.environ.get("VITALPREP_NOTIFIER"))


class NotifyOperator(BaseOperator):
    """Writes a subject and a message with the run's numbers and passes them to the notifier.

    ``VITALPREP_NOTIFY_TOPIC`` is an SNS topic. Alternatively, ``VITALPREP_NOTIFIER`` names a notifier class and
    ``VITALPREP_NOTIFIER_ARGS`` its arguments as JSON, with ``{{ run_subject }}`` and ``{{ run_message }}`` in them.
    """

    def execute(self, context: Context) -> None:
        """Send the message. Raises what the notifier raises."""
        ti, run = context["ti"], context["run_id"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run])[run]
        results = {task: ti.xcom_pull(task_ids=task) for task in ("plan_shards", "publish", "validate")}
        reasons = [ti.xcom_pull(task_ids=task, key="reason") for task in ("check_config", "check_raw_data")]
        reasons += [ti.xcom_pull(task_ids=task, key="reason") for task in ("check_enough_cases", "plan_shards")]
        subject, message = message_about(states, results, next(filter(None, reasons), None))
        message = "\n".join([message, *links(conf.get("api", "base_url", fallback=LOCAL), ti.dag_id, run, results)])
        log.info("%s\n%s", subject, message)
        # Both are values of the context: braces in them are never rendered as templates.
        _notifier()({**context, "run_subject": subject[:SUBJECT_LENGTH], "run_message": message})


def message_about(states: Mapping[str, str], results: Mapping[str, Any], reason: str | None) -> tuple[str, str]:
    """Return subject and message about a run's end.

    Parameters
    ----------
    states : mapping
        Each task instance's state; mapped ones are named ``harmonize_0`` or ``harmonize[0]``.
    results : mapping
        The results of plan_shards, publish and validate; None for a task without one.
    reason : str or None
        Why a short circuit ended the run early.
    """
    plan, publish, validate = (results.get(name) or {} for name in ("plan_shards", "publish", "validate"))
    failed = sorted(name for name, state in states.items() if state == "failed")
    blocked = any(state in FAILED for state in states.values())
    lines = []
    if written := publish.get("written"):
        excluded = ", ".join(f"{name} {count}" for name, count in publish.get("excluded", {}).items()) or "none"
        lines.append(f"{written} of {publish.get('requested')} cases written, excluded: {excluded}.")
    if windows := validate.get("windows"):
        lines.append("Windows: " + ", ".join(f"{split} {count}" for split, count in windows.items()) + ".")
    dataset = plan.get("dataset") or ""
    name = dataset.rstrip("/").rsplit("/", 1)[-1]
    if blocked:
        lines.insert(0, f"Failed: {', '.join(failed)}. The last line of each task's log says how to fix it.")
        return f"vitalprep failed: {', '.join(failed) or 'see the run'}", "\n".join([*lines, dataset]).strip()
    if reason:
        return "vitalprep made no new data set", reason
    return f"vitalprep published {name}", "\n".join([*lines, dataset]).strip()


def links(airflow: str, dag_id: str, run: str, results: Mapping[str, Any]) -> list[str]:
    """Return links to the report, if a data set was published, and to the run."""
    origin = urlsplit(airflow)._replace(path="", query="", fragment="").geturl()
    dataset = (results.get("plan_shards") or {}).get("dataset")
    report = [f"Report: {origin}{report_path(dataset)}"] if dataset and results.get("validate") else []
    return [*report, f"Run: {airflow.rstrip('/')}/dags/{dag_id}/runs/{quote(run, safe='')}"]


def _notifier() -> Any:
    path = os.environ.get("VITALPREP_NOTIFIER") or SNS
    arguments = json.loads(os.environ.get("VITALPREP_NOTIFIER_ARGS") or "null") or {
        "aws_conn_id": os.environ.get("VITALPREP_AWS_CONNECTION") or None,
        "target_arn": os.environ.get("VITALPREP_NOTIFY_TOPIC", ""),
        "region_name": region() or None,
        "subject": "{{ run_subject }}",
        "message": "{{ run_message }}",
    }
    return import_string(path)(**arguments)
