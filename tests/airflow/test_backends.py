"""Steps, the registry of backends, and a backend that is not ours: one file and one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

# All that the author of a backend writes.
TOY = """
import subprocess

from vitalprep_airflow.outcome import Outcome, document_in, result_of
from vitalprep_airflow.process import worker_command
from vitalprep_airflow.step import StepOperator


class ToyOperator(StepOperator):
    def execute(self, context):
        line = [*worker_command(), *self.step.command_line, "--json"]
        done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.splitlines()
        with open({diary!r}, "a") as diary:
            print(self.step.command, self.step.name, self.step.interruptible, self.step.output_uri, file=diary)
        return result_of(Outcome(self.step.command, done.returncode, document_in(lines), tuple(lines[-3:])))


class ToyBackend:
    problem = None
    shards_at_once = 3
    interruptions = 4
    priced_machine = ()
    operator = ToyOperator
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fourth backend in the registry, and the deployment's choice; returns where its operator writes what it ran."""
    from vitalprep_airflow.backends import BACKENDS

    (tmp_path / "toy_backend.py").write_text(TOY.format(diary=str(tmp_path / "diary")))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(BACKENDS, "toy", "toy_backend.ToyBackend")
    monkeypatch.setenv("VITALPREP_BACKEND", "toy")
    return tmp_path / "diary"


def test_a_run_on_a_fourth_backend(toy: Path, recordings: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    trigger = request.getfixturevalue("trigger")  # after `toy`: the DAG is made for its backend
    run = trigger(input=str(recordings), output=f"{tmp_path / 'out'} ", shards=2)
    assert run.state == "success", run.states
    ran = toy.read_text().splitlines()
    assert sorted(line.split()[0] for line in ran) == ["build"] * 3 + ["harmonize"] * 2 + ["publish", "validate"]
    assert all(line.endswith(f" {tmp_path / 'out'}") for line in ran)
    assert all((" True " in line) == line.startswith("harmonize shard ") for line in ran)
    assert json.loads(Path(run.result("publish")["dataset"], "validation.json").read_bytes())["passed"]


def test_the_dag_takes_its_limits_from_the_backend(toy: Path, request: pytest.FixtureRequest) -> None:
    harmonize = request.getfixturevalue("dag").get_task("harmonize")
    assert harmonize.partial_kwargs["max_active_tis_per_dagrun"] == 3
    assert harmonize.retries == 1 + 4, "VITALPREP_RETRIES, and what interruptions may cost"


@pytest.mark.parametrize("name", ["local", "ecs", "sagemaker", "batch"])
def test_our_backends_have_what_the_protocol_asks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vitalprep_airflow.backends import BACKENDS, deployed_backend
    from vitalprep_airflow.step import Step, StepOperator

    assert name in BACKENDS
    monkeypatch.setenv("VITALPREP_BACKEND", name)
    backend = deployed_backend()
    assert backend.problem is None or "Fix: " in backend.problem
    assert backend.shards_at_once > 0
    assert backend.interruptions >= 0
    assert isinstance(list(backend.priced_machine), list)
    operator = backend.operator(task_id="one", step=Step(command="publish", arguments=("--plan", "x")))
    assert isinstance(operator, StepOperator)
    assert operator.step.command_line == ["publish", "--plan", "x"]
    assert operator.on_kill.__func__ is not StepOperator.on_kill, "it can be stopped"  # type: ignore[attr-defined]


def test_a_step_survives_an_xcom() -> None:
    from vitalprep_airflow.step import Step

    step = Step(
        command="harmonize", arguments=("--shard", "3"), name="shard 3", interruptible=True, output_uri="s3://o"
    )
    mapped = json.loads(json.dumps(step.mapped()))
    assert set(mapped) == {"step"}
    assert Step.of(mapped["step"]) == Step.of(step) == step


@pytest.mark.parametrize("name", ["local", "ecs", "sagemaker", "batch"])
def test_only_arguments_and_output_are_templates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And once: what a template yields is not rendered again. An argument that ends in .json is no template's file."""
    from vitalprep_airflow.backends import deployed_backend
    from vitalprep_airflow.step import Step

    monkeypatch.setenv("VITALPREP_BACKEND", name)
    told = Step(command="{{ 1 }}", arguments=("--plan", "{{ plan }}", "a.json"), name="{{ 2 }}", output_uri="{{ out }}")
    operator = deployed_backend().operator(task_id="one", step=told)
    context: Any = {"plan": "{{ 3 }}", "out": "{{ 4 }}"}
    operator.render_template_fields(context)
    assert operator.step == Step(
        command="{{ 1 }}", arguments=("--plan", "{{ 3 }}", "a.json"), name="{{ 2 }}", output_uri="{{ 4 }}"
    )
