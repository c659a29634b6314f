"""Where recordings come from: stated, noted beside them, or assumed; and that a plan's identity does not hang on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from preprocessing.config_file import load_config
from preprocessing.errors import RefusedError, UsageError
from preprocessing.plan.make_plan import PlanRequest, make_plan
from preprocessing.plan.plan import Plan
from preprocessing.source import SourceNote, known_source

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


def test_a_plan_that_knows_of_no_source_is_the_document_it_was(unmarked: Path) -> None:
    plan = planned(unmarked)
    content = json.loads(plan.to_bytes())
    assert content["schema_version"] == 2
    assert "source" not in content
    assert "source" not in content["config"]
    assert plan.settled_source.basis == "assumed"
    assert plan.settled_source.source.name == "VitalDB"


def test_simulated_recordings_are_known_by_what_they_were_made_with(recordings: Path, unmarked: Path) -> None:
    plan = planned(recordings)
    assert plan.settled_source.basis == "note"
    assert plan.settled_source.source == known_source("simulated")
    assert plan.settled_source.source.licence is None
    assert Plan.from_bytes(plan.to_bytes(), uri="").settled_source == plan.settled_source
    beside = planned(recordings / "raw-data", clinical=recordings / "clinical_data.csv")
    assert beside.settled_source == plan.settled_source
    assert beside.dataset_id != planned(unmarked).dataset_id, "other etags"


def test_what_is_said_of_the_source_leaves_the_identity_as_it_is(recordings: Path) -> None:
    noted, stated = planned(recordings), planned(recordings, "source=vitaldb")
    own = planned(recordings, f"source={OWN}")
    assert stated.settled_source.basis == own.settled_source.basis == "configuration"
    assert stated.settled_source.source.licence == "CC-BY-NC-SA-4.0"
    assert own.settled_source.source.name == "St. Elsewhere"
    assert noted.dataset_id == stated.dataset_id == own.dataset_id
    assert noted.harmonize_digest == own.harmonize_digest
    assert len({noted.digest, stated.digest, own.digest}) == 3


def test_a_note_is_read_strictly(unmarked: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unmarked, tmp_path / "in")
    note = SourceNote(source=known_source("vitaldb"))
    (folder / "source.json").write_bytes(note.to_bytes())
    plan = planned(folder)
    assert (plan.settled_source.basis, plan.settled_source.source.name) == ("note", "VitalDB")
    (folder / "source.json").write_text('{"source": {"name": "x"}}')
    with pytest.raises(RefusedError, match=r"source\.json is not a valid SourceNote: source\.licence"):
        planned(folder)


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
