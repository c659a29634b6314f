"""Builds a validated training set of TFRecords from VitalDB recordings (`.vital`).

### What this DAG does
The tasks run in this order: `check_config`, `check_raw_data`, `check_enough_cases`, `plan_shards`, `harmonize` (one
task for each shard of cases), `build` (one for each split), `publish`, `validate`, `dataset_ready`. Each task runs one
command of the worker `vitalprep`. The log of the task is the log of the command.

All results are in the output location. **You can run every task again at any time**: the worker finds finished work
there and does not repeat it.

### When a task failed, or the run ended early
The last line of the task's log says what is wrong and how to fix it. Exit codes 2 and 65 mean *refused*: Airflow does
not retry them, because a retry would fail in the same way. Airflow retries all other failures, with growing pauses.

* `check_config`, `check_raw_data` or `check_enough_cases` succeeded and **all later tasks were skipped**: a setting,
  the input or the case list cannot be used. The XCom `reason` of the task has the message, too. Fix the cause and
  trigger a new run.
* `plan_shards` succeeded and **all later tasks were skipped**: this data set is already published. Nothing to do.
* `plan_shards` failed: the recordings cannot be planned, for instance because two files are of the same case. Fix the
  cause and trigger a new run.
* `harmonize` failed: one shard failed in all its tries. Fix the cause, then clear that shard **with Downstream** (see
  below). If the input has changed since it was planned, trigger a new run.
* `build` failed: a harmonized table does not match its receipt, or the storage failed. Clear the task with Downstream.
  If it is refused again, trigger a new run with *Do everything again*.
* `publish` failed: a shard or a split is missing (fix that task first), or too many recordings are damaged. It starts
  once all shards and splits have ended, also after a failed one. The numbers are in `accounting.json` beside the plan.
  The reason for each case is in its receipt, beside the harmonized tables. Replace the damaged recordings and trigger a
  new run.
* `validate` failed: the records on storage differ from those that were built. **Do not use this data set.** Clear
  `build` with Downstream: it builds a refused data set again. If `validate` refuses it again, trigger a new run with
  *Do everything again*.
* `dataset_ready` failed: objects are missing, or their sizes differ from the validated ones. Find out what else writes
  to this location, then proceed as for `validate`.

### How to retry a single shard
In the grid, click the failed square of `harmonize`, choose *Clear task instance*, select **Downstream** and confirm.
Without Downstream the shard succeeds, but the later tasks stay *upstream failed* and the run stays failed. Leave *Only
Failed* off, so that `publish` waits for all shards again.

With the REST API (`1` is the map index, which is the position in the grid; the shard's number is in its name):

    POST /api/v2/dags/vitaldb_preprocessing/clearTaskInstances
    {"dag_run_id": "<run>", "task_ids": [["harmonize", 1]], "include_downstream": true,
     "only_failed": false, "dry_run": false}

### What a new try repeats
A shard repeats only the cases that have no receipt. `build` repeats its split. `publish` and `validate` repeat all of
their work, which is short. A new run with unchanged input and settings succeeds within seconds. A run with new cases or
settings does only what is new. If you mark a task as failed, its worker commits finished cases and stops.

### Settings of the deployment
These are environment variables of Airflow.

| Variable | Meaning | Default |
|---|---|---|
| `VITALPREP_INPUT`, `_OUTPUT`, `_CASES`, `_CLINICAL`, `_CONFIG`, `_SHARDS` | defaults of the trigger form | |
| `VITALPREP_COMMAND` | the worker's command | `vitalprep` |
| `VITALPREP_BACKEND` | where the steps run: `local`, `ecs`, `sagemaker` or `batch` | `local` |
| `VITALPREP_SHARDS_AT_ONCE` | shards that run at the same time | 2; on AWS 16 |
| `VITALPREP_RETRIES` | retries of a failed task | 3 |
| `VITALPREP_RETRY_DELAY` | seconds before the first retry; doubles up to 15 minutes | 30 |
| `VITALPREP_SCHEDULE` | when the DAG starts by itself: cron, `@weekly` and so on, or `@arrival` | never |
| `VITALPREP_ARRIVAL_SECONDS` | polling interval of `@arrival` | 300 |
| `VITALPREP_NOTIFY_TOPIC` | SNS topic for a message about each run's end | none |
| `VITALPREP_NOTIFIER`, `VITALPREP_NOTIFIER_ARGS` | any other Airflow notifier, its arguments as JSON | none |
| `VITALPREP_ON_DEMAND_AFTER` | interruptions after which a shard runs on demand | 2 |

**Scheduled runs** use the form's defaults. With `@arrival`, the triggerer polls the input. A run starts only if there
is something new: recordings, rows of the clinical table, or settings. It starts once two consecutive polls agree, so
that uploads can finish.

**Messages** come from the task `notify`, which exists if a topic or a notifier is set. The notifier's arguments may
contain `{{ run_subject }}` and `{{ run_message }}`.

**On AWS** shards run on spot capacity. If AWS takes the capacity away, the try fails and the next one starts after 15 s
(later 30 s, up to 5 minutes). Finished cases are kept, and interruptions do not count as retries. Terraform writes the
settings of the AWS backends.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher, Param, TriggerRule, get_current_context, task

from vitalprep_airflow.backends import backend_problem, mapped_worker_task, worker_task
from vitalprep_airflow.command import check, repeat_problem, run_worker, stop_here
from vitalprep_airflow.notify import NotifyOperator, is_wanted
from vitalprep_airflow.sensor import DatasetReadySensor
from vitalprep_airflow.step import Step

SPLITS = ("train", "validation", "test")
# No relative path: it would mean a different folder on each machine. No braces: Airflow could take them for a template.
URI = r"^(s3://[^/{}]+|file:///|/)[^{}]*$"
ON_ARRIVAL = "@arrival"  # our own schedule, besides Airflow's presets
NAME_LENGTH = 200  # Airflow stores at most 250 characters of a mapped task's name
# Airflow renders a step's arguments and output. To keep text from a trigger or the worker out of templates, they hold
# only these references; Airflow does not render what a reference yields.
PLAN = "{{ ti.xcom_pull(task_ids='plan_shards')['plan'] }}"
DATASET = "{{ ti.xcom_pull(task_ids='plan_shards')['dataset'] }}"
OUTPUT = "{{ params['output'].strip() }}"

PARAMS = {
    "cases": Param(
        os.environ.get("VITALPREP_CASES") or None,
        type=["null", "string"],
        pattern=r"^[0-9,\s-]*$",
        title="Cases",
        description="Case numbers and ranges, for example 1-10,17,0022. Leave empty for all recordings in the input.",
    ),
    "input": Param(
        os.environ.get("VITALPREP_INPUT"),
        type="string",
        pattern=URI,
        title="Input",
        description="Location of the .vital files: s3://bucket/prefix, file:///path or an absolute path.",
    ),
    "output": Param(
        os.environ.get("VITALPREP_OUTPUT"),
        type="string",
        pattern=URI,
        title="Output",
        description="Location for harmonized tables and data sets. Use the same location for every run: the worker "
        "finds finished work there and does not repeat it.",
    ),
    "clinical": Param(
        os.environ.get("VITALPREP_CLINICAL") or None,
        type=["null", "string"],
        pattern=URI,
        title="Clinical table",
        description="CSV file with one row for each case. Leave empty for clinical_data.csv in the input.",
    ),
    "append_to": Param(
        None,
        type=["null", "string"],
        pattern=URI,
        title="Append to",
        description="A published data set in the output. The new data set contains its cases and the cases above, with "
        "its configuration; its subjects keep their splits. Leave empty for a data set of the cases above alone.",
    ),
    "shards": Param(
        int(os.environ.get("VITALPREP_SHARDS") or 4),
        type="integer",
        minimum=1,
        maximum=1000,
        title="Shards",
        description="Number of harmonize tasks that share the recordings. The data set does not depend on it.",
    ),
    "config": Param(
        os.environ.get("VITALPREP_CONFIG") or None,
        type=["null", "string"],
        pattern=URI,
        title="Configuration file",
        description="YAML file that overrides values of the default configuration (the Master POC specification). "
        "Leave empty for the default configuration.",
    ),
    "set": Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": r"^[^=\s]+=.*$"},
        title="Single settings",
        description="One KEY=VALUE on each line, for example windowing.step=60. Overrides the configuration file.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Do everything again",
        description="Deletes the finished work for these cases and settings and does it again. The data set counts as "
        "unpublished until it is validated again. Other data sets are not affected.",
    ),
}


def worker_options(params: Mapping[str, Any]) -> list[str]:
    """Return the form's values as options of the worker."""
    options: list[str] = []
    for key in ("input", "output", "cases", "clinical", "config", "append_to"):
        if value := (params[key] or "").strip():
            options += [f"--{key.replace('_', '-')}", value]
    for setting in params["set"] or []:
        options += ["--set", setting]
    return options


