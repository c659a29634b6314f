"""The demo: runs the DAG on simulated recordings with a real scheduler, and prints a summary."""

from __future__ import annotations

import shlex
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local_airflow import server, simulated
from local_airflow.rest import DAG_ID, Airflow

__all__ = ["STAGES", "run"]

RUN_SECONDS = 600
SHARDS = 4
STAGES = ("check", "plan", "harmonize", "build", "publish", "validate", "dataset_ready")
EXCERPT_LINES = 15

Task = dict[str, Any]


def run(folder: Path, console: Console) -> int:
    """Run the demo in ``folder`` and return the exit code."""
    begin = time.monotonic()
    _clear(folder)
    console.print(f"Simulating {simulated.CASES} recordings ...")
    simulated.simulate(folder / "input")
    cases = simulated.damage(folder / "input")
    console.print("Starting Airflow (half a minute) ...")
    environment = {
        "VITALPREP_COMMAND": shlex.join(simulated.worker_command()),
        "VITALPREP_INPUT": str(folder / "input"),
        "VITALPREP_OUTPUT": str(folder / "output"),
        "VITALPREP_SHARDS": str(SHARDS),
    }
    with server.running(folder / "airflow", environment=environment) as airflow:
        ready = time.monotonic()
        run_id = airflow.trigger(cases=cases)
        state = _watch(airflow, run_id, console)
        ended = time.monotonic()
        done = state == "success" and airflow.result(run_id, "dataset_ready") is not None
        if done:
            console.print(_summary(airflow, run_id, cases))
            dataset = str(airflow.result(run_id, "publish")["dataset"])
        else:
            _explain(airflow, run_id, state, console)
    console.print(
        f"Recordings and Airflow were ready after {ready - begin:.0f} s. The run took {ended - ready:.0f} s, "
        f"the whole demo {time.monotonic() - begin:.0f} s."
    )
    if done:
        console.print(next_steps(dataset), markup=False, highlight=False, soft_wrap=True)
    return 0 if done else 1


def next_steps(dataset: str) -> str:
    """Return what to do with the data set after the demo."""
    return (
        f"Next: open the report in a browser: {dataset}/report.html\n"
        f"      load the data set in Python: import vitalprep; vitalprep.describe({dataset!r})\n"
        "      keep an Airflow running, with this DAG and its trigger form: make up"
    )


def _clear(folder: Path) -> None:
    """Empty the demo's folder. Raises SystemExit if the folder has other content."""
    mark = folder / ".vitalprep-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise SystemExit(
            f"{folder} is not empty and not from an earlier demo. Fix: choose another folder with --folder."
        )
    server.stop(folder / "airflow")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _watch(airflow: Airflow, run_id: str, console: Console) -> str:
    """Show the run's progress until its end and return its state."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("waiting for the scheduler", total=None)
        told: set[str] = set()

        def show(tasks: list[Task]) -> None:
            ended = [task for task in tasks if task["state"] in ("success", "skipped", "failed", "upstream_failed")]
            running = sorted({_name(task) for task in tasks if task["state"] == "running"})
            progress.update(bar, total=len(tasks), completed=len(ended))
            if running:
                progress.update(bar, description=", ".join(running))
            for task in ended:
                if task["duration"] and task["id"] not in told:
                    told.add(task["id"])
                    line = f"  {task['state']:<8} {task['duration']:6.1f} s  {_name(task)}"
                    console.print(line, markup=False, highlight=False, soft_wrap=True)

        return airflow.wait(run_id, seconds=RUN_SECONDS, watch=show)


def _summary(airflow: Airflow, run_id: str, cases: str) -> Table:
    plan = airflow.result(run_id, "plan_shards")
    published = airflow.result(run_id, "publish")
    builds = [airflow.result(run_id, "build", map_index=index) for index in range(len(plan["splits"]))]
    table = Table(title=DAG_ID, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    requested, present = plan["cases"]["requested"], plan["cases"]["present"]
    table.add_row("cases", f"{requested} asked for ({cases}), {present} present, {published['written']} written")
    excluded = plan["cases"]["excluded"] | published["excluded"]
    table.add_row("excluded", "\n".join(f"{count} {reason}" for reason, count in sorted(excluded.items())) or "none")
    table.add_row("success rate", f"{published['success_rate']:.1%}")
    for build in builds:
        shards = "1 shard" if build["files"] == 1 else f"{build['files']} shards"
        table.add_row(build["split"], f"{build['windows']} windows in {shards}, {build['bytes'] / 1e6:.1f} MB")
    for stage, seconds in _stage_seconds(airflow.tasks(run_id)).items():
        table.add_row(f"{stage} took", f"{seconds:.1f} s")
    table.add_row("data set", published["dataset"])
    return table


def _stage_seconds(tasks: list[Task]) -> dict[str, float]:
    """Return the seconds from the first start to the last end of each stage's tasks."""
    seconds = {}
    for stage in STAGES:
        times = [
            (datetime.fromisoformat(task["start_date"]), datetime.fromisoformat(task["end_date"]))
            for task in tasks
            if task["task_id"].startswith(stage) and task["start_date"] and task["end_date"]
        ]
        if times:
            seconds[stage] = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()
    return seconds


def _explain(airflow: Airflow, run_id: str, state: str, console: Console) -> None:
    """Print why there is no data set: the end of each failed task's log, or the reason of a short circuit."""
    console.print(f"[bold red]The run ended as {state!r} without a published data set.[/]")
    for task in sorted(airflow.tasks(run_id), key=lambda task: task["start_date"] or ""):
        reason = airflow.result(run_id, task["task_id"], key="reason") if task["map_index"] < 0 else None
        if task["state"] != "failed" and reason is None:
            continue
        console.print(f"{_name(task)} ({task['state']}), the end of its log:", style="bold", markup=False)
        lines = airflow.log_lines(run_id, task["task_id"], task["try_number"], map_index=task["map_index"])
        for line in lines[-EXCERPT_LINES:]:
            console.print("  " + line, markup=False, highlight=False, soft_wrap=True)


def _name(task: Task) -> str:
    mapped = task["rendered_map_index"] or task["map_index"]
    return f"{task['task_id']}[{mapped}]" if task["map_index"] >= 0 else str(task["task_id"])
