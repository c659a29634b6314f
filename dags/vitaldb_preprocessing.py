"""Turns VitalDB recordings (`.vital`) into a proven training set of TFRecords.

### What this DAG does
It computes nothing itself: each task starts one command of the worker `vitalprep`, whose log lines are the task's log.
Everything is kept in the output storage, so **every task may be run again at any time**: finished work is found there
and not repeated.

### When a task is red, or the run ended early
The last line of its log says what is wrong and what to do. Exit 2 and 65 (refused) are not retried, because a retry
cannot help; everything else is retried with growing pauses.

* `check_config`, `check_raw_data`, `check_enough_cases` *green, all that follows skipped*: a setting, the input or the
  case list is unusable. The reason is also in the XCom `reason`. Mend it and trigger a new run.
* `plan_shards` *green, all that follows skipped*: the same data set is published already; there is nothing to do. Red:
  the input cannot be planned, for instance because one case is there twice. Mend it and trigger a new run.
* `harmonize` red: one shard failed at every try. Mend the cause and clear this shard **with downstream** (below). If
  the input changed since it was planned: trigger a new run.
* `build` red: a harmonized table does not match its receipt, or the storage failed. Clear it with downstream; if it is
  refused again, trigger a new run with *Do everything again*.
* `publish` red: cases are missing because a shard or a split failed (mend that one), or too many recordings are
  damaged. The numbers are in `accounting.json` beside the plan, the reason of each case in its receipt beside the
  harmonized tables. Replace the recordings and trigger a new run.
* `validate` red: the records on storage are not what was built. Do not use the data set. Clear `build` with
  downstream: a refused data set is built anew. If it is refused again, trigger a new run with *Do everything again*.
* `dataset_ready` red: objects are missing or their sizes disagree with the verdict. Find out who else writes to that
  folder, then do as for `validate`.

### Retry one shard alone
In the grid: click the red square of `harmonize`, *Clear task instance*, choose **Downstream**, confirm. Without
downstream the shard turns green, but what follows stays *upstream failed* and the run stays red. By REST
(the map index is the position in the grid; a shard's number is in its name):

    POST /api/v2/dags/vitaldb_preprocessing/clearTaskInstances
    {"dag_run_id": "<run>", "task_ids": [["harmonize", 1]], "include_downstream": true,
     "only_failed": true, "dry_run": false}

### What a restart repeats
A shard: only its cases without a receipt. `build`: its split. `publish`, `validate`: all of it, they are short.
A new run with nothing new ends green within seconds and says so; one with new cases, or with other windows or
ranges, does only what is new. Marking a task failed stops its worker, which commits what it has finished.

### For whoever deploys it
Airflow's environment may set the form's defaults (`VITALPREP_INPUT`, `_OUTPUT`, `_CASES`, `_CLINICAL`, `_CONFIG`,
`_SHARDS`), the worker's command (`VITALPREP_COMMAND`), where it runs (`VITALPREP_BACKEND`: `local`, `ecs` or
`sagemaker`), how many shards run at once (`VITALPREP_SHARDS_AT_ONCE`: 2, on AWS 16) and how often and after how many
seconds a failed task is tried again (`VITALPREP_RETRIES`: 3, `VITALPREP_RETRY_DELAY`: 30, doubling up to 15 minutes).

With `VITALPREP_SCHEDULE` it runs by itself, with the form's defaults: by the clock (cron, or `@weekly`), where nothing
new ends green, or with `@arrival` when there is something new: recordings, rows of the clinical table, settings. For
that the triggerer looks every `VITALPREP_ARRIVAL_SECONDS` (300); a run begins when two looks have found the same, so
that an upload can end first.

With `VITALPREP_NOTIFY_TOPIC` (SNS), or `VITALPREP_NOTIFIER` and `VITALPREP_NOTIFIER_ARGS` (any notifier of Airflow, its
arguments as JSON with `{{ run_subject }}` and `{{ run_message }}`), a task `notify` tells how each run ended.

On AWS a shard runs on spot capacity. Where that is taken back, the try ends red and the next one begins 15 s later
(then 30 s, up to 5 minutes); finished cases are kept, and interruptions do not count as retries. After
`VITALPREP_ON_DEMAND_AFTER` (2) of them the shard goes on on demand. The other settings are what Terraform made.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, Param, TriggerRule, task

from vitalprep_backends import backend_problem, mapped_worker_task, worker_task
from vitalprep_notify import NotifyOperator, is_wanted
from vitalprep_tasks import DatasetReadySensor, check, repeat_problem, run_worker, stop_here

SPLITS = ("train", "validation", "test")
# A relative path would mean another folder on every machine. Braces would be a template's.
URI = r"^(s3://[^/{}]+|file:///|/)[^{}]*$"
ON_ARRIVAL = "@arrival"  # a schedule of ours, beside Airflow's presets
NAME_LENGTH = 200  # Airflow's column for the name of a mapped task holds 250
# Airflow renders the arguments of mapped tasks: what a trigger or the worker said must not stand in them, only this.
PLAN = "{{ ti.xcom_pull(task_ids='plan_shards')['plan'] }}"
DATASET = "{{ ti.xcom_pull(task_ids='plan_shards')['dataset'] }}"

PARAMS = {
    "cases": Param(
        os.environ.get("VITALPREP_CASES") or None,
        type=["null", "string"],
        pattern=r"^[0-9,\s-]*$",
        title="Cases",
        description="Case numbers and ranges, such as 1-10,17,0022. Empty: every recording in the input.",
    ),
    "input": Param(
        os.environ.get("VITALPREP_INPUT"),
        type="string",
        pattern=URI,
        title="Input",
        description="Folder or bucket of the .vital files: s3://bucket/prefix, file:///path or an absolute path.",
    ),
    "output": Param(
        os.environ.get("VITALPREP_OUTPUT"),
        type="string",
        pattern=URI,
        title="Output",
        description="Where harmonized tables and data sets are kept. Use the same place every time: "
        "that is what makes a run repeat only what is new.",
    ),
    "clinical": Param(
        os.environ.get("VITALPREP_CLINICAL") or None,
        type=["null", "string"],
        pattern=URI,
        title="Clinical table",
        description="CSV with one row per case. Empty: clinical_data.csv in the input.",
    ),
    "append_to": Param(
        None,
        type=["null", "string"],
        pattern=URI,
        title="Append to",
        description="A published data set below the output, to make a larger one of: its cases and these. Each earlier "
        "subject keeps its split; the configuration is that data set's. Empty: a data set of these cases alone.",
    ),
    "shards": Param(
        int(os.environ.get("VITALPREP_SHARDS") or 4),
        type="integer",
        minimum=1,
        maximum=1000,
        title="Shards",
        description="Into how many tasks the recordings are divided. The data set's bytes do not depend on it.",
    ),
    "config": Param(
        os.environ.get("VITALPREP_CONFIG") or None,
        type=["null", "string"],
        pattern=URI,
        title="Configuration file",
        description="YAML laid over the Master POC specification that the worker carries. Empty: that one as it is.",
    ),
    "set": Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": r"^[^=\s]+=.*$"},
        title="Single settings",
        description="One KEY=VALUE a line, such as windowing.step=60. They win over the file.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Do everything again",
        description="Discards the finished work of these cases and settings, then does it again. Their data set counts "
        "as unpublished until it is proved anew; others stay.",
    ),
}


def worker_options(params: Mapping[str, Any]) -> list[str]:
    """The form as the worker's options. They say what is wanted; how and where it runs is the deployment's."""
    options: list[str] = []
    for key in ("input", "output", "cases", "clinical", "config", "append_to"):
        if value := (params[key] or "").strip():
            options += [f"--{key.replace('_', '-')}", value]
    for setting in params["set"] or []:
        options += ["--set", setting]
    return options


def passes(reason: str | None, ti: Any) -> bool:
    """False, if there is a reason to end the run here, green but without a result."""
    if reason:
        stop_here(reason, ti, level=logging.ERROR)
    return not reason


def unusable_trigger(conf: Mapping[str, Any]) -> str | None:
    """What is wrong with the deployment or the trigger, before the worker is asked. Airflow accepts any conf key."""
    if problem := backend_problem():
        return problem
    if unknown := sorted(set(conf) - set(PARAMS)):
        return f"Unknown key in the run's conf: {', '.join(unknown)}. To mend: use only {', '.join(PARAMS)}."
    return None


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_config(params: Mapping[str, Any], dag_run: Any, ti: Any) -> bool:
    """Deployment, trigger and settings can be used."""
    reason = unusable_trigger(dag_run.conf or {})
    return passes(reason or check(["--only", "config", *worker_options(params)]), ti)


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_raw_data(params: Mapping[str, Any], ti: Any) -> bool:
    """There are recordings, and the output can be written."""
    return passes(check(["--only", "raw-data", *worker_options(params)]), ti)


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def check_enough_cases(params: Mapping[str, Any], ti: Any) -> bool:
    """The case list and the clinical table leave enough for three splits."""
    return passes(check(["--only", "enough-cases", *worker_options(params)]), ti)


@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False)
def plan_shards(params: Mapping[str, Any], ti: Any) -> dict[str, Any]:
    """Plan the data set; a plan whose data set is published already ends the run, green."""
    force = ["--force"] if params["force"] else []
    plan = run_worker(["plan", *worker_options(params), "--shards", str(params["shards"]), *force])
    if plan["up_to_date"]:
        reason = f"Nothing to do: {plan['dataset']} is published already, for the same cases and settings."
        stop_here(reason, ti)
        return {}
    return plan


# Skips harmonize alone, never what follows it: the tables may be there while the data set is not built.
@task.short_circuit(multiple_outputs=False, show_return_value_in_logs=False, ignore_downstream_trigger_rules=False)
def unfinished_shards(plan: dict[str, Any], ti: Any) -> list[dict[str, Any]]:
    """The steps of harmonize. An empty list would skip the build too, so it is a short circuit of its own."""
    left = [shard for shard in plan["shards"] if shard["unfinished"]]
    if not left:
        reason = f"All {sum(shard['cases'] for shard in plan['shards'])} cases are already harmonized."
        stop_here(reason, ti)
    return [
        {
            "arguments": ["harmonize", "--plan", PLAN, "--shard", str(shard["index"])],
            "step": f"shard {shard['index']}: {shard['label']}"[:NAME_LENGTH],
        }
        for shard in left
    ]


@task(multiple_outputs=False, show_return_value_in_logs=False)
def splits_to_build(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of build. Mapped over a task, because a short circuit does not skip what is mapped over constants."""
    return [
        {"arguments": ["build", "--plan", PLAN, "--split", split], "step": split}
        for split in SPLITS
        if split in plan["splits"]
    ]


