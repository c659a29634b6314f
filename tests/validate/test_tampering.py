"""Every check of validate can fail: each test damages a valid data set in one way, and the named check detects it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline import data_digests, run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.contract.record import Record, record_shape
from vitalprep.tfrecord.example import decode_record, encode_record
from vitalprep.tfrecord.framing import framed, records


@dataclass
class DataSet:
    """A data set that a test may damage."""

    output: Path
    dataset_id: str

    @property
    def folder(self) -> Path:
        return self.output / "datasets" / self.dataset_id

    def file(self, split: str) -> Path:
        return next(self.folder.glob(f"vitaldb-{split}.tfrecord-*"))

    def records(self, split: str) -> list[Record]:
        shape = record_shape(load_config())
        return [decode_record(data, shape) for data in records([self.file(split).read_bytes()])]

    def rewrite(self, split: str, changed: list[Record]) -> None:
        """Write other records in valid frames, and update the build summary: only the content is wrong."""
        data = b"".join(framed(encode_record(record)) for record in changed)
        self.file(split).write_bytes(data)
        self.edit(self.folder / f"build-{split}.json", lambda summary: self._recount(summary, data, len(changed)))

    @staticmethod
    def _recount(summary: dict[str, Any], data: bytes, windows: int) -> None:
        digest = hashlib.sha256(data).hexdigest()
        summary["files"][0] |= {"bytes": len(data), "window_bytes": len(data), "windows": windows, "sha256": digest}

    @staticmethod
    def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))

    def describe_anew(self) -> None:
        """Make content id and list of files agree with what lies there."""
        data = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}
        files = sorted([name, digest] for name, digest in digests.items() if ".tfrecord" in name)
        text = json.dumps({"features": digests["features.json"], "files": files}, separators=(",", ":"))
        metadata = self.folder / "preprocessing_metadata.json"
        self.edit(metadata, lambda content: content.update(content_id=hashlib.sha256(text.encode()).hexdigest()))

        def listed(content: dict[str, Any]) -> None:
            for item in content["distribution"]:
                path = self.folder / item["name"]
                if "sha256" in item and path.is_file():
                    item["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
                    item["contentSize"] = f"{path.stat().st_size} B"

        self.edit(self.folder / "croissant.json", listed)

    def table_of(self, record: Record) -> Path:
        return next(self.output.glob(f"harmonized/*/{record.case_id:04d}-*.parquet"))

    def receipt_of(self, record: Record) -> Path:
        return next(self.output.glob(f"harmonized/*/{record.case_id:04d}-*.json"))


@pytest.fixture(scope="module")
def sound(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    output = tmp_path_factory.mktemp("sound")
    answer = run_vitalprep("run", "--input", recordings, "--output", output)
    assert answer.exit_code == 0
    return DataSet(output, answer.result["dataset_id"])


@pytest.fixture
def dataset(sound: DataSet, tmp_path: Path) -> DataSet:
    return DataSet(Path(shutil.copytree(sound.output, tmp_path / "out")), sound.dataset_id)


def _array(values: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = value
    return changed


def flipped_byte(dataset: DataSet) -> None:
    data = bytearray(dataset.file("train").read_bytes())
    data[5000] ^= 1
    dataset.file("train").write_bytes(bytes(data))


def cut_file(dataset: DataSet) -> None:
    data = dataset.file("train").read_bytes()[:-7]
    dataset.file("train").write_bytes(data)
    dataset.edit(
        dataset.folder / "build-train.json",
        lambda summary: summary["files"][0].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )


def missing_file(dataset: DataSet) -> None:
    dataset.file("test").unlink()


def foreign_file(dataset: DataSet) -> None:
    (dataset.folder / "vitaldb-test.tfrecord-00001-of-00002").write_bytes(b"")


def value_out_of_range(dataset: DataSet) -> None:
    first, *others = dataset.records("train")
    dataset.rewrite("train", [replace(first, timeseries=_array(first.timeseries, (3, 0), 1.5)), *others])


def value_not_a_number(dataset: DataSet) -> None:
    first, *others = dataset.records("train")
    dataset.rewrite("train", [replace(first, target=_array(first.target, (0,), np.nan)), *others])


def unknown_origin(dataset: DataSet) -> None:
    first, *others = dataset.records("train")
    dataset.rewrite("train", [replace(first, timeseries_origin=_array(first.timeseries_origin, (3, 0), 3)), *others])


def default_that_is_none(dataset: DataSet) -> None:
    first, *others = dataset.records("train")
    origin = _array(first.timeseries_origin, (3, 0), 2)
    values = _array(first.timeseries, (3, 0), 0.125)
    dataset.rewrite("train", [replace(first, timeseries=values, timeseries_origin=origin), *others])


def dropped_record(dataset: DataSet) -> None:
    dataset.rewrite("train", dataset.records("train")[1:])


def duplicated_record(dataset: DataSet) -> None:
    kept = dataset.records("train")
    dataset.rewrite("train", [*kept, kept[0]])


def window_between_the_steps(dataset: DataSet) -> None:
    first, *others = dataset.records("train")
    dataset.rewrite("train", [replace(first, start_second=first.start_second + 1), *others])


def leaked_record(dataset: DataSet) -> None:
    dataset.rewrite("test", [*dataset.records("test"), dataset.records("train")[0]])


def leaked_subject(dataset: DataSet) -> None:
    """A case of the test split gets a subject of the train split."""
    subject = dataset.records("train")[0].subject_id
    dataset.rewrite("test", [replace(record, subject_id=subject) for record in dataset.records("test")])


def other_etag(dataset: DataSet) -> None:
    receipt = dataset.receipt_of(dataset.records("train")[0])
    dataset.edit(receipt, lambda content: content["input"].update(etag="another"))


def missing_receipt(dataset: DataSet) -> None:
    dataset.receipt_of(dataset.records("train")[0]).unlink()


def missing_table(dataset: DataSet) -> None:
    dataset.table_of(dataset.records("train")[0]).unlink()


def flipped_bit_in_a_table(dataset: DataSet) -> None:
    path = dataset.table_of(dataset.records("train")[0])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def empty_table(dataset: DataSet) -> None:
    dataset.table_of(dataset.records("train")[0]).write_bytes(b"")


def another_table(dataset: DataSet) -> None:
    path = dataset.table_of(dataset.records("train")[0])
    path.write_bytes(dataset.table_of(dataset.records("test")[0]).read_bytes())


def another_receipt(dataset: DataSet) -> None:
    path = dataset.receipt_of(dataset.records("train")[0])
    path.write_bytes(dataset.receipt_of(dataset.records("test")[0]).read_bytes())


def record_and_everything_that_tells_of_it(dataset: DataSet) -> None:
    """One value is another plausible one; summary, content id, list of files and verdict are computed for it anew."""
    first, *others = dataset.records("train")
    row, column = np.argwhere(first.timeseries_origin == 0)[0]
    value = 0.25 if first.timeseries[row, column] != 0.25 else 0.5
    dataset.rewrite("train", [replace(first, timeseries=_array(first.timeseries, (row, column), value)), *others])
    dataset.describe_anew()


def statistics_and_everything_that_tells_of_them(dataset: DataSet) -> None:
    def other(summary: dict[str, Any]) -> None:
        summary["statistics"]["HR"]["observed"] += 1

    dataset.edit(dataset.folder / "build-train.json", other)
    dataset.describe_anew()


def other_account(dataset: DataSet) -> None:
    dataset.edit(
        next(dataset.output.glob("runs/*/accounting.json")),
        lambda accounting: accounting.update(windows_unobserved={"train": 5, "validation": 0, "test": 0}),
    )


def plan_of_another_height(dataset: DataSet) -> None:
    """The plan's name and the accounting that names it are those of the changed plan."""
    path = next(dataset.output.glob("runs/*/plan-*.json"))
    content = json.loads(path.read_bytes())
    content["cases"][0]["static"][2] += 1
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    name = f"plan-{hashlib.sha256(data).hexdigest()[:12]}.json"
    path.unlink()
    path.with_name(name).write_bytes(data + b"\n")
    accounting = next(dataset.output.glob("runs/*/accounting.json"))
    dataset.edit(accounting, lambda content: content.update(plan=f"runs/{dataset.dataset_id}/{name}"))


