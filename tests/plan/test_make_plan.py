"""Plans and the digests that exactly-once rests on."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.document import canonical_json
from vitalprep.contract.identity import harmonize_digest
from vitalprep.contract.paths import plan_path
from vitalprep.contract.plan import Person, Plan, load_plan, load_shard, store_plan
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.plan.recordings import recordings_there
from vitalprep.plan.shards import balanced_shards, modulo_shards
from vitalprep.run.plan_run import plan_run
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage


def _plan(recordings: Path, *settings: str, **request: object) -> Plan:
    return make_plan(PlanRequest(input=str(recordings), config=load_config(None, settings), **request))  # type: ignore[arg-type]


def test_the_default_harmonize_digest_is_pinned() -> None:
    """It changes only with HARMONIZE_VERSION or the registry, and then every case is harmonized again."""
    assert harmonize_digest(load_config()) == "90561ae6ef19"


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("windowing.step=60", False),
        ("imputation.causal=false", False),
        ("inputs.HR.range=[30, 180]", False),
        ("inputs.HR.default=75", False),
        ("inputs.HR.hold=60", False),
        ("split.seed=1", False),
        ("output.layout=single", False),
        ("inputs.HR.sources.Solar8000/HR.limits=[1, 300]", True),
        ("inputs.HR.sources.Solar8000/HR.stale_after=20", True),
        ("inputs.Noradrenalin_INF.sources.Orchestra/NEPI_RATE.conversion.per_kg_min.concentration=40", True),
        ("units.mmHg=[mmHg, torr]", True),
        ("statics.weight.default=75", True),
        ("statics.age.default=60", False),
        ("ideal_body_weight.slope=0.91", True),
    ],
)
def test_what_a_harmonized_table_depends_on(recordings: Path, setting: str, changes: bool) -> None:
    before, after = _plan(recordings), _plan(recordings, setting)
    assert (after.harmonize_digest != before.harmonize_digest) is changes
    assert after.dataset_id != before.dataset_id


@pytest.mark.parametrize("setting", ["validation.min_windows=5", "validation.min_success_rate=0.5"])
def test_thresholds_are_no_part_of_the_data_set(recordings: Path, setting: str) -> None:
    assert _plan(recordings, setting).dataset_id == _plan(recordings).dataset_id


HB = "{unit: g/dL, limits: [2, 25], range: [5, 20], default: 13}"


def _with_hb(recordings: Path, folder: Path, *cells: str) -> str:
    """Return a copy of the clinical table with a column `hb`, filled in turn with some cells."""
    header, *rows = (recordings / "clinical_data.csv").read_text().splitlines()
    lines = [f"{header},hb", *(f"{row},{cells[place % len(cells)]}" for place, row in enumerate(rows))]
    table = folder / f"hb-{'-'.join(cells)}.csv"
    table.write_text("\n".join(lines) + "\n")
    return str(table)


def test_nothing_of_a_plan_tells_that_there_could_be_other_statics(recordings: Path) -> None:
    plan = _plan(recordings)
    content = plan.content()
    assert not {"body", "outside_limits", "known_as"} & {key for case in content["cases"] for key in case}
    assert "body" not in content["config"]


def test_another_static_is_another_data_set_of_the_same_tables(recordings: Path, tmp_path: Path) -> None:
    table = _with_hb(recordings, tmp_path, "12.5", "99", "", "12", "11", "10", "9")
    before = _plan(recordings, clinical=table)
    plan = _plan(recordings, f"statics.hb={HB}", clinical=table)
    assert plan.harmonize_digest == before.harmonize_digest
    assert [case.input_id for case in plan.cases] == [case.input_id for case in before.cases]
    assert plan.dataset_id != before.dataset_id
    assert [case.static[-1] for case in plan.cases[:3]] == [12.5, 13, 13]
    assert [case.static_origin[-1] for case in plan.cases[:3]] == [0, 2, 2]
    assert plan.outside_limits == {"hb": tuple(case.case_id for case in plan.cases[1::7])}
    loaded = Plan.from_bytes(plan.to_bytes(), uri="plan.json")
    assert loaded == plan
    assert loaded.outside_limits == plan.outside_limits


def test_a_dropped_value_is_another_data_set_than_an_empty_cell(recordings: Path, tmp_path: Path) -> None:
    """The records are the same, but what metadata and report say of them is not."""
    others = ["12"] * 6
    dropped = _plan(recordings, f"statics.hb={HB}", clinical=_with_hb(recordings, tmp_path, "99", *others))
    empty = _plan(recordings, f"statics.hb={HB}", clinical=_with_hb(recordings, tmp_path, "", *others))
    assert [case.static for case in dropped.cases] == [case.static for case in empty.cases]
    assert dropped.dataset_id != empty.dataset_id


def test_dropped_values_are_named_at_plan(recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(None, [f"statics.hb={HB}"])
    table = _with_hb(recordings, tmp_path, "12.5", "99", "", "12", "11", "10", "9")
    with caplog.at_level(logging.WARNING, "vitalprep"):
        plan_run(PlanRequest(input=str(recordings), config=config, clinical=table), str(tmp_path / "out"))
    assert [record.message for record in caplog.records] == [
        "statics.hb.limits [2, 25] drop the value of column hb in 2 of 14 cases: 2,9; their records hold the default 13"
    ]
    assert (caplog.records[0].static, caplog.records[0].dropped) == ("hb", 2)  # type: ignore[attr-defined]


def test_a_body_beside_the_statics_gives_the_same_tables(recordings: Path, tmp_path: Path) -> None:
    """Doses depend on the patient, whether or not he is in the record."""
    content = load_config().content()
    content["statics"] = [item for item in content["statics"] if item["name"] not in ("age", "height", "weight", "sex")]
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(content | {"body": {"height": 170, "weight": 70, "sex": -1}}))
    before = _plan(recordings)
    plan = make_plan(PlanRequest(input=str(recordings), config=load_config(str(own))))
    assert plan.harmonize_digest == before.harmonize_digest
    assert [case.input_id for case in plan.cases] == [case.input_id for case in before.cases]
    assert [case.settled_body(plan.config) for case in plan.cases] == [
        case.settled_body(before.config) for case in before.cases
    ]
    assert [case.static for case in plan.cases] == [case.static[-2:] for case in before.cases]
    for case, other in zip(plan.cases, before.cases, strict=True):
        assert case.body is not None
        age, sex, height, weight, _, _ = other.static
        assert case.body == Person(age=age, sex=sex, height=height, weight=weight)


def test_shards_are_no_part_of_the_data_set(recordings: Path) -> None:
    one, five = _plan(recordings), _plan(recordings, shards=5)
    assert five.dataset_id == one.dataset_id
    assert five.digest != one.digest
    assert sorted(case for shard in five.shards for case in shard) == [case.case_id for case in one.cases]


def test_a_body_enters_the_identity_of_a_case(recordings: Path, tmp_path: Path) -> None:
    table = (recordings / "clinical_data.csv").read_text().splitlines()
    weight = table[0].split(",").index("weight")
    cells = table[1].split(",")
    cells[weight] = "101.5"
    (tmp_path / "other.csv").write_text("\n".join([table[0], ",".join(cells), *table[2:]]))
    before, after = _plan(recordings), _plan(recordings, clinical=str(tmp_path / "other.csv"))
    changed = [a.case_id for a, b in zip(before.cases, after.cases, strict=True) if a.input_id != b.input_id]
    assert changed == [int(cells[0])]


def test_hashed_subjects_need_a_salt_and_the_salt_enters_the_identity(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VITALPREP_SUBJECT_SALT", raising=False)
    with pytest.raises(UsageError, match="VITALPREP_SUBJECT_SALT"):
        _plan(recordings, "privacy.hash_subjects=true")
    ids = set()
    for salt in ("a long and random salt", "another long salt here"):
        monkeypatch.setenv("VITALPREP_SUBJECT_SALT", salt)
        plan = _plan(recordings, "privacy.hash_subjects=true")
        assert salt not in plan.to_bytes().decode()
        ids.add(plan.dataset_id)
    assert len(ids) == 2


def test_a_plan_is_stored_once_and_read_back(recordings: Path, tmp_path: Path) -> None:
    plan = _plan(recordings, shards=3)
    uri = store_plan(plan, Storage(str(tmp_path)))
    first = Path(uri).stat().st_mtime_ns
    assert store_plan(plan, Storage(str(tmp_path))) == uri
    assert Path(uri).stat().st_mtime_ns == first
    loaded, _ = load_plan(uri)
    assert loaded == plan
    assert isinstance(loaded.config, Config)
    assert f"plan-{plan.digest}.json" in uri


def test_a_shard_is_the_plan_restricted_to_its_cases(recordings: Path, tmp_path: Path) -> None:
    plan = _plan(recordings, shards=3)
    uri = store_plan(plan, Storage(str(tmp_path)))
    for index, cases in enumerate(plan.shards):
        part, output = load_shard(uri, index)
        assert output.uri == str(tmp_path)
        assert part.shards[index] == cases
        assert {case.case_id: part.stem(case.case_id) for case in part.cases} == {
            case: plan.stem(case) for case in cases
        }
        assert (part.config, part.input, part.dataset_id) == (plan.config, plan.input, plan.dataset_id)
    with pytest.raises(UsageError, match="no shard 3; it has shards 0-2"):
        load_shard(uri, 3)
    (Path(uri).with_suffix("") / "shard-00001.json").unlink()
    with pytest.raises(RefusedError, match="plan again"):
        load_shard(uri, 1)


def _stored(content: dict[str, Any], folder: Path) -> str:
    """Store a plan's content under the name that its digest gives."""
    data = canonical_json(content)
    path = folder / plan_path(content["dataset_id"], hashlib.sha256(data).hexdigest()[:12])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data + b"\n")
    return str(path)