def schedule() -> str | list[Asset] | None:
    """When the DAG runs by itself: a run that finds nothing new ends green within seconds of work."""
    wanted = os.environ.get("VITALPREP_SCHEDULE") or None
    missing = [name for name in ("VITALPREP_INPUT", "VITALPREP_OUTPUT") if not os.environ.get(name)]
    if wanted and missing:
        raise ValueError(
            f"VITALPREP_SCHEDULE={wanted!r} needs {' and '.join(missing)}: nobody fills the form of a scheduled run. "
            "To mend: set them in Airflow's environment."
        )
    return [arriving_recordings()] if wanted == ON_ARRIVAL else wanted


def arriving_recordings() -> Asset:
    """What a run with the form's defaults would make, watched by the triggerer."""
    from vitalprep_arrivals import NewRecordings, seconds_between_looks

    options = worker_options({name: param.value for name, param in PARAMS.items()})
    trigger = NewRecordings(arguments=options, seconds=seconds_between_looks())
    return Asset("vitaldb_recordings", watchers=[AssetWatcher(name="new_recordings", trigger=trigger)])


with DAG(
    dag_id="vitaldb_preprocessing",
    description="VitalDB recordings into a proven training set of TFRecords",
    doc_md=__doc__,
    schedule=schedule(),
    catchup=False,
    # Two runs at once are safe, but would harmonize the cases they share twice; the second waits for the first.
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
    plan = plan_shards()
    harmonize = mapped_worker_task("harmonize", unfinished_shards(plan), interruptible=True)
    build = mapped_worker_task("build", splits_to_build(plan), trigger_rule=TriggerRule.NONE_FAILED)
    # Runs also after a lost shard, so that the accounting is written; it then refuses and names what is missing.
    # Not after a plan that failed: there would be nothing to account for.
    publish = worker_task("publish", ["publish", "--plan", PLAN], trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    validate = worker_task("validate", ["validate", DATASET])
    dataset_ready = DatasetReadySensor(
        task_id="dataset_ready",
        dataset=DATASET,
        poke_interval=15,
        timeout=300,
        outlets=[Asset("vitaldb_dataset")],
    )

    check_config() >> check_raw_data() >> check_enough_cases() >> plan
    harmonize >> build >> publish >> validate >> dataset_ready
    plan >> publish
    if is_wanted():
        # A teardown runs also after what failed or was skipped, and the run's state does not depend on it.
        dataset_ready >> NotifyOperator(task_id="notify").as_teardown()