def forgotten_case(dataset: DataSet) -> None:
    """A planned case is missing from all build summaries, and its records are gone."""
    gone = dataset.records("train")[0].case_id
    dataset.rewrite("train", [record for record in dataset.records("train") if record.case_id != gone])

    def forget(summary: dict[str, Any]) -> None:
        summary["cases"] = [case for case in summary["cases"] if case["case_id"] != gone]

    dataset.edit(dataset.folder / "build-train.json", forget)


def edited_plan(dataset: DataSet) -> None:
    plan = next(dataset.output.glob("runs/*/plan-*.json"))
    dataset.edit(plan, lambda content: content["config"]["windowing"].update(step=10))


def edited_card(dataset: DataSet) -> None:
    card = dataset.folder / "README.md"
    card.write_text(card.read_text().replace("simulated", "real"))


def missing_list_of_files(dataset: DataSet) -> None:
    (dataset.folder / "croissant.json").unlink()


def missing_description(dataset: DataSet) -> None:
    (dataset.folder / "cases.csv").unlink()


def list_of_other_records(dataset: DataSet) -> None:
    def change(content: dict[str, Any]) -> None:
        train = next(item for item in content["distribution"] if item["name"] == dataset.file("train").name)
        train["sha256"] = "0" * 64

    dataset.edit(dataset.folder / "croissant.json", change)


