"""`vitalprep simulate` as a process: results, logs, errors, and the files left by a stop or kill."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipeline import COMMAND, run_vitalprep
from vitalprep.simulate.damage import DAMAGES
from vitalprep.vital.recording import read_vital

SMALL = ("--cases", "3", "--hours", "0.05", "--spread", "0.2")
LARGE = ("--cases", "40", "--hours", "0.5", "--spread", "0", "--truth", "--damage", "truncated=0.1", "--seed", "8")


def made(folder: Path) -> dict[str, bytes]:
    """The set's files by name, without its logs."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "logs")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_result_summarizes_the_set_and_the_folder_has_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "set"
    answer = run_vitalprep("simulate", "--output", folder, *SMALL, "--seed", "2")
    assert answer.exit_code == 0
    assert {key: answer.result[key] for key in ("ok", "cases", "made_now", "seed")} == {
        "ok": True, "cases": 3, "made_now": 3, "seed": 2,
    }  # fmt: skip
    assert answer.result["bytes_now"] == sum(path.stat().st_size for path in (folder / "raw-data").iterdir())
    (log,) = (folder / "logs").iterdir()
    assert log.name.startswith("simulate-2")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [line["message"] for line in lines] == ["simulating", *["case written"] * 3, "simulated"]
    assert {line["case"] for line in lines[1:-1]} == {1, 2, 3}
    assert [line["message"] for line in answer.log] == [line["message"] for line in lines]