def passes(reason: str | None) -> bool:
    """Return False if there is a reason to end the run here, successfully but without a data set."""
    if reason:
        stop_here(reason, level=logging.ERROR)
    return not reason


def unusable_trigger(conf: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the deployment or with the keys of the run's conf, of which Airflow accepts any."""
    if problem := backend_problem():
        return problem
    if unknown := sorted(set(conf) - set(PARAMS)):
        return f"Unknown key in the run's conf: {', '.join(unknown)}. Fix: use only {', '.join(PARAMS)}."
    return None


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_config() -> bool:
    """Check the deployment, the trigger and the settings."""
    context = get_current_context()
    reason = unusable_trigger(context["dag_run"].conf or {})
    return passes(reason or check(["--only", "config", *worker_options(context["params"])]))


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_raw_data() -> bool:
    """Check that there are recordings and that the output can be written."""
    return passes(check(["--only", "raw-data", *worker_options(get_current_context()["params"])]))


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_enough_cases() -> bool:
    """Check that case list and clinical table leave enough cases for three splits."""
    return passes(check(["--only", "enough-cases", *worker_options(get_current_context()["params"])]))


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def plan_shards() -> dict[str, Any]:
    """Plan the data set. If it is already published, the run ends here successfully."""
    params = get_current_context()["params"]
    force = ["--force"] if params["force"] else []
    plan = run_worker("plan", [*worker_options(params), "--shards", str(params["shards"]), *force])
    if plan["up_to_date"]:
        reason = f"Nothing to do: {plan['dataset']} is already published, for the same cases and settings."
        stop_here(reason)
        return {}
    return plan


# Skips harmonize alone: all tables may exist while the data set is not built yet.
@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False, ignore_downstream_trigger_rules=False)
def unfinished_shards(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of harmonize. A short circuit, because an empty list would skip build as well."""
    left = [shard for shard in plan["shards"] if shard["unfinished"]]
    if not left:
        reason = f"All {sum(shard['cases'] for shard in plan['shards'])} cases are already harmonized."
        stop_here(reason)
    steps = [
        Step(
            command="harmonize",
            arguments=("--plan", PLAN, "--shard", str(shard["index"])),
            name=f"shard {shard['index']}: {shard['label']}"[:NAME_LENGTH],
            interruptible=True,
            output_uri=OUTPUT,
        )
        for shard in left
    ]
    return [step.mapped() for step in steps]


@task(multiple_outputs=False, show_return_value_in_logs=False)
def splits_to_build(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of build. A task, because a short circuit does not skip a task mapped over constants."""
    steps = [
        Step(command="build", arguments=("--plan", PLAN, "--split", split), name=split, output_uri=OUTPUT)
        for split in SPLITS
        if split in plan["splits"]
    ]
    return [step.mapped() for step in steps]


def schedule() -> str | list[Asset] | None:
    """Return when the DAG starts by itself, from ``VITALPREP_SCHEDULE``; None for never."""
    wanted = os.environ.get("VITALPREP_SCHEDULE") or None
    missing = [name for name in ("VITALPREP_INPUT", "VITALPREP_OUTPUT") if not os.environ.get(name)]
    if wanted and missing:
        raise ValueError(
            f"VITALPREP_SCHEDULE={wanted!r} needs {' and '.join(missing)}, because nobody fills in the form of a "
            "scheduled run. Fix: set them in Airflow's environment."
        )
    return [arriving_recordings()] if wanted == ON_ARRIVAL else wanted


def arriving_recordings() -> Asset:
    """Return the asset that the triggerer updates when a run with the form's defaults would make something new."""
    from vitalprep_airflow.arrivals import NewRecordings, seconds_between_polls

    options = worker_options({name: param.value for name, param in PARAMS.items()})
    trigger = NewRecordings(arguments=options, seconds=seconds_between_polls())
    return Asset("vitaldb_recordings", watchers=[AssetWatcher(name="new_recordings", trigger=trigger)])


with DAG(
    dag_id="vitaldb_preprocessing",
    description="Builds a validated training set of TFRecords from VitalDB recordings",
    doc_md=__doc__,
    schedule=schedule(),
    catchup=False,
    # Concurrent runs are safe, but would harmonize their common cases twice, so the second run waits for the first.
    max_active_runs=1,
    params=PARAMS,
    tags=["vitaldb", "tfrecord"],
    default_args={
        "retries": int(os.environ.get("VITALPREP_RETRIES") or 3),
        "retry_delay": timedelta(seconds=float(os.environ.get("VITALPREP_RETRY_DELAY") or 30)),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        "on_failure_callback": repeat_problem,
        "on_retry_callback": repeat_problem,
    },
) as dag:
    plan: Any = plan_shards()  # an XComArg here, and its value in the tasks that take it
    harmonize = mapped_worker_task("harmonize", unfinished_shards(plan), interruptible=True)
    build = mapped_worker_task("build", splits_to_build(plan), trigger_rule=TriggerRule.NONE_FAILED)
    # `build` gives up with the first failed shard. These two run nothing: `shards_ended` succeeds once every shard has
    # ended, successfully or not; `may_publish` also needs the plan. publish itself cannot wait for `harmonize`, whose
    # skip it would follow where all shards are finished.
    shards_ended = EmptyOperator(task_id="shards_ended", trigger_rule=TriggerRule.ALL_DONE)
    may_publish = EmptyOperator(task_id="may_publish")
    # publish also runs after a failed shard: it writes the accounting, then refuses and names what is missing. It does
    # not run after a failed plan, which leaves nothing to account for.
    publish = worker_task(
        "publish",
        Step(command="publish", arguments=("--plan", PLAN), output_uri=OUTPUT),
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
    )
    validate = worker_task("validate", Step(command="validate", arguments=(DATASET,), output_uri=OUTPUT))
    dataset_ready = DatasetReadySensor(
        task_id="dataset_ready",
        dataset=DATASET,
        poke_interval=15,
        timeout=300,
        outlets=[Asset("vitaldb_dataset")],
    )

    check_config() >> check_raw_data() >> check_enough_cases() >> plan
    harmonize >> build >> publish >> validate >> dataset_ready
    harmonize >> shards_ended >> may_publish >> publish
    plan >> may_publish
    if is_wanted():
        # A teardown runs also after failed and skipped tasks, and the run's state does not depend on it.
        dataset_ready >> NotifyOperator(task_id="notify").as_teardown()