def test_a_damaged_document_of_a_plan_is_named_and_written_anew(recordings: Path, tmp_path: Path) -> None:
    plan, output = _plan(recordings, shards=2), Storage(str(tmp_path))
    uri = store_plan(plan, output)
    shard = Path(uri).with_suffix("") / "shard-00000.json"
    for path, reads in ((shard, lambda: load_shard(uri, 0)), (Path(uri), lambda: load_plan(uri))):
        whole = path.read_bytes()
        weight = repr(plan.by_id[plan.shards[0][0]].static[3]).encode()
        path.write_bytes(whole.replace(weight, b"1" + weight, 1))
        with pytest.raises(RefusedError, match=rf"{re.escape(str(path))} is damaged"):
            reads()
        store_plan(plan, output)
        assert path.read_bytes() == whole
        reads()


def test_a_plan_without_digests_of_its_shards_is_planned_again(recordings: Path, tmp_path: Path) -> None:
    content = {key: value for key, value in _plan(recordings).content().items() if key != "shard_sha256"}
    uri = _stored(content | {"schema_version": 6}, tmp_path)
    assert load_plan(uri)[0].cases
    with pytest.raises(RefusedError, match="does not have the digests of its shards") as refusal:
        load_shard(uri, 0)
    assert "plan again" in refusal.value.fix


