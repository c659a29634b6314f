"""The DAG as Airflow reads it: its graph, its imports, and a form that explains itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from conftest import HOME, REPOSITORY

GRAPH = {
    "check_config": {"check_raw_data"},
    "check_raw_data": {"check_enough_cases"},
    "check_enough_cases": {"plan_shards"},
    "plan_shards": {"unfinished_shards", "splits_to_build", "may_publish"},
    "unfinished_shards": {"harmonize"},
    "splits_to_build": {"build"},
    "harmonize": {"build", "shards_ended"},
    "shards_ended": {"may_publish"},
    "may_publish": {"publish"},
    "build": {"publish"},
    "publish": {"validate"},
    "validate": {"dataset_ready"},
    "dataset_ready": set(),
}


def test_graph(dag: Any) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == GRAPH
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks if task.trigger_rule != "all_success"}
    assert rules == {"build": "none_failed", "shards_ended": "all_done", "publish": "all_done_min_one_success"}
    assert {task.task_id for task in dag.tasks if task.is_mapped} == {"harmonize", "build"}


def test_announces_the_asset(dag: Any) -> None:
    assert [asset.name for asset in dag.get_task("dataset_ready").outlets] == ["vitaldb_dataset"]


def test_parsing_imports_nothing_heavy() -> None:
    """The dag processor parses the file every few seconds, and each task once more."""
    code = (
        "import sys; sys.path[:0] = ['plugins', 'dags']; import vitaldb_preprocessing; "
        "heavy = {'tensorflow', 'numpy', 'pandas', 'vitalprep', 'botocore', 'airflow.providers.amazon.aws'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_form_explains_itself(dag: Any) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema.get("title"), name
        assert param.description, name
        assert param.schema.get("type"), name


def test_form_has_working_defaults(dag: Any) -> None:
    assert dag.params.validate() == {
        "cases": None,
        "input": str(HOME / "input"),
        "output": str(HOME / "output"),
        "append_to": None,
        "clinical": None,
        "shards": 4,
        "config": None,
        "set": [],
        "force": False,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cases", "1;2"),
        ("input", "data/raw"),
        ("input", None),
        ("output", ""),
        ("output", "s3://"),
        ("shards", 0),
        ("shards", 1024),  # Airflow's limit of a mapping
        ("shards", "four"),
        ("set", ["windowing.step"]),
        ("force", "yes"),
    ],
)
def test_form_refuses(dag: Any, name: str, value: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = dag.params.__copy__().__deepcopy__({})
    with pytest.raises(ParamValidationError, match=name):
        params[name] = value


@pytest.mark.parametrize(
    ("name", "value"), [("cases", "1-10, 17,0022"), ("input", "s3://raw/vitaldb"), ("output", "file:///out")]
)
def test_form_accepts(dag: Any, name: str, value: object) -> None:
    params = dag.params.__copy__().__deepcopy__({})
    params[name] = value
    assert params[name] == value


def test_the_person_on_call_is_told_about_every_task(dag: Any) -> None:
    helpers = {"unfinished_shards", "splits_to_build", "shards_ended", "may_publish"}  # cannot fail by themselves
    assert all(f"`{task.task_id}`" in dag.doc_md for task in dag.tasks if task.task_id not in helpers)
    assert "include_downstream" in dag.doc_md


def test_without_environment_the_form_asks(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys; sys.path[:0] = ['plugins', 'dags']; from vitaldb_preprocessing import dag; dag.validate(); "
        "print(dag.params.get_param('input').value, dag.params.get_param('shards').value)"
    )
    environment = {"AIRFLOW_HOME": str(HOME), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "4"]


def test_airflow_does_not_load_the_dag_s_modules_once_more() -> None:
    """Two loadings have two sets of error classes: a spot interruption of one would be unknown to the other."""
    code = (
        "import sys; sys.path[:0] = ['plugins', 'dags']; "
        "import vitaldb_preprocessing, vitalprep_airflow.backends.ecs_operator; "
        "before = {name: id(module) for name, module in sys.modules.items() if name.startswith('vitalprep_airflow')}; "
        "from airflow import plugins_manager; plugins_manager._get_plugins(); "
        "assert len(before) >= 15, before; "
        "assert before == {name: id(sys.modules[name]) for name in before}; "
        "assert [plugin.name for plugin in plugins_manager._get_plugins()[0] if plugin.name == 'vitalprep']; "
        "assert not {'step', 'process', 'app'} & set(sys.modules)"
    )
    environment = {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "PATH": "/usr/bin:/bin",
        "VITALPREP_BACKEND": "ecs",
    }
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment, check=True)
