"""Appending: a larger data set in which every earlier subject keeps its split, and the old one untouched."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import Answer, run_vitalprep
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan, read_plan, store_plan
from vitalprep.contract.splits import assign_splits
from vitalprep.storage import Storage

SALT = {"VITALPREP_SUBJECT_SALT": "a long and random salt"}


def _run(source: Path, output: Path, *more: str) -> Answer:
    """Run with hashed subjects: what holds for them holds for plain ones."""
    answer = run_vitalprep("run", "--input", source, "--output", output, "--workers", "1", *more, environment=SALT)
    assert answer.exit_code == 0, answer.result
    return answer


def _files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def _cases(dataset: str) -> dict[int, dict[str, str]]:
    return {int(row["case_id"]): row for row in csv.DictReader((Path(dataset) / "cases.csv").open())}


def _checks(dataset: str) -> dict[str, dict[str, Any]]:
    verdict = json.loads((Path(dataset) / "validation.json").read_bytes())
    return {check["name"]: check for check in verdict["checks"]}


@pytest.fixture(scope="module")
def parent(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    output = tmp_path_factory.mktemp("grown")
    return _run(recordings, output, "--cases", "1,3-9", "--set", "privacy.hash_subjects=true")


@pytest.fixture(scope="module")
def untouched(parent: Answer) -> dict[Path, tuple[int, bytes]]:
    """The parent's files before anything is appended to it."""
    return _files(Path(parent.result["dataset"]))


@pytest.fixture(scope="module")
def child(recordings: Path, parent: Answer, untouched: object) -> Answer:
    output = Path(parent.result["dataset"]).parents[1]
    return _run(recordings, output, "--append-to", parent.result["dataset"], "--cases", "2,10-12")


@pytest.fixture(scope="module")
def grandchild(recordings: Path, child: Answer) -> Answer:
    output = Path(child.result["dataset"]).parents[1]
    return _run(recordings, output, "--append-to", child.result["dataset"])


def test_earlier_subjects_keep_their_split_and_only_new_cases_are_harmonized(parent: Answer, child: Answer) -> None:
    before, after = _cases(parent.result["dataset"]), _cases(child.result["dataset"])
    assert sorted(after) == list(range(1, 13))
    for case, row in before.items():
        assert (after[case]["split"], after[case]["subject_id"]) == (row["split"], row["subject_id"])
    assert after[2]["subject_id"] == after[1]["subject_id"], "the new case is of an earlier subject"
    assert after[2]["split"] == after[1]["split"]
    harmonized = {line["case_id"] for line in child.log if str(line["message"]).endswith(" harmonized")}
    assert harmonized == {2, 10, 11, 12}


def test_lineage_is_told_and_the_parent_is_untouched(
    parent: Answer, child: Answer, grandchild: Answer, untouched: dict[Path, tuple[int, bytes]]
) -> None:
    ids = [answer.result["dataset_id"] for answer in (parent, child, grandchild)]
    assert [answer.result["parents"] for answer in (parent, child, grandchild)] == [[], ids[:1], ids[:2]]
    metadata = json.loads((Path(grandchild.result["dataset"]) / "preprocessing_metadata.json").read_bytes())
    assert metadata["parents"] == ids[:2]
    assert _files(Path(parent.result["dataset"])) == untouched
    assert run_vitalprep("validate", parent.result["dataset"], "--quick").exit_code == 0
    proved = _checks(grandchild.result["dataset"])["splits"]["detail"]
    assert "each of 11 earlier subjects is in the split that it had" in proved
    assert f"as the plan of {ids[1]} has it" in proved


def test_appending_nothing_is_nothing_new(recordings: Path, grandchild: Answer) -> None:
    dataset = Path(grandchild.result["dataset"])
    for more in (("--append-to", str(dataset)), ("--append-to", str(dataset), "--cases", "3-5")):
        answer = run_vitalprep("run", "--input", recordings, "--output", dataset.parents[1], *more, environment=SALT)
        assert answer.exit_code == 0
        assert answer.result["new"] is False
        assert answer.result["dataset_id"] == dataset.name
    before = _files(dataset.parents[1])
    forced = run_vitalprep(
        *("plan", "--input", recordings, "--output", dataset.parents[1], "--append-to", dataset, "--force"),
        environment=SALT,
    )
    assert forced.exit_code == 2
    assert "no new cases to append" in forced.result["message"]
    assert _files(dataset.parents[1]) == before, "what is published is not undone"


def test_a_subject_s_id_shows_nowhere_in_the_data_sets(recordings: Path, grandchild: Answer) -> None:
    with (recordings / "clinical_data.csv").open(encoding="utf-8-sig") as file:
        subjects = {row["subjectid"] for row in csv.DictReader(file)}
    texts = [path for path in Path(grandchild.result["dataset"]).parent.rglob("*") if path.suffix in (".csv", ".json")]
    assert len(texts) > 20
    for path in texts:
        assert not subjects & set(re.findall(r"\d+", path.read_text())), path
    logged = json.dumps(grandchild.log)
    assert not subjects & set(re.findall(r"\d+", logged))


@pytest.fixture
def copied(child: Answer, parent: Answer, tmp_path: Path) -> tuple[Path, str, str]:
    """A copy of the output that a test may spoil, and the ids of the child and its parent."""
    output = Path(shutil.copytree(Path(child.result["dataset"]).parents[1], tmp_path / "out"))
    return output, child.result["dataset_id"], parent.result["dataset_id"]


def test_a_parent_that_is_gone_is_said_to_be(copied: tuple[Path, str, str]) -> None:
    output, child, parent = copied
    shutil.rmtree(output / "runs" / parent)
    shutil.rmtree(output / "datasets" / parent)
    dataset = output / "datasets" / child
    assert run_vitalprep("validate", dataset, environment=SALT).exit_code == 0
    assert f"the plan of {parent} is no longer there to compare with" in _checks(str(dataset))["splits"]["detail"]


def test_an_earlier_subject_in_another_split_is_noticed(copied: tuple[Path, str, str]) -> None:
    """A plan that agrees with itself, and the records with it: only the parent knows better."""
    output, child, _ = copied
    made = next((output / "runs" / child).glob("plan-*.json"))
    plan = read_plan(Storage(str(output)), str(made.relative_to(output)))
    assert plan.append is not None
    moved = next(case.subject_id for case in plan.cases if case.split == "train" and case.case_id in range(3, 10))
    held = plan.append.split_of_subject | {moved: "test"}
    append = {split: [subject for subject in held if held[subject] == split] for split in SPLITS}
    ruled = assign_splits({case.case_id: case.subject_id for case in plan.cases}, plan.config.split, held)
    cases = [case.content() | {"split": ruled[case.subject_id]} for case in plan.cases]
    earlier = [case._replace(split=held[case.subject_id]) for case in plan.append.cases]
    continued = {"parents": plan.parents, "cases": earlier} | append
    content = plan.content() | {"append": continued, "cases": cases}
    shutil.rmtree(output / "datasets" / child)
    uri = store_plan(Plan.model_validate(content).sealed(), Storage(str(output)))
    for stage in ("build", "publish"):
        assert run_vitalprep(stage, "--plan", uri, environment=SALT).exit_code == 0
    dataset = output / "datasets" / child
    answer = run_vitalprep("validate", dataset, environment=SALT)
    assert answer.exit_code == 65
    assert [name for name, check in _checks(str(dataset)).items() if not check["passed"]] == ["splits"]
    assert "is in test and was in train" in answer.result["message"]