def another_content_id(dataset: DataSet) -> None:
    """Only the content id is wrong: ``croissant.json`` lists the metadata that state it."""
    path = dataset.folder / "preprocessing_metadata.json"
    dataset.edit(path, lambda content: content.update(content_id="0" * 64))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def relisted(content: dict[str, Any]) -> None:
        listed = next(item for item in content["distribution"] if item["name"] == path.name)
        listed |= {"sha256": digest, "contentSize": f"{path.stat().st_size} B"}

    dataset.edit(dataset.folder / "croissant.json", relisted)


SPOILT = [
    (flipped_byte, "files"),
    (cut_file, "records"),
    (missing_file, "files"),
    (foreign_file, "files"),
    (value_out_of_range, "values"),
    (value_not_a_number, "values"),
    (unknown_origin, "values"),
    (default_that_is_none, "values"),
    (dropped_record, "counts"),
    (duplicated_record, "windows"),
    (window_between_the_steps, "counts"),
    (leaked_record, "subjects"),
    (leaked_record, "cases"),
    (leaked_record, "windows"),
    (leaked_subject, "subjects"),
    (leaked_subject, "cases"),
    (other_etag, "documents"),
    (another_receipt, "documents"),
    (missing_receipt, "lineage"),
    (missing_table, "tables"),
    (flipped_bit_in_a_table, "tables"),
    (empty_table, "tables"),
    (another_table, "tables"),
    (record_and_everything_that_tells_of_it, "recomputed"),
    (statistics_and_everything_that_tells_of_them, "summaries"),
    (forgotten_case, "accounting"),
    (other_account, "accounting"),
    (edited_plan, "documents"),
    (plan_of_another_height, "identity"),
    (edited_card, "descriptions"),
    (missing_list_of_files, "descriptions"),
    (missing_description, "descriptions"),
    (list_of_other_records, "descriptions"),
    (another_content_id, "descriptions"),
]


