"""``vitalprep diff``: what differs is named with both values, what does not is not."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipeline import COMMAND, Answer, vitalprep
from tests.report.html_page import parsed


@pytest.fixture(scope="module")
def first(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("compared")
    return Path(vitalprep("run", "--input", recordings, "--output", output).result["dataset"])


@pytest.fixture(scope="module")
def second(recordings: Path, first: Path) -> Path:
    """Two cases less, one more asked for, windows twice as far apart, another hold."""
    settings = ("--set", "windowing.step=60", "--set", "inputs.ETCO2.hold=60")
    command = ("run", "--input", recordings, "--output", first.parents[1], "--cases", "3-15", *settings)
    return Path(vitalprep(*command).result["dataset"])


def _diff(*arguments: str | Path) -> dict[str, Any]:
    answer = vitalprep("diff", *arguments)
    assert answer.exit_code == 0, answer.result
    return answer.result


def test_a_data_set_is_the_same_as_itself_wherever_it_lies(first: Path, recordings: Path, tmp_path: Path) -> None:
    again = vitalprep("run", "--input", recordings, "--output", tmp_path, "--shards", "3").result["dataset"]
    result = _diff(first, again)
    assert result["same"] is True
    assert result["config"] == result["versions"] == []
    assert [result["cases"][name] for name in ("only_a", "only_b", "split", "outcome", "windows")] == [[]] * 5
    assert all(change["a"] == change["b"] for change in result["counts"])
    assert all(item["same"] and not item["distance"] for item in result["distributions"])
    assert sorted(result["bytes"]["same"]) == sorted(path.name for path in first.glob("*.tfrecord*"))


def test_every_difference_is_named_with_both_values(first: Path, second: Path) -> None:
    result = _diff(first, second)
    assert result["same"] is False
    changes = {change["key"]: (change["a"], change["b"]) for change in result["config"]}
    assert changes == {"windowing.step": (30, 60), "inputs.ETCO2.hold": (0, 60)}
    assert (result["cases"]["both"], result["cases"]["only_a"], result["cases"]["only_b"]) == (12, [1, 2], [15])
    assert result["cases"]["input"] == []
    before, after = (
        json.loads((path / "preprocessing_metadata.json").read_bytes())["splits"] for path in (first, second)
    )
    counts = {change["key"]: (change["a"], change["b"]) for change in result["counts"]}
    for split in ("train", "validation", "test"):
        assert counts[f"{split} windows"] == (before[split]["windows"], after[split]["windows"])
        sizes = [sum(p.stat().st_size for p in path.glob(f"vitaldb-{split}.tfrecord-*")) for path in (first, second)]
        assert counts[f"{split} bytes"] == tuple(sizes)
    digests = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.glob("*.tfrecord*")}
        for path in (first, second)
    ]
    both = digests[0].keys() & digests[1].keys()
    assert result["bytes"]["different"] == sorted(name for name in both if digests[0][name] != digests[1][name])


def test_distributions_are_compared_by_what_the_tables_hold(first: Path, second: Path) -> None:
    result = _diff(first, second)
    found = {(item["item"], item["split"]): item for item in result["distributions"]}

    def measured(dataset: Path, split: str) -> np.ndarray:
        summary = json.loads((dataset / f"build-{split}.json").read_bytes())
        cases = [case["case_id"] for case in summary["cases"] if case["windows"]]
        tables = [next(dataset.parents[1].glob(f"harmonized/*/{case:04d}-*.parquet")) for case in cases]
        values = np.concatenate([pq.read_table(path, columns=["HR"]).column("HR").to_numpy() for path in tables])
        return np.asarray(values[~np.isnan(values)], dtype=np.float64)

    for split in ("train", "validation", "test"):
        a, b = measured(first, split), measured(second, split)
        item = found["HR", split]
        assert [item["mean_a"], item["mean_b"]] == pytest.approx([a.mean(), b.mean()])
        edges = np.arange(24, 200, 4)  # below each edge of the bins of four beats
        gaps = [abs((a < edge).mean() - (b < edge).mean()) for edge in edges]
        assert item["distance"] == pytest.approx(max(gaps))


def test_the_page_says_the_same_and_escapes(first: Path, second: Path, tmp_path: Path) -> None:
    copy = tmp_path / "datasets" / second.name
    shutil.copytree(second, copy)
    metadata = json.loads((copy / "preprocessing_metadata.json").read_bytes())
    metadata["config"]["inputs"][0]["description"] = "<script>alert(1)</script>"
    (copy / "preprocessing_metadata.json").write_text(json.dumps(metadata))
    file = tmp_path / "diff.html"
    result = _diff(first, copy, "--html", file)
    assert result["html"] == str(file)
    assert result["cases"]["input"] is None, "there is no plan beside the copy"
    page = parsed(file)
    assert len(list(page.all("script"))) == 1
    rows = page.one("table", id="config-table").rows()
    assert rows["inputs.HR.description"][1].text == "<script>alert(1)</script>"
    assert [cell.values()[0] for cell in rows["windowing.step"]] == [30, 60]
    counts = {change["key"]: [change["a"], change["b"]] for change in result["counts"]}
    assert {
        key: [c.values()[0] for c in cells] for key, cells in page.one("table", id="count-table").rows().items()
    } == counts
    shown = [row.values() for row in page.one("table", id="distribution-table").one("tbody").all("tr")]
    names = ("observed_a", "observed_b", "mean_a", "mean_b", "distance")
    assert shown == [[item[name] for name in names] for item in result["distributions"]]


def test_a_changed_recording_is_found(recordings: Path, first: Path, tmp_path: Path) -> None:
    changed = tmp_path / "input"
    shutil.copytree(recordings, changed)
    (changed / "raw-data" / "0003.vital").write_bytes((changed / "raw-data" / "0004.vital").read_bytes())
    other = vitalprep("run", "--input", changed, "--output", tmp_path / "out").result["dataset"]
    result = _diff(first, other)
    assert 3 in result["cases"]["input"]
    warnings = json.loads((Path(other) / "preprocessing_metadata.json").read_bytes())["warnings"]
    assert [3, 4] in [warning["cases"] for warning in warnings if warning["code"] == "near_duplicate"]


def test_the_text_is_short_and_says_what_is_the_same(first: Path, second: Path) -> None:
    def text(*arguments: Path) -> list[str]:
        process = subprocess.run(
            [*COMMAND, "diff", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60
        )
        return process.stdout.splitlines()

    same = text(first, first)
    assert [line.split()[0] for line in same] == [
        "A", "B", "versions", "configuration", "cases", "counts", "distributions", "bytes",
    ]  # fmt: skip
    assert all("the same" in line for line in same[2:])
    other = text(first, second)
    assert any("windowing.step: 30 -> 60" in line for line in other)
    assert any("only in B: 15" in line for line in other)
    assert len(other) < 80


def test_what_is_no_data_set_is_refused(first: Path, tmp_path: Path) -> None:
    def refused(path: Path) -> Answer:
        return vitalprep("diff", first, path)

    assert refused(tmp_path).exit_code == 2
    empty = tmp_path / "datasets" / "0123456789ab"
    empty.mkdir(parents=True)
    answer = refused(empty)
    assert (answer.exit_code, "preprocessing_metadata.json is not there" in answer.result["message"]) == (65, True)
    shutil.copytree(first, empty, dirs_exist_ok=True)
    (empty / "preprocessing_metadata.json").write_text("{")
    assert refused(empty).exit_code == 65
