"""Where recordings come from: stated, noted beside them, or assumed; and that a plan's identity does not hang on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import Plan
from vitalprep.contract.provenance import ProvenanceNote, known_provenance
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.runtime.errors import RefusedError, UsageError

OWN = '{name: "St. Elsewhere", licence: internal use only, patients: real}'


def planned(folder: Path, *settings: str, clinical: Path | None = None) -> Plan:
    config = load_config(None, settings)
    return make_plan(PlanRequest(input=str(folder), config=config, clinical=str(clinical) if clinical else None))


@pytest.fixture(scope="module")
def unmarked(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings beside which nothing tells where they come from."""
    folder = tmp_path_factory.mktemp("unmarked")
    shutil.copytree(recordings / "raw-data", folder / "raw-data")
    shutil.copy(recordings / "clinical_data.csv", folder)
    return folder


def test_a_plan_that_knows_of_no_source_does_not_state_one(unmarked: Path) -> None:
    plan = planned(unmarked)
    content = json.loads(plan.to_bytes())
    assert "source" not in content
    assert "source" not in content["config"]
    assert plan.settled_provenance.basis == "assumed"
    assert plan.settled_provenance.source.name == "VitalDB"


def test_simulated_recordings_are_known_by_what_they_were_made_with(recordings: Path, unmarked: Path) -> None:
    plan = planned(recordings)
    assert plan.settled_provenance.basis == "note"
    assert plan.settled_provenance.source == known_provenance("simulated")
    assert plan.settled_provenance.source.licence is None
    assert Plan.from_bytes(plan.to_bytes(), uri="").settled_provenance == plan.settled_provenance
    beside = planned(recordings / "raw-data", clinical=recordings / "clinical_data.csv")
    assert beside.settled_provenance == plan.settled_provenance
    assert beside.dataset_id != planned(unmarked).dataset_id, "other etags"


def test_what_is_said_of_the_source_leaves_the_identity_as_it_is(recordings: Path) -> None:
    noted, stated = planned(recordings), planned(recordings, "source=vitaldb")
    own = planned(recordings, f"source={OWN}")
    assert stated.settled_provenance.basis == own.settled_provenance.basis == "configuration"
    assert stated.settled_provenance.source.licence == "CC-BY-NC-SA-4.0"
    assert own.settled_provenance.source.name == "St. Elsewhere"
    assert noted.dataset_id == stated.dataset_id == own.dataset_id
    assert noted.harmonize_digest == own.harmonize_digest
    assert len({noted.digest, stated.digest, own.digest}) == 3


def test_a_note_is_read_strictly(unmarked: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unmarked, tmp_path / "in")
    note = ProvenanceNote(source=known_provenance("vitaldb"))
    (folder / "source.json").write_bytes(note.to_bytes())
    plan = planned(folder)
    assert (plan.settled_provenance.basis, plan.settled_provenance.source.name) == ("note", "VitalDB")
    (folder / "source.json").write_text('{"source": {"name": "x"}}')
    with pytest.raises(RefusedError, match=r"source\.json is not a valid ProvenanceNote: source\.licence"):
        planned(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "is not valid JSON"),
        (" " * 2_000_000, "more than 1048576 bytes"),
        (json.dumps({"source": {"name": "x", "licence": "y", "limitations": ["z"] * 101}}), r"source\.limitations"),
        (json.dumps({"source": {"name": "x", "licence": "y" * 4001}}), r"source\.licence"),
    ],
)
def test_a_note_that_would_take_much_is_refused(unmarked: Path, tmp_path: Path, text: str, said: str) -> None:
    folder = shutil.copytree(unmarked, tmp_path / "in")
    (folder / "source.json").write_text(text)
    with pytest.raises(RefusedError, match=rf"source\.json .*{said}"):
        planned(folder)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cases": 3}', "[" * 100_000, " " * 2_000_000])
def test_only_what_simulate_writes_makes_patients_simulated(unmarked: Path, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(unmarked, tmp_path / "in")
    (folder / "simulation.json").write_text(text)
    assert planned(folder).settled_provenance.basis == "assumed"


def test_a_shard_does_not_repeat_the_source(recordings: Path) -> None:
    for plan in (planned(recordings), planned(recordings, f"source={OWN}")):
        [(path, data)] = plan.shard_documents()
        assert b'"source"' not in data
        part = Plan.from_bytes(data, uri=path)
        assert part.cases == plan.cases
        assert part.config.model_copy(update={"source": plan.config.source}) == plan.config


@pytest.mark.parametrize(
    "source",
    [
        "elsewhere",
        "{name: x}",
        "{name: '', licence: x}",
        "{name: x, licence: y, url: 'javascript:alert(1)'}",
        "{name: x, licence: y, url: 'https://x/><script>'}",
        '{name: x, licence: y, url: "https://x/\\u202e"}',
    ],
)
def test_a_source_that_says_too_little_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match="source"):
        load_config(None, [f"source={source}"])


def test_an_appended_data_set_may_say_more_of_its_source(recordings: Path, tmp_path: Path) -> None:
    parent = planned(recordings)
    request = PlanRequest(input=str(recordings), config=load_config(None, ["source=simulated"]), parent=parent)
    assert make_plan(request).dataset_id == parent.dataset_id
