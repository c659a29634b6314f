"""`croissant.json`, read by the reference implementation, lists the files that lie there."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import Answer
from vitalprep.contract.accounting import account
from vitalprep.contract.plan import load_plan
from vitalprep.contract.provenance import Provenance, SettledProvenance
from vitalprep.publish.card.described import Described
from vitalprep.publish.croissant import croissant_json

mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed (make develop)")


@pytest.fixture(params=["simulated", "attributed"])
def answer(request: pytest.FixtureRequest) -> Answer:
    found: Answer = request.getfixturevalue(request.param)
    return found


def content(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(answer.result["dataset"]) / "croissant.json").read_bytes())
    return found


def test_it_is_valid_croissant_1_1(answer: Answer) -> None:
    metadata = mlcroissant.Dataset(Path(answer.result["dataset"]) / "croissant.json").metadata
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert not metadata.ctx.issues.errors
    assert not metadata.record_sets
    recommended = {warning.split('"')[1].rpartition("/")[2] for warning in metadata.ctx.issues.warnings}
    assert recommended <= {"datePublished", "citeAs"}, (
        "no times in what has the same bytes; no paper on simulated cases"
    )


def test_the_reference_implementation_notices_what_is_missing(answer: Answer, tmp_path: Path) -> None:
    """Else the test above could not fail."""
    spoilt = content(answer)
    del spoilt["distribution"][0]["encodingFormat"]
    (tmp_path / "croissant.json").write_text(json.dumps(spoilt))
    with pytest.raises(mlcroissant.ValidationError, match="encodingFormat"):
        mlcroissant.Dataset(tmp_path / "croissant.json")


def test_it_lists_the_files_that_lie_there(answer: Answer) -> None:
    folder = Path(answer.result["dataset"])
    listed = {item["name"]: item for item in content(answer)["distribution"] if item["@type"] == "cr:FileObject"}
    of_later = {"croissant.json", "report.html", "validation.json"}
    assert listed.keys() == {path.name for path in folder.iterdir()} - of_later
    card = (folder / "README.md").read_text()
    assert "but for itself, `report.html` (it shows how long the cases took) and `validation.json`" in card
    for name, item in listed.items():
        data = (folder / name).read_bytes()
        assert item["sha256"] == hashlib.sha256(data).hexdigest()
        assert item["contentSize"] == f"{len(data)} B"


def test_each_split_is_a_set_of_its_files(answer: Answer) -> None:
    names = [path.name for path in Path(answer.result["dataset"]).iterdir() if ".tfrecord" in path.name]
    sets = {item["name"]: item for item in content(answer)["distribution"] if item["@type"] == "cr:FileSet"}
    assert sets.keys() == {"train", "validation", "test"}
    found = {split: fnmatch.filter(names, item["includes"]) for split, item in sets.items()}
    assert sorted(name for files in found.values() for name in files) == sorted(names)
    assert all(split in name for split, files in found.items() for name in files)


def test_licence_and_citation_are_the_source_s(simulated: Answer, attributed: Answer) -> None:
    theirs = content(attributed)
    assert theirs["license"] == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
    assert "10.1038/s41597-022-01411-5" in theirs["citeAs"]
    assert theirs["usageInfo"].startswith("https://vitaldb.net/")
    assert theirs["identifier"] == attributed.result["dataset_id"]
    assert theirs["version"].endswith(f"+{attributed.result['dataset_id']}")
    assert content(simulated)["license"] == "none"
    assert "citeAs" not in content(simulated)


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("javascript:alert(1)", {"@type": "sc:CreativeWork", "name": "javascript:alert(1)"}),
        ("internal\u202e use\nonly", {"@type": "sc:CreativeWork", "name": "internal use only"}),
        ("CC-BY-4.0", "CC-BY-4.0"),
    ],
)
def test_what_others_wrote_is_one_line_and_no_address(
    simulated: Answer, tmp_path: Path, licence: str, told: Any
) -> None:
    plan, output = load_plan(simulated.result["plan"])
    odd = "a\u202eb\x1b\nc"
    source = Provenance(name="x", licence=licence, attribution=odd, citation=odd)
    settled = plan.model_copy(update={"source": SettledProvenance(basis="note", source=source)})
    accounting, _, summaries, *_ = account(plan, output)
    found = croissant_json(Described(settled, accounting, summaries), odd, {})
    read = json.loads(found)
    assert read["license"] == told
    assert {read[key] for key in ("description", "citeAs", "creditText")} == {"a b c"}
    (tmp_path / "croissant.json").write_bytes(found)
    assert not mlcroissant.Dataset(tmp_path / "croissant.json").metadata.ctx.issues.errors
