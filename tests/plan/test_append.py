"""A plan that continues a data set: which cases, which splits, which configuration."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import pytest
import yaml

from tests.pipeline import run_vitalprep
from vitalprep.cli.options import plan_request
from vitalprep.contract.config import BodyDefaults, Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.document import canonical_json
from vitalprep.contract.plan import Plan
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.plan.parent import refuse_another_config
from vitalprep.run.plan_run import plan_run
from vitalprep.runtime.errors import RefusedError, UsageError


@pytest.fixture
def source(recordings: Path, tmp_path: Path) -> Path:
    """A copy of the recordings that a test may change."""
    return Path(shutil.copytree(recordings, tmp_path / "input"))


def _plan(source: Path, cases: str | None = None, parent: Plan | None = None, config: Config | None = None) -> Plan:
    config = config or (parent.config if parent else load_config())
    return make_plan(PlanRequest(input=str(source), config=config, cases=cases, parent=parent))


def test_the_parent_s_cases_are_asked_for_too(recordings: Path) -> None:
    parent = _plan(recordings, "1,3-10")
    grown = _plan(recordings, "2,13", parent)
    assert sorted(grown.by_id) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13]
    assert grown.parents == (parent.dataset_id,)
    assert grown.dataset_id != parent.dataset_id
    assert grown.dataset_id != _plan(recordings, "1-10,13").dataset_id, "a data set of its own has other splits"
    for case in parent.cases:
        assert grown.by_id[case.case_id] == case


def test_a_new_case_goes_with_its_subject_s_earlier_ones(recordings: Path) -> None:
    for seed in range(10):  # in some order of subjects case 1 is of train, in others it is not
        config = load_config(None, [f"split.seed={seed}"])
        parent = _plan(recordings, "1,3-10", config=config)
        grown = _plan(recordings, "2", parent)
        assert grown.by_id[1].subject_id == grown.by_id[2].subject_id
        assert grown.by_id[2].split == grown.by_id[1].split == parent.by_id[1].split


def test_no_new_case_is_the_parent_itself(recordings: Path) -> None:
    parent = _plan(recordings, "1-9")
    assert _plan(recordings, "2-5", parent) == parent
    child = _plan(recordings, "10-12", parent)
    assert _plan(recordings, "10-12", child) == child
    assert _plan(recordings, None, child).parents == (parent.dataset_id, child.dataset_id)


def test_a_subject_that_was_gone_in_between_keeps_its_split(source: Path) -> None:
    parent = _plan(source, "1-10")
    subject_of = {case.case_id: case.subject_id for case in parent.cases}
    lone = next(case for case in parent.cases if case.split == "test" and case.case_id > 2)
    path = source / "raw-data" / f"{lone.case_id:04d}.vital"
    recording = path.read_bytes()
    path.unlink()
    child = _plan(source, "11-12", parent)
    assert lone.case_id in {case.case_id for case in child.excluded}
    path.write_bytes(recording)
    grandchild = _plan(source, "13-14", child)
    assert grandchild.by_id[lone.case_id].split == lone.split
    assert child.split_of_subject[subject_of[lone.case_id]] == lone.split


def test_a_changed_case_is_planned_anew_in_its_split(source: Path) -> None:
    parent = _plan(source, "1-10")
    (source / "raw-data" / "0003.vital").write_bytes((source / "raw-data" / "0014.vital").read_bytes())
    grown = _plan(source, "11", parent)
    assert [case.case_id for case in parent.cases if grown.by_id[case.case_id].input_id != case.input_id] == [3]
    assert {case.case_id: case.split for case in parent.cases}.items() <= {
        c.case_id: c.split for c in grown.cases
    }.items()


def test_a_plan_reads_back_with_its_lineage(recordings: Path) -> None:
    child = _plan(recordings, "10-14", _plan(recordings, "1-9"))
    assert Plan.from_bytes(child.to_bytes(), uri="plan.json") == child
    content = json.loads(child.to_bytes())
    held = [subject for split in ("train", "validation", "test") for subject in content["append"][split]]
    assert sorted(held) == sorted({case.subject_id for case in child.cases if case.case_id < 10})


def test_a_plan_from_before_append_is_read(recordings: Path) -> None:
    plan = _plan(recordings, "1-9")
    before = {key: value for key, value in plan.content().items() if key != "append"} | {"schema_version": 1}
    assert Plan.from_bytes(canonical_json(before), uri="plan.json").cases == plan.cases


def test_another_configuration_is_refused_and_named(recordings: Path) -> None:
    parent = _plan(recordings, "1-9")
    for setting, key in (
        ("windowing.step=60", "windowing.step"),
        ("split.seed=7", "split.seed"),
        ("inputs.HR.hold=60", "inputs"),
        ("privacy.hash_subjects=true", "privacy.hash_subjects"),
    ):
        with pytest.raises(UsageError, match=f"key {key} differs") as caught:
            _plan(recordings, "10", parent, load_config(None, [setting]))
        assert "--set" in caught.value.fix
    thresholds = load_config(None, ["validation.min_windows=5"])
    assert _plan(recordings, "10", parent, thresholds).dataset_id == _plan(recordings, "10", parent).dataset_id


def test_another_salt_is_refused(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, ["privacy.hash_subjects=true"])
    monkeypatch.setenv("VITALPREP_SUBJECT_SALT", "a long and random salt")
    parent = _plan(recordings, "1-9", config=config)
    monkeypatch.setenv("VITALPREP_SUBJECT_SALT", "another long salt here")
    with pytest.raises(UsageError, match="salt"):
        _plan(recordings, "10", parent)


def _request(source: Path, output: Path, dataset: str, **given: object) -> PlanRequest:
    options = {"cases": None, "clinical": None, "config_file": None, "settings": ()} | given
    return plan_request(str(output), input_uri=str(source), append_to=dataset, **options)  # type: ignore[arg-type]


def test_the_parent_is_a_published_data_set_of_the_same_output(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out"
    command = ("run", "--input", source, "--output", output, "--set", "windowing.step=60", "--workers", "1")
    dataset = run_vitalprep(*command, "--cases", "1-9").result["dataset"]
    request = _request(source, output, dataset, cases="10")
    assert request.config.windowing.step == 60, "the parent's configuration, where none is given"
    with pytest.raises(UsageError, match=r"windowing\.step"):
        make_plan(_request(source, output, dataset, settings=("validation.min_windows=5",)))
    with pytest.raises(UsageError, match="does not lie in the output"):
        _request(source, tmp_path, dataset)

    (source / "raw-data" / "0004.vital").unlink()
    with caplog.at_level(logging.INFO, "vitalprep"):
        planned = plan_run(dataclasses.replace(request, cases="10-11"), str(output), force=False)
    assert "2 new cases, 0 changed" in caplog.text
    assert "cases 4 of" in caplog.text
    assert planned.described()["parents"] == [Path(dataset).name]

    verdict = Path(dataset) / "validation.json"
    content = json.loads(verdict.read_bytes())
    verdict.write_text(json.dumps(content | {"passed": False}))
    with pytest.raises(RefusedError, match="a failing verdict"):
        _request(source, output, dataset)
    verdict.unlink()
    with pytest.raises(RefusedError, match="no verdict"):
        _request(source, output, dataset)
    verdict.write_text(json.dumps(content))
    shutil.rmtree(output / "runs" / Path(dataset).name)
    with pytest.raises(RefusedError, match="its plan below"):
        _request(source, output, dataset)


def test_a_section_that_one_of_both_lacks_is_another_configuration(recordings: Path, tmp_path: Path) -> None:
    content = load_config().content()
    content["statics"] = [item for item in content["statics"] if item["name"] != "weight"]
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(content | {"body": {"weight": 70}}))
    with_body = load_config(str(own))
    statics_alike = with_body.model_copy(update={"body": None})
    parent = _plan(recordings, "1-9", config=with_body)
    with pytest.raises(UsageError, match="Configuration key body differs"):
        refuse_another_config(parent, statics_alike)
    with pytest.raises(UsageError, match="Configuration key body differs"):
        refuse_another_config(parent.model_copy(update={"config": statics_alike}), with_body)
    other = with_body.model_copy(update={"body": BodyDefaults(weight=80)})
    with pytest.raises(UsageError, match=r"Configuration key body\.weight differs"):
        refuse_another_config(parent, other)
