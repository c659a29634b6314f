"""What "proven" means above the records: plan, shards, receipts, tables, descriptions and verdict belong together."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import vitalprep
from tests.pipeline import Answer, data_digests, run_vitalprep
from vitalprep.contract.paths import VERDICT
from vitalprep.contract.plan import load_plan
from vitalprep.run.publication import account_and_publish
from vitalprep.storage import Storage


@pytest.fixture(scope="module")
def source(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(recordings, tmp_path_factory.mktemp("source") / "in"))


@pytest.fixture(scope="module")
def proved(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    answer = _run(source, tmp_path_factory.mktemp("proved"), "--cases", "1-10")
    assert answer.exit_code == 0, answer.result
    return answer


@pytest.fixture
def copied(proved: Answer, source: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of recordings and output that a test may spoil. Etags of the recordings are kept."""
    output = Path(shutil.copytree(Path(proved.result["dataset"]).parents[1], tmp_path / "out"))
    return source, output


def _run(source: Path, output: Path, *more: str | Path) -> Answer:
    return run_vitalprep("run", "--input", source, "--output", output, *more)


def _table(folder: Path, change: Callable[[list[dict[str, str]]], None]) -> Path:
    """Write the clinical table of a folder, changed, to a place of its own."""
    with (folder / "clinical_data.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    path = folder.parent / "changed.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_flipped_bit_in_a_shard_is_refused_and_planning_again_mends_it(source: Path, tmp_path: Path) -> None:
    plan = ("plan", "--input", source, "--output", tmp_path / "out", "--shards", "2")
    uri = run_vitalprep(*plan).result["plan"]
    shard = Path(uri).with_suffix("") / "shard-00000.json"
    whole = shard.read_bytes()
    for bit in range(0, 8 * len(whole), 8 * len(whole) // 3):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(changed)
        answer = run_vitalprep("harmonize", "--plan", uri, "--shard", "0")
        assert answer.exit_code == 65
        assert str(shard) in answer.result["message"]
        assert run_vitalprep(*plan, "--force").exit_code == 0
        assert shard.read_bytes() == whole
    assert run_vitalprep("harmonize", "--plan", uri, "--shard", "0").exit_code == 0


def test_append_refuses_a_subject_that_would_be_in_two_splits(
    copied: tuple[Path, Path], proved: Answer, tmp_path: Path
) -> None:
    source, output = copied
    dataset = output / "datasets" / proved.result["dataset_id"]
    with (dataset / "cases.csv").open(newline="") as file:
        cases = {row["case_id"]: row for row in csv.DictReader(file)}
    moved = next(case for case, row in cases.items() if row["split"] == "train")
    subject = next(row["subject_id"] for row in cases.values() if row["split"] == "test")

    def move(rows: list[dict[str, str]]) -> None:
        next(row for row in rows if row["caseid"] == moved)["subjectid"] = subject

    folder = Path(shutil.copytree(source, tmp_path / "in", copy_function=os.link))
    table = _table(folder, move)
    answer = _run(folder, output, "--append-to", dataset, "--cases", "11-12", "--clinical", table)
    assert answer.exit_code == 65
    for told in (f"case {moved} ", f"subject {subject}", "train", "test"):
        assert told in answer.result["message"]

    def new_subject(rows: list[dict[str, str]]) -> None:
        next(row for row in rows if row["caseid"] == moved)["subjectid"] = "999983"

    answer = _run(folder, output, "--append-to", dataset, "--cases", "11-12", "--clinical", _table(folder, new_subject))
    assert answer.exit_code == 0, answer.result
    assert any("1 changed" in line["message"] for line in answer.log)
    with (Path(answer.result["dataset"]) / "cases.csv").open(newline="") as file:
        now = {row["case_id"]: row for row in csv.DictReader(file)}
    assert (now[moved]["subject_id"], now[moved]["split"]) == ("999983", "train")


def _card(dataset: Path) -> str:
    return (dataset / "README.md").read_text()


def test_a_stated_licence_reaches_a_published_card_and_stays(copied: tuple[Path, Path], proved: Answer) -> None:
    source, output = copied
    dataset = output / "datasets" / proved.result["dataset_id"]
    before = data_digests(dataset)
    assert "CC0-1.0" not in _card(dataset)
    stated = "source={name: Ours, licence: CC0-1.0}"
    answer = _run(source, output, "--cases", "1-10", "--set", stated)
    assert answer.exit_code == 0, answer.result
    assert answer.result["new"] is True
    assert "CC0-1.0" in _card(dataset)
    assert data_digests(dataset) == before
    again = _run(source, output, "--cases", "1-10", "--set", stated)
    assert again.result["new"] is False


def test_a_rerun_that_states_no_provenance_keeps_the_published_one(source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "in", copy_function=os.link))
    (folder / "simulation.json").unlink()
    output = tmp_path / "out"
    assumed = [_run(folder, output, "--cases", "1-9").result["new"] for _ in range(2)]
    assert assumed == [True, False], "VitalDB's, which is assumed, is stated on no rerun either"
    first = _run(folder, output, "--set", "source={name: Ours, licence: CC0-1.0}")
    again = _run(folder, output)
    assert (first.exit_code, again.exit_code, again.result["new"]) == (0, 0, False)
    note = {"source": {"name": "Theirs", "licence": "CC-BY-4.0"}}
    (folder / "source.json").write_text(json.dumps(note))
    noted = _run(folder, output)
    assert noted.result["new"] is True
    assert "CC-BY-4.0" in _card(Path(noted.result["dataset"]))
    assert "CC0-1.0" not in _card(Path(noted.result["dataset"]))


def test_a_publish_that_fails_half_way_leaves_no_proved_data_set(
    copied: tuple[Path, Path], proved: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = copied
    dataset = output / "datasets" / proved.result["dataset_id"]
    assert vitalprep.describe(str(dataset)).proved
    planned = run_vitalprep(
        *("plan", "--input", source, "--output", output, "--cases", "1-10"),
        "--set",
        "source={name: Ours, licence: null}",
    )
    put = Storage.put

    def full(self: Storage, path: str, data: Any) -> None:
        if path.endswith("README.md"):
            raise vitalprep.RetryableError("No space is left.", fix="free some.")
        put(self, path, data)

    monkeypatch.setattr(Storage, "put", full)
    with pytest.raises(vitalprep.RetryableError, match="No space"):
        account_and_publish(*load_plan(planned.result["plan"]))
    monkeypatch.undo()
    assert not (dataset / VERDICT).exists()
    assert not vitalprep.describe(str(dataset), unproved=True).proved
    answer = _run(source, output, "--cases", "1-10", "--set", "source={name: Ours, licence: null}")
    assert (answer.exit_code, answer.result["new"]) == (0, True)
    assert vitalprep.describe(str(dataset)).proved


def test_a_table_written_by_another_library_is_the_same_table(source: Path, proved: Answer, tmp_path: Path) -> None:
    """Of two versions of a Parquet library on one shard, the second keeps what the first wrote."""
    uri = run_vitalprep("plan", "--input", source, "--output", tmp_path, "--cases", "1-10").result["plan"]
    assert run_vitalprep("harmonize", "--plan", uri).exit_code == 0
    tables = sorted(tmp_path.glob("harmonized/*/*.parquet"))
    for path in tables:
        pq.write_table(pq.read_table(path), path, compression="zstd")
    others = {path: path.read_bytes() for path in tables}
    for receipt in tmp_path.glob("harmonized/*/*.json"):
        receipt.unlink()
    answer = _run(source, tmp_path, "--cases", "1-10")
    assert answer.exit_code == 0, answer.result
    assert {path: path.read_bytes() for path in sorted(tmp_path.glob("harmonized/*/*.parquet"))} == others
    assert data_digests(answer.result["dataset"]) == data_digests(proved.result["dataset"])


def test_a_damaged_table_is_written_anew_by_force(copied: tuple[Path, Path], proved: Answer) -> None:
    source, output = copied
    damaged = sorted(output.glob("harmonized/*/*.parquet"))[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-9])
    dataset = output / "datasets" / proved.result["dataset_id"]
    refused = run_vitalprep("validate", dataset)
    assert refused.exit_code == 65
    assert damaged.name in refused.result["message"]
    answer = _run(source, output, "--cases", "1-10", "--force")
    assert answer.exit_code == 0, answer.result
    assert damaged.read_bytes() == whole


def test_the_proof_says_whether_the_recordings_are_still_there(proved: Answer, tmp_path: Path, source: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "in"))
    answer = _run(folder, tmp_path / "out", "--cases", "1-10")
    dataset = Path(answer.result["dataset"])
    assert "all 10 are in" in json.loads((dataset / VERDICT).read_bytes())["recordings"]
    (folder / "raw-data" / "0003.vital").unlink()
    assert run_vitalprep("validate", dataset).exit_code == 0
    assert json.loads((dataset / VERDICT).read_bytes())["recordings"].startswith("1 of 10 are no longer in")
    shutil.rmtree(folder)
    assert run_vitalprep("validate", dataset).exit_code == 0
    assert json.loads((dataset / VERDICT).read_bytes())["recordings"].startswith("could not be listed")