def test_a_newer_plan_is_refused(recordings: Path, tmp_path: Path) -> None:
    uri = _stored(_plan(recordings).content() | {"schema_version": 99, "new_field": 1}, tmp_path)
    for read in (lambda: load_plan(uri), lambda: load_shard(uri, 0)):
        with pytest.raises(RefusedError, match="schema version 99"):
            read()


def test_missing_cases_are_planned_as_excluded(recordings: Path) -> None:
    plan = _plan(recordings, cases="1-20")
    assert [case.case_id for case in plan.excluded] == [15, 16, 17, 18, 19, 20]
    assert {case.reason for case in plan.excluded} == {"raw_object_missing"}


def test_recordings_are_found_at_any_depth_under_either_name(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(recordings / "raw-data" / "0003.vital", tmp_path / "a" / "b" / "3.vital")
    shutil.copy(recordings / "raw-data" / "0004.vital", tmp_path / "0004.vital")
    (tmp_path / "notes.vital").write_text("no case")
    (tmp_path / "0005.vital.part").write_text("no case")
    assert {case: stored.path for case, stored in recordings_there(Storage(str(tmp_path))).items()} == {
        3: "a/b/3.vital",
        4: "0004.vital",
    }
    shutil.copy(tmp_path / "0004.vital", tmp_path / "a" / "4.vital")
    with pytest.raises(RefusedError, match="case 4 twice"):
        recordings_there(Storage(str(tmp_path)))


def test_balanced_shards_share_the_bytes() -> None:
    sizes = {case: (case * 7919) % 1000 + 1 for case in range(1, 200)}
    shards = balanced_shards(sizes, 7)
    assert sorted(case for shard in shards for case in shard) == sorted(sizes)
    loads = [sum(sizes[case] for case in shard) for shard in shards]
    assert max(loads) - min(loads) <= max(sizes.values())
    assert len(balanced_shards({1: 5, 2: 5}, 7)) == 2


def test_modulo_shards_are_dealt_out_in_turn() -> None:
    assert modulo_shards([5, 1, 3, 2, 4], 2) == ((1, 3, 5), (2, 4))
