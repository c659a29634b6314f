"""What the report's numbers are checked against: records, tables, recordings and the clinical table.

Nothing of the report's own code is used: records are read by TensorFlow, recordings by
`tests.reference.slow_vital_file`, and gaps are filled by `tests.reference.design4`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.reference import design4
from tests.reference.slow_vital_file import SlowVitalFile, read_vital_slowly
from tests.report.conftest import Reported
from tests.report.html_page import Element

tf = pytest.importorskip("tensorflow", reason="TensorFlow is an extra of the worker")

ROOT = Path(__file__).parents[2]
REGISTRY = yaml.safe_load((ROOT / "preprocessing" / "vitalprep" / "master_poc.yaml").read_text())
INPUTS = [item["name"] for item in REGISTRY["inputs"]]
SPLITS = ("train", "validation", "test")
NOTHING = "\N{EN DASH}"
STATICS = ("age", "sex", "height", "weight", "bmi", "asa")


@cache
def records(dataset: Path, split: str) -> list[dict[str, Any]]:
    features = {
        "case_id": tf.io.FixedLenFeature([], tf.int64),
        "subject_id": tf.io.FixedLenFeature([], tf.int64),
        "start_second": tf.io.FixedLenFeature([], tf.int64),
        "target_origin": tf.io.FixedLenFeature([], tf.string),
    }
    files = [str(path) for path in sorted(dataset.glob(f"vitaldb-{split}.tfrecord-*"))]
    read = tf.data.TFRecordDataset(files).map(lambda record: tf.io.parse_single_example(record, features))
    return [{name: value.numpy() for name, value in example.items()} for example in read]


def cases_of(dataset: Path, split: str) -> list[int]:
    return sorted({int(record["case_id"]) for record in records(dataset, split)})


@cache
def series(output: Path, case_id: int, name: str) -> list[float]:
    (path,) = output.glob(f"harmonized/*/{case_id:04d}-*.parquet")
    return [float(value) for value in pq.read_table(path, columns=[name]).column(name).to_numpy()]


def registry_item(name: str) -> dict[str, Any]:
    return next(item for item in REGISTRY["inputs"] if item["name"] == name)


@cache
def filled(output: Path, case_id: int, name: str) -> tuple[list[float], list[int]]:
    item = registry_item(name)
    causal = REGISTRY["imputation"]["causal"]
    return design4.impute(series(output, case_id, name), item["default"], item["hold"], causal=causal)


def observed(reported: Reported, split: str, name: str) -> list[float]:
    cases = cases_of(reported.dataset, split)
    return [value for case in cases for value in series(reported.output, case, name) if not math.isnan(value)]


def table_of(reported: Reported, **where: str) -> dict[str, list[Element]]:
    ((tag, value),) = where.items()
    holder = reported.page.one("table", id=value) if tag == "id" else reported.page.one("article", **where).one("table")
    return holder.rows()


def across(cells: list[Element]) -> list[float | None]:
    return [cell.values()[0] for cell in cells]


def clinical_table(reported: Reported) -> dict[int, dict[str, float | None]]:
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


def shown_share(part: float, whole: float) -> str:
    """Return how a share is to be printed; what is nearly nothing or nearly all does not read as such."""
    if not whole:
        return NOTHING
    share = part / whole
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def text_of(element: Element) -> str:
    """Return the text of an element with common spaces."""
    return " ".join(element.text.split())


def steps_of(path: str) -> list[float]:
    """Return the height of each step of a histogram's path as a share of the highest possible one."""
    heights, y = [], 104.0
    for kind, number in re.findall(r"([VH])([\d.]+)", path):
        if kind == "V":
            y = float(number)
        else:
            heights.append((104 - y) / 96)
    return heights


@cache
def recording(recordings: Path, case_id: int) -> SlowVitalFile:
    (path,) = recordings.rglob(f"{case_id:04d}.vital")
    return read_vital_slowly(path.read_bytes())


@cache
def used_seconds(recordings: Path, case_id: int, name: str) -> dict[str, int]:
    """Return in how many seconds each of an input's sources gave its value, from the recording itself."""
    item, read = registry_item(name), recording(recordings, case_id)
    start = read.start_time if read.start_time is not None else read.first_time
    assert start is not None
    assert read.last_time is not None
    length = design4.seconds_of_recording(start, read.last_time)
    live = {}
    for source in item["sources"]:
        if source["track"] in read.numerics and not unknown_unit(read, source):
            plain = design4.Source(
                track=source["track"], limits=tuple(source["limits"]), stale_after=source["stale_after"]
            )
            values = design4.values_by_second(plain, records_in(read, source["track"]), start)
            live[source["track"]] = design4.live_series(values, source["stale_after"], length)
    used = dict.fromkeys((source["track"] for source in item["sources"]), 0)
    for second in range(length):
        for track, values in live.items():
            if values[second] is not None:
                used[track] += 1
                if item.get("combine", "first") == "first":
                    break
    return used


@cache
def dropped_values(recordings: Path, case_id: int, name: str) -> int:
    """Return how many values of an input's sources are none that their device can show."""
    read = recording(recordings, case_id)
    start = read.start_time if read.start_time is not None else read.first_time
    assert start is not None
    return sum(
        design4.second_of(time, start) >= 0 and not design4.is_plausible(value, tuple(source["limits"]))
        for source in registry_item(name)["sources"]
        if source["track"] in read.numerics and not unknown_unit(read, source)
        for time, value in records_in(read, source["track"])
    )


def records_in(read: SlowVitalFile, track: str) -> Sequence[tuple[float, float]]:
    numeric = read.numerics[track]
    return list(zip(numeric.times.tolist(), numeric.values.tolist(), strict=True))


def unknown_unit(read: SlowVitalFile, source: dict[str, Any]) -> str | None:
    """Return the unit that a recording gives a source, if the registry does not know it."""
    known = {spelling.strip().casefold() for spelling in REGISTRY["units"][source["unit"]]} | {""}
    units = read.numerics[source["track"]].units if source["track"] in read.numerics else ()
    return next((unit for unit in units if unit.strip().casefold() not in known), None)
