"""What a training container runs, by SageMaker's contract: files in, files and an exit code out."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND, data_digests, receipts, run_vitalprep
from tests.sagemaker.hosts import Host, lay_out
from vitalprep.runtime.errors import UsageError
from vitalprep.sagemaker.hyperparameters import WholePlan, read_hyperparameters
from vitalprep.sagemaker.ml_folder import MlFolder, failure_text

HOSTS = ["algo-1", "algo-2", "algo-3"]


@pytest.fixture
def running() -> Iterator[list[Host]]:
    """Hosts that do not outlive the test."""
    hosts: list[Host] = []
    yield hosts
    for host in hosts:
        host.process.kill()
        host.process.wait()


def planned(recordings: Path, output: Path, shards: int = len(HOSTS)) -> dict[str, Any]:
    sharding = ("--shards", str(shards), "--sharding", "modulo")
    return run_vitalprep("plan", "--input", recordings, "--output", output, *sharding).result


def share(folder: Path, host: str, plan: str, **more: str) -> Path:
    return lay_out(folder / host, host, HOSTS, {"command": "run-plan", "plan": plan, "workers": "1", **more})


def test_three_hosts_at_once_make_the_data_set_of_one_run(
    recordings: Path, undisturbed: Path, running: list[Host], tmp_path: Path
) -> None:
    plan = planned(recordings, tmp_path / "out")["plan"]
    running += [Host.start(share(tmp_path, host, plan)) for host in HOSTS]
    assert [host.ended() for host in running] == [0, 0, 0]
    assert [host.result["harmonized"] for host in running] == [5, 5, 4], "no case on two hosts"
    assert [host.result["already_done"] for host in running] == [0, 0, 0]
    dataset = running[0].result["dataset"]
    assert data_digests(dataset) == data_digests(undisturbed)
    assert run_vitalprep("validate", dataset, "--quick").exit_code == 0
    assert ["dataset" in host.result for host in running] == [True, False, False], "one host does the rest"
    proved = next(line["time"] for line in running[0].log if line["message"].startswith("passed: "))
    for host in running[1:]:
        assert host.log[-1]["message"] == "algo-1 has validated the data set", "no host ends before"
        assert host.log[-1]["time"] > proved
    for name, host in zip(HOSTS, running, strict=True):
        assert host.failure is None
        kept = (host.folder / "output" / "data" / f"vitalprep-{name}.jsonl").read_text().splitlines()
        assert any("harmonized" in json.loads(line)["message"] for line in kept)


def test_a_host_killed_in_the_middle_is_waited_for_and_goes_on(
    recordings: Path, undisturbed: Path, running: list[Host], tmp_path: Path
) -> None:
    plan = planned(recordings, tmp_path / "out")["plan"]
    second = Host.start(share(tmp_path, "algo-2", plan))
    running.append(second)
    second.reaches(lambda: len(receipts(tmp_path / "out")) >= 1)
    second.process.kill()
    assert second.ended() == -signal.SIGKILL
    committed = set(receipts(tmp_path / "out"))
    assert 1 <= len(committed) < 5

    first, third = (Host.start(share(tmp_path, host, plan)) for host in ("algo-1", "algo-3"))
    running += [first, third]
    left = 5 - len(committed)
    first.reaches(lambda: first.said(f"waiting for {left} of 14 cases: algo-2 {left}"))
    shutil.rmtree(second.folder)  # a new machine has nothing of the old one
    again = Host.start(share(tmp_path, "algo-2", plan))
    running.append(again)
    assert [again.ended(), third.ended(), first.ended()] == [0, 0, 0]
    assert (again.result["harmonized"], again.result["already_done"]) == (left, len(committed))
    assert data_digests(first.result["dataset"]) == data_digests(undisturbed)

    shutil.rmtree(first.folder)
    repeated = Host.start(share(tmp_path, "algo-1", plan))
    running.append(repeated)
    assert repeated.ended() == 0, "started once more after the end, it finds everything done"
    assert repeated.result["harmonized"] == 0
    assert repeated.log[-1]["message"] == "the data set is built and proved", "nor does it withdraw the verdict"
    assert data_digests(repeated.result["dataset"]) == data_digests(undisturbed)


def test_the_first_host_gives_up_naming_what_is_missing(recordings: Path, running: list[Host], tmp_path: Path) -> None:
    made = planned(recordings, tmp_path / "out")
    running.append(Host.start(share(tmp_path, "algo-1", made["plan"], wait_seconds="1.5")))
    assert running[0].ended() == 1
    failure = str(running[0].failure)
    assert failure.startswith("exit code 1: No receipt has come for 1.5 s")
    assert "shard 1 (algo-2: 5 cases), shard 2 (algo-3: 4 cases)" in failure
    assert " Fix: " in failure
    logged = [line["message"] for line in running[0].log]
    assert "missing of shard 1 (algo-2): cases 2,5,8,11,14" in logged
    accounting = json.loads((tmp_path / "out" / "runs" / made["dataset_id"] / "accounting.json").read_bytes())
    assert len(accounting["unfinished"]) == 9
    assert not (tmp_path / "out" / "datasets").exists(), "nothing looks published"


def test_sigterm_ends_with_143_wherever_it_comes(recordings: Path, running: list[Host], tmp_path: Path) -> None:
    plan = planned(recordings, tmp_path / "out")["plan"]
    harmonizing = Host.start(share(tmp_path, "algo-2", plan))
    running.append(harmonizing)
    harmonizing.reaches(lambda: len(receipts(tmp_path / "out")) >= 1)
    harmonizing.process.terminate()
    assert harmonizing.ended() == 143
    assert str(harmonizing.failure).startswith("exit code 143: Stopped by a signal: finished work is committed")

    waiting = Host.start(share(tmp_path, "algo-1", plan))
    running.append(waiting)
    waiting.reaches(lambda: waiting.said("waiting for"))
    waiting.process.terminate()
    assert waiting.ended() == 143
    assert "waiting for algo-2" in str(waiting.failure)


@pytest.mark.parametrize(
    ("hyperparameters", "failure"),
    [
        ({}, "The hyperparameter `command` is None."),
        ({"command": "run"}, "The hyperparameter `command` is 'run'."),
        ({"command": "run-plan"}, "run-plan needs the hyperparameter `plan`."),
        ({"command": "run-plan", "plan": "p", "colour": "1"}, "run-plan takes no hyperparameter `colour`."),
        ({"command": "build", "plan": "p", "split": "test"}, "build takes no hyperparameter `plan`, `split`."),
        ({"command": "build", "arguments": "--plan p"}, "The hyperparameter `arguments` is '--plan p'."),
        ({"command": "build", "arguments": '{"plan": "p"}'}, "The hyperparameter `arguments` is"),
        ({"command": "run-plan", "plan": "p", "wait_seconds": "soon"}, "The hyperparameter `wait_seconds` is 'soon'."),
        ({"command": "run-plan", "plan": "p", "wait_seconds": "nan"}, "The hyperparameter `wait_seconds` is 'nan'."),
        ({"command": "run-plan", "plan": "p", "workers": "1.5"}, "The hyperparameter `workers` is '1.5'."),
        ({"command": "run-plan", "plan": "p", "workers": "0"}, "The hyperparameter `workers` is '0'."),
        ({"command": "run-plan", "plan": ["p"]}, "is no JSON object of strings."),
    ],
)
def test_what_is_wrong_with_hyperparameters(hyperparameters: dict[str, Any], failure: str, tmp_path: Path) -> None:
    folder = MlFolder(lay_out(tmp_path, "algo-1", ["algo-1"], hyperparameters))
    with pytest.raises(UsageError) as refused, folder.failure_told():
        read_hyperparameters(folder.hyperparameters)
    assert failure in refused.value.message
    assert folder.failure.read_text() == f"exit code 2: {refused.value.message} Fix: {refused.value.fix}"


def test_sagemaker_s_own_hyperparameters_are_left_aside(tmp_path: Path) -> None:
    given = {"command": "run-plan", "plan": "p", "sagemaker_region": '"eu-north-1"', "sagemaker_program": "train"}
    folder = MlFolder(lay_out(tmp_path, "algo-1", ["algo-1"], given))
    assert read_hyperparameters(folder.hyperparameters) == WholePlan(plan="p")


def test_options_that_a_command_does_not_have(tmp_path: Path) -> None:
    given = {"command": "build", "arguments": '["--colour", "1"]'}
    host = Host.start(lay_out(tmp_path, "algo-1", ["algo-1"], given))
    assert host.ended() == 2
    assert str(host.failure).startswith("exit code 2: No such option")
    assert "--colour" in str(host.failure)


def test_a_long_failure_keeps_its_mend() -> None:
    text = failure_text(1, "x" * 5000, "look at the log.")
    assert len(text) == 1024
    assert text.startswith("exit code 1: xxx")
    assert text.endswith("xxx... Fix: look at the log.")


@pytest.mark.parametrize("command", ["harmonize", "run-plan"])
def test_a_container_with_a_terminal_logs_json(command: str, tmp_path: Path) -> None:
    """As SageMaker's local mode starts them (`tty: true`)."""
    plan = f"{tmp_path}/runs/0123456789ab/plan-0123456789ab.json"
    given = {"command": command}
    given |= {"plan": plan} if command == "run-plan" else {"arguments": json.dumps(["--plan", plan, "--shard", "0"])}
    folder = lay_out(tmp_path / "ml", "algo-1", ["algo-1"], given)
    terminal, end = pty.openpty()
    environment = os.environ | {"VITALPREP_ML_FOLDER": str(folder), "TERM": "xterm-256color"}
    process = subprocess.Popen([*COMMAND, "sagemaker-job"], stdout=end, stderr=end, env=environment)
    assert process.wait(timeout=60) != 0
    said = os.read(terminal, 1 << 16).decode()
    os.close(end)
    os.close(terminal)
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[-1]["level"] == "ERROR"