def test_copied_recordings_are_recognized(copied: tuple[Path, Path], proved: Answer, tmp_path: Path) -> None:
    source, output = copied
    folder = Path(shutil.copytree(source, tmp_path / "in"))  # other inodes and times: other etags
    answer = _run(folder, output, "--cases", "1-10")
    assert answer.exit_code == 0, answer.result
    assert (answer.result["dataset_id"], answer.result["new"]) == (proved.result["dataset_id"], False)
    forced = _run(folder, output, "--cases", "1-10", "--force")
    assert (forced.exit_code, forced.result["dataset_id"]) == (0, proved.result["dataset_id"])
    again = _run(source, output, "--cases", "1-10")
    assert (again.result["dataset_id"], again.result["new"]) == (proved.result["dataset_id"], False)
    other = folder / "raw-data" / "0004.vital"
    data = (folder / "raw-data" / "0005.vital").read_bytes()
    size = other.stat().st_size
    other.write_bytes(data[:size] + bytes(max(0, size - len(data))))
    changed = run_vitalprep("plan", "--input", folder, "--output", output, "--cases", "1-10")
    assert changed.result["dataset_id"] != proved.result["dataset_id"], "the same case and size, other bytes"


def test_a_data_set_of_other_code_versions_is_not_judged(copied: tuple[Path, Path], proved: Answer) -> None:
    source, output = copied
    dataset = output / "datasets" / proved.result["dataset_id"]
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    metadata["versions"]["build"] += 1
    (dataset / "preprocessing_metadata.json").write_text(json.dumps(metadata))
    before = (dataset / VERDICT).read_bytes()
    answer = run_vitalprep("validate", dataset)
    assert answer.exit_code == 2
    assert "preprocessing_metadata.json" in answer.result["message"]
    assert (dataset / VERDICT).read_bytes() == before
    grown = _run(source, output, "--append-to", dataset, "--cases", "11")
    assert grown.exit_code == 65
    assert "build a new data set" in grown.result["fix"]
