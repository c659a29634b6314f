"""Every number of the report against a computation from the records, tables, receipts and the clinical table.

Nothing of the report's own code is used: records are read by TensorFlow, gaps are filled by `tests.reference.design4`,
and means, quartiles and distances are those of the standard library, NumPy and literal loops.
"""

from __future__ import annotations

import csv
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.pipeline import receipts
from tests.reference import design4
from tests.report.conftest import Reported
from tests.report.html_page import Element

tf = pytest.importorskip("tensorflow", reason="TensorFlow is an extra of the worker")

ROOT = Path(__file__).parents[2]
REGISTRY = yaml.safe_load((ROOT / "preprocessing" / "master_poc.yaml").read_text())
SPLITS = ("train", "validation", "test")
STATICS = ("age", "sex", "height", "weight", "bmi", "asa")


@cache
def _records(dataset: Path, split: str) -> list[dict[str, Any]]:
    features = {
        "case_id": tf.io.FixedLenFeature([], tf.int64),
        "subject_id": tf.io.FixedLenFeature([], tf.int64),
        "target_origin": tf.io.FixedLenFeature([], tf.string),
    }
    files = [str(path) for path in sorted(dataset.glob(f"vitaldb-{split}.tfrecord-*"))]
    read = tf.data.TFRecordDataset(files).map(lambda record: tf.io.parse_single_example(record, features))
    return [{name: value.numpy() for name, value in example.items()} for example in read]


def _cases(dataset: Path, split: str) -> list[int]:
    return sorted({int(record["case_id"]) for record in _records(dataset, split)})


@cache
def _series(output: Path, case_id: int, name: str) -> list[float]:
    (path,) = output.glob(f"harmonized/*/{case_id:04d}-*.parquet")
    return [float(value) for value in pq.read_table(path, columns=[name]).column(name).to_numpy()]


def _item(name: str) -> dict[str, Any]:
    return next(item for item in REGISTRY["inputs"] if item["name"] == name)


@cache
def _filled(output: Path, case_id: int, name: str) -> tuple[list[float], list[int]]:
    item = _item(name)
    return design4.impute(_series(output, case_id, name), item["default"], item["hold"])


def _observed(reported: Reported, split: str, name: str) -> list[float]:
    cases = _cases(reported.dataset, split)
    return [value for case in cases for value in _series(reported.output, case, name) if not math.isnan(value)]


def _table(reported: Reported, **where: str) -> dict[str, list[Element]]:
    ((tag, value),) = where.items()
    holder = reported.page.one("table", id=value) if tag == "id" else reported.page.one("article", **where).one("table")
    return holder.rows()


def _across(cells: list[Element]) -> list[float | None]:
    return [cell.values()[0] for cell in cells]


def test_overview_and_split_sizes_are_those_of_the_records(reported: Reported) -> None:
    sizes = _table(reported, id="split-sizes")
    by_split = [_records(reported.dataset, split) for split in SPLITS]
    assert _across(sizes["windows"]) == [len(records) for records in by_split]
    assert _across(sizes["cases"]) == [len({int(r["case_id"]) for r in records}) for records in by_split]
    assert _across(sizes["subjects"]) == [len({int(r["subject_id"]) for r in records}) for records in by_split]
    seconds = [sum(len(_series(reported.output, c, "HR")) for c in _cases(reported.dataset, s)) for s in SPLITS]
    assert _across(sizes["recording"]) == seconds
    assert _across(sizes["files"]) == [len(list(reported.dataset.glob(f"vitaldb-{s}.tfrecord-*"))) for s in SPLITS]
    tiles = {tile.one("dt").text: tile.values()[0] for tile in reported.page.one("dl", class_="tiles").all("div")}
    every = [record for records in by_split for record in records]
    assert tiles["windows"] == len(every)
    assert tiles["cases written"] == len({int(record["case_id"]) for record in every})
    assert tiles["subjects"] == len({int(record["subject_id"]) for record in every})
    assert tiles["of recording"] == sum(seconds)