@pytest.mark.parametrize(("spoil", "check"), SPOILT, ids=[f"{spoil.__name__}-{check}" for spoil, check in SPOILT])
def test_validate_detects(dataset: DataSet, spoil: Callable[[DataSet], None], check: str) -> None:
    (dataset.output / "datasets" / "latest.json").unlink()
    spoil(dataset)
    answer = run_vitalprep("validate", dataset.folder)
    assert answer.exit_code == 65
    verdict = json.loads((dataset.folder / "validation.json").read_bytes())
    assert verdict["passed"] is False
    assert check in {item["name"] for item in verdict["checks"] if not item["passed"]}
    assert not (dataset.output / "datasets" / "latest.json").exists()


@pytest.mark.parametrize("spoil", [flipped_byte, leaked_record])
def test_the_next_run_rebuilds_a_refused_data_set(
    dataset: DataSet, sound: DataSet, recordings: Path, spoil: Callable[[DataSet], None]
) -> None:
    spoil(dataset)
    assert run_vitalprep("validate", dataset.folder).exit_code == 65
    answer = run_vitalprep("run", "--input", recordings, "--output", dataset.output)
    assert answer.exit_code == 0
    assert data_digests(dataset.folder) == data_digests(sound.folder)


def test_a_data_set_from_a_version_without_cards_and_content_ids_passes(dataset: DataSet) -> None:
    for name in ("README.md", "croissant.json", "config.yaml"):
        (dataset.folder / name).unlink()
    dataset.edit(dataset.folder / "preprocessing_metadata.json", lambda content: content.pop("content_id"))
    assert run_vitalprep("validate", dataset.folder).exit_code == 0
    latest = json.loads((dataset.output / "datasets" / "latest.json").read_bytes())
    assert sorted(latest) == ["dataset_id", "path", "schema_version"], "as vitalprep 0.1.0 writes and reads it"
    assert latest["schema_version"] == 1


def test_the_content_id_is_that_of_the_files(dataset: DataSet) -> None:
    digests = data_digests(dataset.folder)
    features = digests.pop("features.json")
    text = json.dumps({"features": features, "files": sorted(map(list, digests.items()))}, separators=(",", ":"))
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert json.loads((dataset.folder / "preprocessing_metadata.json").read_bytes())["content_id"] == expected
    assert json.loads((dataset.output / "datasets" / "latest.json").read_bytes())["content_id"] == expected
    for name in ("README.md", "report.html"):
        assert expected in (dataset.folder / name).read_text()
    listed = run_vitalprep("status", dataset.output).result["datasets"]
    assert [one["content_id"] for one in listed] == [expected]


def test_a_valid_data_set_passes_again(dataset: DataSet) -> None:
    answer = run_vitalprep("validate", dataset.folder)
    assert answer.exit_code == 0
    assert answer.result["verdict"] == "passed"


@pytest.mark.parametrize("spoil", [missing_file, foreign_file, cut_file])
def test_the_quick_check_detects_changed_files(dataset: DataSet, spoil: Callable[[DataSet], None]) -> None:
    assert run_vitalprep("validate", dataset.folder, "--quick").exit_code == 0
    spoil(dataset)
    if spoil is cut_file:  # its size agrees with the summary again; only the whole form can notice
        assert run_vitalprep("validate", dataset.folder).exit_code == 65
    assert run_vitalprep("validate", dataset.folder, "--quick").exit_code == 65


def test_a_location_that_is_not_a_data_set_is_refused(tmp_path: Path) -> None:
    answer = run_vitalprep("validate", tmp_path)
    assert answer.exit_code == 65
    assert "is neither a data set nor an output with one" in answer.result["message"]


def test_without_writing_it_proves_and_leaves_everything_as_it_is(dataset: DataSet) -> None:
    def everything() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in dataset.output.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    (dataset.output / "datasets" / "latest.json").unlink()
    before = everything()
    answer = run_vitalprep("validate", dataset.folder, "--no-write")
    assert (answer.exit_code, answer.result["verdict"]) == (0, "passed")
    assert everything() == before
    flipped_byte(dataset)
    before = everything()
    refused = run_vitalprep("validate", dataset.folder, "--no-write")
    assert refused.exit_code == 65
    assert "without --no-write" in refused.result["fix"]
    assert everything() == before