def test_outside_of_sagemaker(tmp_path: Path) -> None:
    answer = run_vitalprep("sagemaker-job", environment={"VITALPREP_ML_FOLDER": str(tmp_path / "none")})
    assert answer.exit_code == 2
    assert "elsewhere use `vitalprep run`" in answer.result["fix"]


def test_one_command_a_job_and_no_log_file_where_none_can_be(
    recordings: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """A scheduler's jobs: a shard or a split each. Nothing but the log suffers where its file cannot be written."""
    made = planned(recordings, tmp_path / "out", shards=1)
    plan = made["plan"]
    jobs = [("harmonize", ["--plan", plan, "--this-host"])]
    jobs += [("build", ["--plan", plan]), ("publish", ["--plan", plan]), ("validate", [made["dataset"]])]
    environment = {"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-1"}  # there is no /opt/ml here to find them in
    for number, (command, arguments) in enumerate(jobs):
        given = {"command": command, "arguments": json.dumps([*arguments, "--json"]), "sagemaker_region": "eu-north-1"}
        folder = lay_out(tmp_path / str(number), "algo-1", ["algo-1"], given)
        if command == "publish":
            (folder / "output" / "data").rmdir()
            (folder / "output" / "data").write_text("no folder")
        host = Host.start(folder, environment)
        assert host.ended() == 0, host.failure
        assert host.result["ok"] is True
        assert host.said("no log file") == (command == "publish")
        assert command == "publish" or (folder / "output" / "data" / "vitalprep-algo-1.jsonl").read_text()
    assert data_digests(made["dataset"]) == data_digests(undisturbed)


def test_what_is_refused_is_told_with_its_exit_code(recordings: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    shutil.copytree(recordings, source)
    plan = planned(source, tmp_path / "out", shards=1)["plan"]
    (source / "raw-data" / "0005.vital").unlink()
    host = Host.start(lay_out(tmp_path / "ml", "algo-1", ["algo-1"], {"command": "run-plan", "plan": plan}))
    assert host.ended() == 65
    assert str(host.failure).startswith("exit code 65: The input has changed since it was planned: cases 5")
    assert str(host.failure).endswith("Fix: plan again; only the changed cases are processed again.")


def test_a_plan_for_another_number_of_hosts(recordings: Path, tmp_path: Path) -> None:
    plan = planned(recordings, tmp_path / "out", shards=2)["plan"]
    host = Host.start(share(tmp_path, "algo-1", plan))
    assert host.ended() == 2
    assert "plan with --shards 3 --sharding modulo" in str(host.failure)
