"""``vitalprep diff``: what differs is named with both values, what does not is not."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import vitalprep
from tests.pipeline import COMMAND, Answer, run_vitalprep
from tests.reference import second_round
from tests.report.html_page import parsed
from vitalprep.diff.command import text_of
from vitalprep.diff.compare import compare
from vitalprep.diff.described import described
from vitalprep.runtime.errors import RefusedError

REGISTRY = yaml.safe_load((Path(__file__).parents[2] / "preprocessing" / "vitalprep" / "master_poc.yaml").read_text())


@pytest.fixture(scope="module")
def first(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("compared")
    return Path(run_vitalprep("run", "--input", recordings, "--output", output).result["dataset"])


@pytest.fixture(scope="module")
def second(recordings: Path, first: Path) -> Path:
    """Two cases less, one more asked for, windows twice as far apart, another hold."""
    settings = ("--set", "windowing.step=60", "--set", "inputs.ETCO2.hold=20")
    command = ("run", "--input", recordings, "--output", first.parents[1], "--cases", "3-15", *settings)
    return Path(run_vitalprep(*command).result["dataset"])


def _diff(*arguments: str | Path) -> dict[str, Any]:
    answer = run_vitalprep("diff", *arguments)
    assert answer.exit_code == 0, answer.result
    return answer.result


def test_a_data_set_is_the_same_as_itself_wherever_it_lies(first: Path, recordings: Path, tmp_path: Path) -> None:
    again = run_vitalprep("run", "--input", recordings, "--output", tmp_path, "--shards", "3").result["dataset"]
    result = _diff(first, again)
    assert result["same"] is True
    assert result["config"] == result["versions"] == []
    assert [result["cases"][name] for name in ("only_a", "only_b", "split", "outcome", "windows")] == [[]] * 5
    assert all(change["a"] == change["b"] for change in result["counts"])
    assert all(item["same"] and not item["distance"] for item in result["distributions"])
    assert all(item["a"] == item["b"] for item in result["targets"])
    assert result["source"] == result["warnings"]["only_a"] == result["warnings"]["only_b"] == []
    assert result["source_a"] == result["source_b"] == "vitalprep simulate"
    assert sorted(result["bytes"]["same"]) == sorted(path.name for path in first.glob("*.tfrecord*"))


def test_copied_recordings_give_the_same_content_under_another_file_stamp(
    first: Path, recordings: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(recordings, tmp_path / "copied"))
    for path in copy.glob("**/*.vital"):
        path.touch()
    again = run_vitalprep("run", "--input", copy, "--output", tmp_path / "out", "--name", "copied").result
    result = _diff(first, tmp_path / "out")
    assert first.name != again["dataset_id"]
    assert (result["same_content"], result["content_id_a"]) == (True, again["content_id"])
    assert (result["name_a"], result["name_b"]) == (None, "copied")
    assert (result["cases"]["stamp"], result["cases"]["input"]) == (list(range(1, 15)), [])
    text = text_of(compare(described(str(first)), described(str(tmp_path / "out")))).splitlines()
    assert text[0].endswith(f"the same content; another file stamp: {again['content_id']}")
    assert any(line.endswith("another file stamp, same bytes: 1-14") for line in text)
    (copy / "clinical_data.csv").write_text(_heavier((copy / "clinical_data.csv").read_text(encoding="utf-8-sig"), 3))
    run_vitalprep("run", "--input", copy, "--output", tmp_path / "out")
    changed = _diff(first, tmp_path / "out")
    assert changed["same_content"] is False
    assert (changed["cases"]["input"], changed["cases"]["stamp"]) == ([3], [case for case in range(1, 15) if case != 3])


def _heavier(table: str, case: int) -> str:
    rows = list(csv.DictReader(table.splitlines()))
    for row in rows:
        if int(row["caseid"]) == case:
            row["weight"] = str(float(row["weight"]) + 7)
    lines = [",".join(rows[0])] + [",".join(row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def test_every_difference_is_named_with_both_values(first: Path, second: Path) -> None:
    result = _diff(first, second)
    assert result["same"] is False
    changes = {change["key"]: (change["a"], change["b"]) for change in result["config"]}
    assert changes == {"windowing.step": (30, 60), "inputs.ETCO2.hold": (60, 20)}
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


def _split_cases(dataset: Path, split: str) -> list[int]:
    with (dataset / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [int(row["case_id"]) for row in rows if row["split"] == split and row["outcome"] == "written"]


def _table(dataset: Path, case: int, name: str) -> list[float]:
    (path,) = dataset.parents[1].glob(f"harmonized/*/{case:04d}-*.parquet")
    return [float(value) for value in pq.read_table(path, columns=[name]).column(name).to_numpy()]


@pytest.mark.parametrize("name", [item["name"] for item in REGISTRY["inputs"]])
def test_distributions_are_compared_by_what_the_tables_hold(first: Path, second: Path, name: str) -> None:
    """Each number from the tables by literal loops; gaps are filled by the transcription of the specification."""
    item = next(item for item in REGISTRY["inputs"] if item["name"] == name)
    low, high = item["range"]
    found = {(item["item"], item["split"]): item for item in _diff(first, second)["distributions"]}
    for split in ("train", "validation", "test"):
        measured = []
        for side, dataset in zip("ab", (first, second), strict=True):
            hold = 20 if name == "ETCO2" and side == "b" else item["hold"]
            series = [_table(dataset, case, name) for case in _split_cases(dataset, split)]
            filled = [second_round.impute_causal(values, item["default"], hold) for values in series]
            codes = Counter(code for _, origin in filled for code in origin)
            outside = sum(c != 2 and not low <= v <= high for f in filled for v, c in zip(*f, strict=True))
            shown = found[name, split][side]
            shares = [codes[code] / codes.total() for code in (0, 1, 2)]
            assert [shown[key] for key in ("observed", "held", "default")] == pytest.approx(shares)
            known = codes[0] + codes[1]
            assert shown["clipped"] == (pytest.approx(outside / known) if known else None)
            values = np.array([value for own in series for value in own if not math.isnan(value)])
            assert found[name, split][f"mean_{side}"] == (pytest.approx(values.mean()) if len(values) else None)
            assert found[name, split][f"cases_{side}"] == sum(not all(map(math.isnan, own)) for own in series)
            measured.append(values)
        _check_distance(found[name, split], *measured, edges=_edges(low, high))


def _edges(low: float, high: float) -> np.ndarray:
    """A part is a whole number wide where that gives 24 to 50 of them, else a twentieth of the range."""
    whole = [bins for bins in range(50, 23, -1) if high - low == int(high - low) and (high - low) % bins == 0]
    bins = whole[0] if whole else 20
    return low + (high - low) * np.arange(bins + 1) / bins


def _check_distance(shown: dict[str, Any], a: np.ndarray, b: np.ndarray, *, edges: np.ndarray) -> None:
    if not len(a) or not len(b):
        assert shown["distance"] is None
        assert shown["no_distance"].startswith("not measured in ")
        return
    assert shown["no_distance"] is None
    gaps = [abs((a < edge).mean() - (b < edge).mean()) for edge in edges[:-1]]  # the last part is closed
    gaps.append(abs((a > edges[-1]).mean() - (b > edges[-1]).mean()))
    # Values are float32: one on an edge that is no whole number may be counted on either side of it.
    near = max(np.isclose(side[:, None], edges, rtol=1e-6).mean(axis=0).max() for side in (a, b))
    exact = not near or bool(np.all(edges == np.round(edges)))
    assert shown["distance"] == pytest.approx(max(gaps), abs=1e-12 if exact else near)


def test_targets_are_compared_by_what_the_records_hold(first: Path, second: Path) -> None:
    found = {(item["item"], item["split"]): item for item in _diff(first, second)["targets"]}
    assert len(found) == 3 * len(REGISTRY["targets"])
    for side, dataset in zip("ab", (first, second), strict=True):
        for split in ("train", "validation", "test"):
            windows = vitalprep.read(str(dataset), split, origin=True)
            origins = np.stack([window.origins.target for window in windows])
            for column, target in enumerate(REGISTRY["targets"]):
                shares = [float((origins[:, column] == code).mean()) for code in (0, 1, 2)]
                shown = found[target["name"], split][side]
                assert [shown[key] for key in ("observed", "held", "default")] == pytest.approx(shares)


def test_counts_are_those_of_the_table_of_cases(first: Path, second: Path) -> None:
    counts = {change["key"]: (change["a"], change["b"]) for change in _diff(first, second)["counts"]}
    tables = []
    for dataset in (first, second):
        with (dataset / "cases.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for split in ("train", "validation", "test"):
        own = [[row for row in rows if row["split"] == split and row["outcome"] == "written"] for rows in tables]
        assert counts[f"{split} cases"] == tuple(map(len, own))
        assert counts[f"{split} subjects"] == tuple(len({row["subject_id"] for row in rows}) for rows in own)
        for key, column in (("windows", "windows"), ("windows dropped", "windows_dropped")):
            sums = [sum(int(row[column]) for row in rows if row["split"] == split) for rows in tables]
            assert counts[f"{split} {key}"] == tuple(sums)
    reasons = [Counter(row["reason"] for row in rows if row["reason"]) for rows in tables]
    assert counts["cases requested"] == tuple(map(len, tables))
    for reason in reasons[0] | reasons[1]:
        assert counts[f"excluded, {reason}"] == (reasons[0][reason], reasons[1][reason])
    assert reasons[1]
    assert sum("excluded, " in key for key in counts) == len(reasons[0] | reasons[1])


def test_warnings_that_came_or_went_are_named(first: Path, second: Path) -> None:
    found = _diff(first, second)["warnings"]
    sides = [json.loads((path / "preprocessing_metadata.json").read_bytes())["warnings"] for path in (first, second)]
    kinds = [[[w[k] for k in ("code", "level", "item", "cases")] + [sorted(w["values"])] for w in ws] for ws in sides]
    for key, own, other in (("only_a", 0, 1), ("only_b", 1, 0)):
        gone = [w for w, kind in zip(sides[own], kinds[own], strict=True) if kind not in kinds[other]]
        assert found[key] == [[warning["level"], warning["message"]] for warning in gone]
    assert found["both"] == sum(kind in kinds[1] for kind in kinds[0])
    assert found["only_a"] + found["only_b"]


def test_what_cannot_be_compared_is_said(recordings: Path, first: Path, tmp_path: Path) -> None:
    """Another source under the same configuration, another range, and a data set that lists no warnings."""
    copy = tmp_path / "datasets" / first.name
    shutil.copytree(first, copy)
    metadata = json.loads((copy / "preprocessing_metadata.json").read_bytes())
    metadata["source"]["source"]["name"] = "Elsewhere"
    metadata["config"]["inputs"][0]["range"] = [30, 180]
    del metadata["warnings"]
    (copy / "preprocessing_metadata.json").write_text(json.dumps(metadata))
    file = tmp_path / "diff.html"
    result = _diff(first, copy, "--html", file)
    assert [(c["key"], c["b"]) for c in result["source"]] == [("source.name", "Elsewhere")]
    assert result["warnings"] is None
    beginning = [(item["item"], item["distance"], item["no_distance"]) for item in result["distributions"][:3]]
    assert beginning == [("HR", None, "ranges differ")] * 3
    distances = [item["distance"] for item in result["distributions"] if item["distance"] is not None]
    assert distances == sorted(distances, reverse=True)
    page = parsed(file)
    assert "The recordings come from different sources." in page.text
    row = next(page.one("table", id="distribution-table").one("tbody").all("tr"))
    assert "ranges differ" in row.text
    assert not list(row.all("svg")), "no bar of a distance that there is not"


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
    assert shown == [
        [item["distance"]]
        + [item[side][name] for name in ("observed", "held", "default", "clipped") for side in "ab"]
        + [item[name] for name in ("mean_a", "mean_b", "cases_a", "cases_b")]
        for item in result["distributions"]
    ]
    said = {item["no_distance"] for item in result["distributions"]} - {None}
    assert all(reason in page.one("table", id="distribution-table").text for reason in said)
    shown = [row.values() for row in page.one("table", id="target-table").one("tbody").all("tr")]
    assert shown == [
        [item[side][name] for name in ("observed", "held", "default") for side in "ab"] for item in result["targets"]
    ]
    for side in "AB":
        lists = list(page.all("ul", data_only=side))
        messages = [line.text for found in lists for line in found.all("li")]
        expected = result["warnings"][f"only_{side.lower()}"]
        assert [text.split(maxsplit=1) for text in messages] == [[level, message] for level, message in expected]


def test_a_changed_recording_is_found(recordings: Path, first: Path, tmp_path: Path) -> None:
    changed = tmp_path / "input"
    shutil.copytree(recordings, changed)
    (changed / "raw-data" / "0003.vital").write_bytes((changed / "raw-data" / "0004.vital").read_bytes())
    other = run_vitalprep("run", "--input", changed, "--output", tmp_path / "out").result["dataset"]
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
        "content", "A", "B", "versions", "source", "configuration", "cases", "counts", "warnings", "targets",
        "distributions", "bytes",
    ]  # fmt: skip
    assert all("the same" in line for line in [same[0], *same[3:]])
    assert "file stamp" not in same[0]
    other = text(first, second)
    assert any("windowing.step: 30 -> 60" in line for line in other)
    assert any("only in B: 15" in line for line in other)
    assert len(other) < 80


def test_what_is_no_data_set_is_refused(first: Path, tmp_path: Path) -> None:
    def refused(path: Path) -> Answer:
        return run_vitalprep("diff", first, path)

    assert refused(tmp_path).exit_code == 65
    empty = tmp_path / "datasets" / "0123456789ab"
    empty.mkdir(parents=True)
    answer = refused(empty)
    assert (answer.exit_code, "preprocessing_metadata.json is missing" in answer.result["message"]) == (65, True)
    shutil.copytree(first, empty, dirs_exist_ok=True)
    (empty / "preprocessing_metadata.json").write_text("{")
    assert refused(empty).exit_code == 65


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, []),
        ("config", None),
        ("config", {}),
        ("config", {"inputs": [{"name": "HR"}]}),
        ("config", {"inputs": [], "statics": [{}, 1]}),
        ("versions", [1]),
        ("parents", ["../x"]),
    ],
)
def test_a_broken_description_is_refused_by_its_name(first: Path, tmp_path: Path, key: str | None, value: Any) -> None:
    copy = Path(shutil.copytree(first.parent.parent, tmp_path / "out"), "datasets", first.name)
    metadata = json.loads((copy / "preprocessing_metadata.json").read_bytes())
    (copy / "preprocessing_metadata.json").write_text(json.dumps(metadata | {key: value} if key else value))
    with pytest.raises(RefusedError, match=r"preprocessing_metadata\.json is not a valid Metadata") as caught:
        described(str(copy))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("preprocessing_metadata.json", "\x00"),
        ("preprocessing_metadata.json", "[" * 100_000),
        ("cases.csv", '"' + "x" * 200_000),
        ("cases.csv", "case_id,split\n1,train\n"),
    ],
)
def test_a_file_that_nobody_can_read_is_refused(first: Path, tmp_path: Path, name: str, text: str) -> None:
    copy = Path(shutil.copytree(first.parent.parent, tmp_path / "out"), "datasets", first.name)
    (copy / name).write_text(text)
    with pytest.raises(RefusedError, match=f"{name} is not"):
        described(str(copy))


def test_each_line_of_the_text_is_printable(first: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(first.parent.parent, tmp_path / "out"), "datasets", first.name)
    metadata = json.loads((copy / "preprocessing_metadata.json").read_bytes())
    metadata["versions"]["\x1b[2J\u202e\n"] = "\x1b[2J"
    (copy / "preprocessing_metadata.json").write_text(json.dumps(metadata))
    text = text_of(compare(described(str(first)), described(str(copy))))
    assert r"\x1b[2J\u202e\n: none -> \x1b[2J" in text
    assert text.replace("\n", "").isprintable()
