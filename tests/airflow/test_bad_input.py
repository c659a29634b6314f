"""Unusable input, settings or triggers: the run ends early and green, and its reason tells how to fix it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKS = ("check_config", "check_raw_data", "check_enough_cases")


def no_recordings(folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder)
    folder.mkdir()
    return {}


def no_clinical_table(folder: Path) -> dict[str, Any]:
    (folder / "clinical_data.csv").unlink()
    return {}


def output_is_a_file(folder: Path) -> dict[str, Any]:
    output = folder.with_name("file")
    output.touch()
    return {"output": str(output)}


@pytest.mark.parametrize(
    ("spoil", "task", "names"),
    [
        (no_recordings, "check_raw_data", "{input}"),
        (no_clinical_table, "check_enough_cases", "clinical_data.csv"),
        (output_is_a_file, "check_raw_data", "file"),
        (lambda folder: {"input": f"{folder}-absent"}, "check_raw_data", "{input}-absent"),
        (lambda folder: {"cases": "900-910"}, "check_enough_cases", "raw_object_missing"),
        (lambda folder: {"cases": "1-2"}, "check_enough_cases", "split.allow_empty"),
        (lambda folder: {"cases": "5-3"}, "check_enough_cases", "5-3"),
        (lambda folder: {"set": ["windowing.stepp=30"]}, "check_config", "windowing.stepp"),
        (lambda folder: {"config": f"{folder}/absent.yaml"}, "check_config", "absent.yaml"),
        (lambda folder: {"clinicals": "table.csv", "case": "1"}, "check_config", "case, clinicals"),
    ],
)
def test_the_run_ends_early_and_says_why(
    trigger: Any,
    own_recordings: Path,
    tmp_path: Path,
    task_log: Any,
    spoil: Callable[[Path], dict[str, Any]],
    task: str,
    names: str,
) -> None:
    conf = {"input": str(own_recordings), "output": str(tmp_path / "output")} | spoil(own_recordings)
    run = trigger(**conf)
    assert run.state == "success"
    reason = run.reason(task)
    assert names.format(input=own_recordings) in reason
    assert "Fix: " in reason
    assert task_log()[-1] == reason
    later = [name for name in run.states if name not in CHECKS[: CHECKS.index(task) + 1]]
    assert {run.states[name] for name in later} == {"skipped"}
    assert all(run.tries[name] == 0 for name in later)


def test_the_form_takes_no_braces_in_a_location(trigger: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pattern"):
        trigger(input=str(tmp_path), output=str(tmp_path / "{{ 7 * 6 }}"))


def test_what_a_plan_says_is_no_template(dag: Any) -> None:
    """Airflow renders the arguments of mapped tasks, with the deployment's connections at hand."""
    shard = {"index": 0, "cases": 1, "bytes": 1, "unfinished": 1, "label": "case 1 (1 case, 1 MB)"}
    plan = {"plan": "/{{ conn.warehouse.get_uri() }}/plan.json", "shards": [shard], "splits": {"train": {}}}
    steps = dag.get_task("unfinished_shards").python_callable(plan=plan)
    steps += dag.get_task("splits_to_build").python_callable(plan=plan)
    texts = [
        text
        for step in (mapped["step"] for mapped in steps)
        for text in (step["command"], *step["arguments"], step["name"], step["output_uri"])
    ]
    expected = ["{{ ti.xcom_pull(task_ids='plan_shards')['plan'] }}", "{{ params['output'].strip() }}"] * 2
    assert [text for text in texts if "{" in text] == expected
