"""Clean removes what nobody needs, and nothing else."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, COMMAND, Answer, run_vitalprep, s3_client
from vitalprep.clean.clean import clean
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage

DAY = 86400
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def made(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a published data set, one appended to it, and a refused one on tables of its own."""
    output = tmp_path_factory.mktemp("made")
    command = ("run", "--input", recordings, "--output", output, "--workers", "1")
    published = run_vitalprep(*command, "--cases", "1-9").result["dataset"]
    assert run_vitalprep(*command, "--cases", "10", "--append-to", published).exit_code == 0
    limits = "inputs.HR.sources.Solar8000/HR.limits=[1, 300]"
    assert run_vitalprep(*command, "--set", limits, "--set", "validation.min_windows=100000").exit_code == 65
    for path in output.rglob("*"):
        _age(path, days=30)
    return output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))  # copies times, too


def _age(path: Path, *, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def _yes(*_: object) -> bool:
    return True


def _latest(output: Path) -> str:
    return str(json.loads((output / "datasets" / "latest.json").read_bytes())["dataset_id"])


def _files(output: Path) -> set[str]:
    return {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}


def _digests(output: Path) -> tuple[str, str]:
    """The harmonized digest that published data sets need, and the one that nobody does."""
    published = _latest(output)
    metadata = json.loads((output / "datasets" / published / "preprocessing_metadata.json").read_bytes())
    needed = metadata["harmonize_digest"]
    return needed, next(path.name for path in (output / "harmonized").iterdir() if path.name != needed)


def _unproved(output: Path) -> str:
    return next(
        p.name for p in (output / "runs").iterdir() if not (output / "datasets" / p.name / "cases.csv").exists()
    )


def _of(paths: Iterable[str], *names: str) -> set[str]:
    return {path for path in paths if path.split("/")[1] in names}


def test_what_nobody_needs_is_removed_and_all_else_stays(output: Path) -> None:
    (output / "harmonized" / "notes.txt").write_text("mine")
    before = _files(output)
    needed, old = _digests(output)
    unproved = _unproved(output)
    listed = run_vitalprep("clean", "--output", output, "--dry-run")
    assert listed.exit_code == 0
    fates = {item["name"]: item["kept"] for item in listed.result["items"]}
    assert fates[old] is fates[unproved] is None
    assert "needed by" in fates[needed]
    assert len(fates) == 5
    assert listed.result["foreign"] == 1
    assert _files(output) == before, "a dry run removes nothing"

    answer = run_vitalprep("clean", "--output", output, "--yes")
    assert answer.exit_code == 0
    assert set(answer.result["removed"]) == {old, unproved}
    assert _files(output) == before - _of(before, old, unproved)
    assert not (output / "harmonized" / old).exists()
    assert not (output / "runs" / unproved).exists()
    latest = _latest(output)
    assert run_vitalprep("validate", output / "datasets" / latest).exit_code == 0, "also its lineage"
    assert run_vitalprep("clean", "--output", output).exit_code == 0, "nothing is left to ask about"


def test_what_is_needed_is_refused_by_name_and_nothing_is_removed(output: Path) -> None:
    before = _files(output)
    needed, old = _digests(output)
    for name, reason in ((needed, "needed by"), (_latest(output), "published")):
        with pytest.raises(RefusedError, match=f"{name} is kept: {reason}"):
            clean(str(output), [old, name], older_than=WEEK, agree=_yes)
    for name in ("f00f00f00f00", "../../etc", "notes.txt"):
        with pytest.raises(UsageError, match=re.escape(repr(name))):
            clean(str(output), [old, name], older_than=WEEK, agree=_yes)
    assert _files(output) == before
    named = run_vitalprep("clean", "--output", output, "--yes", old)
    assert named.result["removed"] == [old], "and not what else nobody needs"
    assert _files(output) == before - _of(before, old)


def test_a_table_that_no_receipt_names_is_removed(output: Path) -> None:
    needed, _ = _digests(output)
    table = next((output / "harmonized" / needed).glob("*.parquet"))
    stem = table.name.rpartition("-")[0]
    twin, fresh = (table.with_name(f"{stem}-{digit * 12}.parquet") for digit in "01")
    for path in (twin, fresh):
        path.write_bytes(table.read_bytes())
    _age(twin, days=30)
    listed = {item["name"]: item for item in run_vitalprep("clean", "--output", output, "--dry-run").result["items"]}
    assert listed[f"{needed}-orphans"]["kept"], "one of them was written lately"
    _age(fresh, days=30)
    answer = run_vitalprep("clean", "--output", output, "--yes", f"{needed}-orphans")
    assert answer.result["removed"] == [f"{needed}-orphans"]
    assert not twin.exists()
    assert not fresh.exists()
    assert table.exists()


def test_what_was_written_lately_stays(output: Path) -> None:
    _, old = _digests(output)
    unproved = _unproved(output)
    table = next((output / "harmonized" / old).glob("*.parquet"))
    _age(table, days=3)
    answer = run_vitalprep("clean", "--output", output, "--yes")
    assert answer.result["removed"] == []
    fates = {item["name"]: item["kept"] for item in answer.result["items"]}
    assert fates[old] == f"needed by {unproved}", "whose run may be at work on it"
    assert fates[unproved] == "its tables were written 3 days ago"
    refused = run_vitalprep("clean", "--output", output, "--yes", unproved)
    assert refused.exit_code == 65
    assert "--older-than 0" in refused.result["fix"]
    answer = run_vitalprep("clean", "--output", output, "--yes", "--older-than", "2")
    assert set(answer.result["removed"]) == {old, unproved}


def test_a_data_set_whose_verdict_force_has_removed_stays(output: Path) -> None:
    """`--force` undoes the verdict first; the latest data set is being made again."""
    latest = _latest(output)
    (output / "datasets" / latest / "validation.json").unlink()
    answer = run_vitalprep("clean", "--output", output, "--dry-run")
    fates = {item["name"]: item["kept"] for item in answer.result["items"]}
    assert fates[latest] == "latest.json names it"


def test_an_unpublished_parent_stays_with_its_child(output: Path) -> None:
    latest = _latest(output)
    metadata = json.loads((output / "datasets" / latest / "preprocessing_metadata.json").read_bytes())
    (parent,) = metadata["parents"]
    (output / "datasets" / parent / "validation.json").unlink()
    for _ in range(2):  # from the plan, and from the metadata where there is none
        answer = run_vitalprep("clean", "--output", output, "--dry-run")
        assert {item["name"]: item["kept"] for item in answer.result["items"]}[parent] == f"{latest} extends it"
        shutil.rmtree(output / "runs" / latest, ignore_errors=True)


def test_nothing_is_removed_where_it_cannot_be_told_what_is_needed(output: Path) -> None:
    latest = _latest(output)
    shutil.rmtree(output / "runs" / latest)
    (output / "datasets" / latest / "preprocessing_metadata.json").unlink()
    before = _files(output)
    answer = run_vitalprep("clean", "--output", output, "--yes")
    assert answer.exit_code == 65
    assert latest in answer.result["message"]
    assert _files(output) == before


def test_without_a_terminal_it_has_to_be_told(output: Path) -> None:
    before = _files(output)
    answer = run_vitalprep("clean", "--output", output)
    assert answer.exit_code == 2
    assert "--yes" in answer.result["fix"]
    assert _files(output) == before


@pytest.mark.parametrize(("reply", "removed"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_on_a_terminal_it_asks(output: Path, reply: bytes, removed: bool) -> None:
    before = _files(output)
    needed, _ = _digests(output)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "clean", "--output", str(output)], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.write(ours, reply)
    shown, asked = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert b"for good?" in asked
    assert needed.encode() in shown
    assert (_files(output) != before) is removed


def test_what_is_published_while_the_question_stands_stays(output: Path) -> None:
    """Somebody answers late: the inventory is taken again before anything goes."""
    unproved = _unproved(output)
    _, old = _digests(output)

    def publish_meanwhile(*_: object) -> bool:
        (output / "datasets" / "latest.json").write_text(
            json.dumps({"dataset_id": unproved, "path": f"datasets/{unproved}"})
        )
        return True

    cleaned = clean(str(output), [], older_than=WEEK, agree=publish_meanwhile)
    assert cleaned.removed == ()
    assert (output / "harmonized" / old).exists()


def test_receipts_go_before_tables_and_the_verdict_before_all(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any moment, it leaves no receipt without its table and nothing that looks published."""
    gone: list[str] = []
    remove: Callable[[Storage, Iterable[str]], None] = Storage.delete

    def noted(self: Storage, paths: Iterable[str]) -> None:
        paths = list(paths)
        gone.extend(paths)
        remove(self, paths)

    monkeypatch.setattr(Storage, "delete", noted)
    unproved = _unproved(output)
    (output / "datasets" / unproved).mkdir(exist_ok=True)
    verdict = output / "datasets" / unproved / "validation.json"
    refusal = {"passed": False, "checks": [], "windows": {}, "files": {}, "success_rate": 1}
    verdict.write_text(json.dumps({"dataset_id": unproved} | refusal))
    _age(verdict, days=30)
    clean(str(output), [], older_than=WEEK, agree=_yes)
    kinds = [path.rpartition(".")[2] for path in gone if path.startswith("harmonized")]
    assert kinds == ["json"] * 14 + ["parquet"] * 14
    ours = [path for path in gone if unproved in path]
    assert ours[0].endswith("validation.json")
    assert "/plan-" in ours[-1]


def test_what_a_killed_write_left_is_swept(output: Path) -> None:
    needed, _ = _digests(output)
    table = next((output / "harmonized" / needed).glob("*.parquet"))
    staged, fresh = (table.with_name(f"{table.name}#{number}") for number in (1, 2))
    foreign = output / "harmonized" / "notes.txt#1"
    for path in (staged, foreign, fresh):
        path.write_bytes(b"half")
    _age(staged, days=2)
    _age(foreign, days=2)
    answer = run_vitalprep("clean", "--output", output, "--yes")
    assert answer.result["swept"] == 1
    assert not staged.exists()
    assert foreign.exists()
    assert fresh.exists()


def test_what_lies_behind_a_link_stays(output: Path, tmp_path: Path) -> None:
    _, old = _digests(output)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(output / "harmonized" / old, elsewhere)
    (output / "harmonized" / old).symlink_to(elsewhere)
    before = _files(elsewhere)
    answer = run_vitalprep("clean", "--output", output, "--yes")
    assert old not in answer.result["removed"]
    assert _files(elsewhere) == before


def _keys(answer: Answer, environment: dict[str, str]) -> set[str]:
    assert answer.exit_code == 0, answer.result
    listing = s3_client(environment).list_objects_v2(Bucket=BUCKET, Prefix="cleaned/")
    return {item["Key"].removeprefix("cleaned/") for item in listing["Contents"]}


def test_over_s3(output: Path, s3_environment: dict[str, str]) -> None:
    client = s3_client(s3_environment)
    for path in _files(output):
        client.upload_file(str(output / path), BUCKET, f"cleaned/{path}")
    command = ("clean", "--output", f"s3://{BUCKET}/cleaned", "--yes")
    assert _keys(run_vitalprep(*command, environment=s3_environment), s3_environment) == _files(output), "too young"
    _, old = _digests(output)
    unproved = _unproved(output)
    left = _keys(run_vitalprep(*command, "--older-than", "0", environment=s3_environment), s3_environment)
    assert left == _files(output) - _of(_files(output), old, unproved)


@pytest.mark.parametrize("text", ["[]", "{}", '{"harmonize_digest": "../../etc"}', "[" * 100_000, "\x00"])
def test_nothing_goes_where_it_cannot_be_read_what_a_data_set_needs(output: Path, text: str) -> None:
    for plan in output.glob("runs/*/plan-*.json"):
        plan.unlink()
    metadata = output / "datasets" / _latest(output) / "preprocessing_metadata.json"
    metadata.write_text(text)
    before = _files(output)
    with pytest.raises(RefusedError, match=r"preprocessing_metadata\.json is not"):
        clean(str(output), [], older_than=WEEK, agree=_yes)
    assert _files(output) == before