def test_a_given_log_file_replaces_the_one_in_the_folder(tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    assert run_vitalprep("simulate", "--output", tmp_path / "set", *SMALL, "--log-file", own).exit_code == 0
    messages = [json.loads(line)["message"] for line in own.read_text("utf-8").splitlines()]
    told = [message for message in messages if not message.startswith("simulate: ")]  # progress, on a slow machine
    assert told == ["simulating", "case written", "case written", "case written", "simulated"]
    assert not (tmp_path / "set" / "logs").exists()


def test_omitted_options_are_those_of_the_existing_set(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    run_vitalprep("simulate", "--output", folder, *SMALL, "--seed", "5", "--damage", "unit=0.3", "--truth")
    before = made(folder)
    (folder / "raw-data" / "0002.vital").unlink()
    answer = run_vitalprep("simulate", "--output", folder)  # completes what is there
    assert (answer.exit_code, answer.result["made_now"]) == (0, 1)
    assert made(folder) == before
    answer = run_vitalprep("simulate", "--output", folder, "--append", "--cases", "2")
    assert (answer.result["cases"], answer.result["made_now"], answer.result["seed"]) == (5, 2, 5)
    at_once = tmp_path / "at once"
    run_vitalprep("simulate", "--output", at_once, *SMALL[2:], "--cases", "5", "--seed", "5", "--damage", "unit=0.3",
              "--truth")  # fmt: skip
    assert made(at_once) == made(folder)


def test_fewer_cases_and_another_seed_are_refused_with_a_fix(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    run_vitalprep("simulate", "--output", folder, *SMALL)
    before = made(folder)
    answer = run_vitalprep("simulate", "--output", folder, "--cases", "2")
    assert answer.exit_code == 2
    assert "cases is 3, requested 2" in answer.result["message"]
    assert "--append" in answer.result["fix"]
    assert "--cases 3 to complete the set" in answer.result["fix"]
    answer = run_vitalprep("simulate", "--output", folder, "--append", "--seed", "1")
    assert (answer.exit_code, "seed is 0, requested 1" in answer.result["message"]) == (2, True)
    assert made(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cases", "0"), "Cannot simulate 0 cases"),
        (("--cases", "-3"), "Cannot simulate -3 cases"),
        (("--hours", "0"), "cannot last 0.0 h"),
        (("--hours", "-1"), "cannot last -1.0 h"),
        (("--hours", "nan"), "cannot last nan h"),
        (("--hours", "25"), "cannot last 25.0 h"),
        (("--spread", "-1"), "spread of case lengths is -1.0"),
        (("--seed", "-1"), "seed is -1"),
        (("--damage", "scratched=0.1"), "Unknown damage 'scratched'"),
        (("--damage", "unit=2"), "chance of unit is 2"),
    ],
)
def test_bad_input_is_one_clear_message_and_no_folder(tmp_path: Path, arguments: tuple[str, str], message: str) -> None:
    folder = tmp_path / "set"
    answer = run_vitalprep("simulate", "--output", folder, *arguments)
    assert answer.exit_code == 2
    assert message in answer.result["message"]
    assert answer.result["fix"]
    assert not folder.exists()


def test_the_help_names_every_damage() -> None:
    text = subprocess.run([*COMMAND, "simulate", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(damage in "".join(text.split()) for damage in DAMAGES)  # a line may end at a hyphen


def test_a_missing_output_and_preview_is_a_usage_error() -> None:
    answer = run_vitalprep("simulate")
    assert answer.exit_code == 2
    assert "--output" in answer.result["message"]


def started(folder: Path, *, files: int) -> subprocess.Popen[str]:
    """The large set, when some of its files are there."""
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--output", str(folder), *LARGE, "--workers", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list((folder / "raw-data").glob("*.vital"))) < files and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "set"
    assert run_vitalprep("simulate", "--output", folder, *LARGE).exit_code == 0
    return made(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_complete_files_and_says_how_to_resume(
    tmp_path: Path, number: signal.Signals, undisturbed: dict[str, bytes]
) -> None:
    folder = tmp_path / "set"
    process = started(folder, files=5)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    result = json.loads(output.splitlines()[-1])
    there = sorted(int(path.stem) for path in (folder / "raw-data").glob("*.vital"))
    assert process.returncode == 143
    assert 5 <= len(there) < 40
    assert f"{len(there)} of 40 cases are complete" in result["message"]
    assert result["fix"] == f"run `vitalprep simulate --output {folder}` to create the rest."
    assert not list(folder.rglob(".*"))
    damaged = {case["case_id"] for case in json.loads((folder / "damage.json").read_text("utf-8"))["cases"]}
    for case_id in there:
        path = folder / "raw-data" / f"{case_id:04d}.vital"
        assert path.read_bytes() == undisturbed[f"raw-data/{case_id:04d}.vital"]
        if case_id not in damaged:
            assert read_vital(path.read_bytes()).numerics
    with (folder / "clinical_data.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["caseid"]) for row in csv.DictReader(file)] == there
    assert run_vitalprep("simulate", "--output", folder).exit_code == 0
    assert made(folder) == undisturbed


def test_a_kill_loses_only_incomplete_files(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    folder = tmp_path / "set"
    process = started(folder, files=6)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    there = {path.name: path.stat().st_mtime_ns for path in (folder / "raw-data").glob("*.vital")}
    for name in there:
        assert (folder / "raw-data" / name).read_bytes() == undisturbed[f"raw-data/{name}"]
    assert run_vitalprep("simulate", "--output", folder).exit_code == 0
    assert made(folder) == undisturbed
    assert there.items() <= {path.name: path.stat().st_mtime_ns for path in (folder / "raw-data").iterdir()}.items()


def test_a_full_disk_is_one_clear_message_without_partial_files(tmp_path: Path) -> None:
    folder = tmp_path / "set"

    def no_room() -> None:  # files may not pass 5 kB; the kernel then refuses the write, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    process = subprocess.run(
        [*COMMAND, "simulate", "--output", str(folder), *SMALL, "--json"],
        capture_output=True,
        text=True,
        preexec_fn=no_room,
        check=False,
        timeout=60,
    )
    result = json.loads(process.stdout.splitlines()[-1])
    assert process.returncode == 1
    assert "Could not write" in result["message"]
    assert "(File too large)" in result["message"]
    assert "0 of 3 cases are complete" in result["message"]
    assert "run the same command again" in result["fix"]
    assert not list((folder / "raw-data").iterdir())
    assert run_vitalprep("simulate", "--output", folder).result["made_now"] == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    answer = run_vitalprep("simulate", "--output", tmp_path / "set", *SMALL)
    tmp_path.chmod(0o700)
    assert (answer.exit_code, "Could not create" in answer.result["message"]) == (2, True)