def test_the_funnel_adds_up_to_the_cases_of_the_records(reported: Reported) -> None:
    with (reported.dataset / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [step for step in reported.page.one("ol", class_="funnel").children if isinstance(step, Element)]
    left = [step.one("strong").values()[0] for step in steps]
    assert left[0] == len(rows) == 26
    assert left[-1] == sum(len(_cases(reported.dataset, split)) for split in SPLITS)
    lost: Counter[str] = Counter()
    for before, step in zip(left, steps[1:], strict=False):
        reasons = {item.one("code").text: int(item.values()[0] or 0) for item in step.all("li")}
        assert step.one("strong").values()[0] == (before or 0) - sum(reasons.values())
        lost.update(reasons)
    assert lost == Counter(row["reason"] for row in rows if row["reason"])
    assert {"raw_object_missing", "no_clinical_row", "truncated", "too_short", "unit_mismatch"} <= set(lost)


def _clinical(reported: Reported) -> dict[int, dict[str, float | None]]:
    found: dict[int, dict[str, float | None]] = {}
    with (reported.recordings / "clinical_data.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            values: dict[str, float | None] = {
                name: float(row[name].lstrip(">")) if row[name] else None for name in STATICS if name != "sex"
            }
            values["sex"] = {"M": 1.0, "F": -1.0}.get(row["sex"])
            height, weight = values["height"], values["weight"]
            if values["bmi"] is None and height and weight:
                values["bmi"] = weight / (height / 100) ** 2
            found[int(row["caseid"])] = values
    return found


@pytest.mark.parametrize("name", STATICS)
def test_demographics_are_those_of_the_clinical_table(reported: Reported, name: str) -> None:
    clinical = _clinical(reported)
    table = _table(reported, data_static=name)
    known = {
        split: [v for case in _cases(reported.dataset, split) if (v := clinical[case][name]) is not None]
        for split in SPLITS
    }
    for place, split in enumerate(SPLITS):
        values = known[split]
        assert table["missing"][place].values()[0] == len(_cases(reported.dataset, split)) - len(values)
        if name == "sex":
            assert table["female"][place].values()[0] == values.count(-1.0)
            assert table["male"][place].values()[0] == values.count(1.0)
            continue
        assert table["mean"][place].values()[0] == pytest.approx(statistics.mean(values))
        assert table["SD"][place].values()[0] == pytest.approx(statistics.stdev(values))
        assert table["median"][place].values()[0] == pytest.approx(statistics.median(values))
        quartiles = statistics.quantiles(values, n=4, method="inclusive")
        assert table["quartiles"][place].values() == pytest.approx([quartiles[0], quartiles[2]])
    for place, split in ((1, "validation"), (2, "test")):
        a, b = known["train"], known[split]
        spread = math.sqrt((statistics.variance(a) + statistics.variance(b)) / 2)
        expected = (statistics.mean(b) - statistics.mean(a)) / spread
        assert table["difference"][place].values()[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", [item["name"] for item in REGISTRY["inputs"]])
def test_coverage_and_distributions_are_those_of_the_tables(reported: Reported, name: str) -> None:
    low, high = _item(name)["range"]
    table = _table(reported, data_input=name)
    coverage = _table(reported, id="input-coverage")[name]
    for place, split in enumerate(SPLITS):
        origins: Counter[int] = Counter()
        clipped = 0
        for case in _cases(reported.dataset, split):
            values, codes = _filled(reported.output, case, name)
            origins.update(codes)
            clipped += sum(code != 2 and not low <= value <= high for value, code in zip(values, codes, strict=True))
        counts = [table[row][place].values()[0] for row in ("observed", "held", "default")]
        assert counts == [origins[0], origins[1], origins[2]]
        assert coverage[place].values() == pytest.approx([origins[code] / origins.total() for code in (0, 1, 2)])
        assert table["clipped"][place].values()[0] == clipped
        measured = _observed(reported, split, name)
        if "below range" in table:
            assert table["below range"][place].values()[0] == sum(value < low for value in measured)
            assert table["above range"][place].values()[0] == sum(value > high for value in measured)
        shown = [table[row][place].values()[0] for row in ("mean", "SD", "least", "greatest")]
        if measured:
            expected = [statistics.fmean(measured), statistics.pstdev(measured), min(measured), max(measured)]
            assert shown == pytest.approx(expected, abs=1e-6)
        else:
            assert shown == [None] * 4


@pytest.mark.parametrize(("name", "width"), [("HR", 4), ("BIS", 2), ("SPO2", 1), ("RR", 1)])
def test_the_charts_have_the_shape_of_the_measured_seconds(reported: Reported, name: str, width: int) -> None:
    low, high = _item(name)["range"]
    card = reported.page.one("article", data_input=name)
    bars = {}
    for split in SPLITS:
        measured = _observed(reported, split, name)
        counts = Counter(
            min(int((v - low) // width), int((high - low) / width) - 1) for v in measured if low <= v <= high
        )
        bars[split] = [counts[place] / len(measured) for place in range(int((high - low) / width))]
    top = max(map(max, bars.values()))
    for split in SPLITS:
        drawn, y = [], 104.0
        for kind, number in re.findall(
            r"([VH])([\d.]+)", card.one("path", class_=f"curve {split}").attributes["d"] or ""
        ):
            if kind == "V":
                y = float(number)
            else:
                drawn.append((104 - y) / 96 * top)
        assert drawn == pytest.approx(bars[split], abs=0.0006 * top + 1e-9)


@pytest.mark.parametrize("name", ["HR", "BIS", "FIO2", "SPO2", "Propofol_INF", "etSEV"])
def test_the_distance_is_that_of_the_cumulative_distributions(reported: Reported, name: str) -> None:
    """At the edges of the histogram the cumulative shares are exact; between them the distance may be greater."""
    low, high = _item(name)["range"]
    shown = [cell.values()[0] for cell in _table(reported, data_input=name)["distance"][1:]]
    train = np.sort(_observed(reported, "train", name))
    for split, distance in zip(SPLITS[1:], shown, strict=True):
        other = np.sort(_observed(reported, split, name))
        if not len(train) or not len(other):
            assert distance is None
            continue
        every = np.concatenate([train, other])
        gaps = np.abs(
            np.searchsorted(train, every, "right") / len(train) - np.searchsorted(other, every, "right") / len(other)
        )
        assert distance is not None
        assert distance <= gaps.max() + 1e-12
        assert distance >= gaps.max() - _steepest(train, other, (high - low) / 20)


def _steepest(train: np.ndarray, other: np.ndarray, width: float) -> float:
    """The greatest share of either that lies within one bin: so much the histogram can hide."""
    return max(
        float((np.searchsorted(values, values + width, "right") - np.arange(len(values))).max() / len(values))
        for values in (train, other)
    )


def test_target_coverage_is_that_of_the_records(reported: Reported) -> None:
    table = _table(reported, id="target-coverage")
    for column, target in enumerate(REGISTRY["targets"]):
        for place, split in enumerate(SPLITS):
            codes = [record["target_origin"][column] for record in _records(reported.dataset, split)]
            expected = [codes.count(code) / len(codes) for code in (0, 1, 2)]
            assert table[target["name"]][place].values() == pytest.approx(expected)


def _gaps(values: list[float]) -> Iterator[int]:
    run = 0
    for value in [*values, 0.0]:
        if math.isnan(value):
            run += 1
        else:
            yield run
            run = 0


def test_gaps_are_those_of_the_tables(reported: Reported) -> None:
    harmonized = [case for case, receipt in receipts(reported.output).items() if receipt["status"] == "ok"]
    for name, cells in _table(reported, id="gap-table").items():
        series = {case: _series(reported.output, case, name) for case in harmonized}
        longest = {c: max(_gaps(v)) for c, v in series.items() if not all(math.isnan(value) for value in v)}
        assert [cells[0].values()[0], cells[1].values()[0]] == [len(longest), len(harmonized) - len(longest)]
        if longest:
            assert cells[2].values()[0] == pytest.approx(statistics.median(longest.values()))
            assert cells[3].values()[0] == pytest.approx(float(np.percentile(list(longest.values()), 95)))
            assert cells[4].values()[0] == max(longest.values())
            assert longest[int(cells[5].text)] == max(longest.values())
        dropped = sum(r["features"][name]["implausible"] for r in receipts(reported.output).values() if r["features"])
        assert cells[6].values()[0] == dropped


def test_sources_and_timings_are_those_of_the_receipts(reported: Reported) -> None:
    found = receipts(reported.output)
    for row in reported.page.one("table", id="source-table").one("tbody").all("tr"):
        name, (track, *cells) = next(row.all("th")).text.strip(), list(row.all("td"))
        live = [r["features"][name]["live_seconds"] for r in found.values() if r["features"]]
        assert cells[0].values()[0] == sum(seconds.get(track.text, 0) > 0 for seconds in live)
        assert cells[1].values()[0] == sum(seconds.get(track.text, 0) for seconds in live)
        total = sum(sum(seconds.values()) for seconds in live)
        assert cells[3].values()[0] == pytest.approx(sum(s.get(track.text, 0) for s in live) / total if total else 0)
    for step, cells in _table(reported, id="timing-table").items():
        seconds = {case: r["timings"][step] for case, r in found.items() if step in r["timings"]}
        assert cells[0].values()[0] == pytest.approx(sum(seconds.values()))
        assert cells[1].values()[0] == pytest.approx(statistics.median(seconds.values()))
        assert cells[3].values()[0] == max(seconds.values()) == seconds[int(cells[4].text)]


def test_every_case_has_its_line(reported: Reported) -> None:
    lines = _table(reported, id="case-table")
    with (reported.dataset / "cases.csv").open() as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    assert lines.keys() == rows.keys()
    found = receipts(reported.output)
    for case, (split, outcome, _, windows, observed, _, stored, detail) in lines.items():
        row, receipt = rows[case], found.get(int(case))
        assert [split.text, outcome.text, windows.text, stored.text] == [
            row["split"],
            row["reason"] or "written",
            row["windows"],
            row["object"],
        ]
        assert detail.text == ((receipt or {}).get("detail") or "")
        if receipt and receipt["features"]:
            vitals = [item["name"] for item in REGISTRY["inputs"] if item.get("vital")]
            values = [value for name in vitals for value in _series(reported.output, int(case), name)]
            share = sum(not math.isnan(value) for value in values) / len(values)
            assert observed.values()[0] == pytest.approx(share, abs=1e-6)


def test_the_warnings_of_page_and_metadata_are_the_same(reported: Reported) -> None:
    metadata = json.loads((reported.dataset / "preprocessing_metadata.json").read_bytes())
    lines = [item for item in reported.page.one("section", id="warnings").all("li") if "data-code" in item.attributes]
    shown = [
        (line.attributes["data-code"], next((name.text for name in line.all("strong")), None), sorted(line.values()))
        for line in lines
    ]
    expected = [(w["code"], w["item"], sorted(w["values"].values())) for w in metadata["warnings"]]
    assert sorted(shown, key=str) == sorted(expected, key=str)
    assert shown
    defaults = {w["item"]: w["values"] for w in metadata["warnings"] if w["code"] == "mostly_default"}
    for column, target in enumerate(REGISTRY["targets"]):
        for split in SPLITS:
            codes = [record["target_origin"][column] for record in _records(reported.dataset, split)]
            share = codes.count(2) / len(codes)
            assert (split in defaults.get(target["name"], {})) == (share > 0.5)
            if share > 0.5:
                assert defaults[target["name"]][split] == pytest.approx(share)
    assert "Noradrenalin" in defaults, "VitalDB's known one"
