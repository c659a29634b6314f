"""The data set as a user sees it: TensorFlow reads it, and the values are what the specification says they are.

The expected values come from elsewhere: the `vitaldb` package reads the recordings, and `tests.reference.design4`, a
literal transcription of the specification, does the rest. Nothing of the pipeline's own code is used for them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.pipeline import Answer, run_vitalprep
from tests.reference import design4, second_round

tf = pytest.importorskip("tensorflow", reason="TensorFlow is an extra of the worker")
vitaldb = pytest.importorskip("vitaldb")

REGISTRY = yaml.safe_load((Path(__file__).parents[1] / "preprocessing" / "vitalprep" / "master_poc.yaml").read_text())
FEATURES = {
    "case_id": tf.io.FixedLenFeature([], tf.int64),
    "start_second": tf.io.FixedLenFeature([], tf.int64),
    "subject_id": tf.io.FixedLenFeature([], tf.int64),
    "static": tf.io.FixedLenFeature([6], tf.float32),
    "static_origin": tf.io.FixedLenFeature([], tf.string),
    "target": tf.io.FixedLenFeature([8], tf.float32),
    "target_origin": tf.io.FixedLenFeature([], tf.string),
    "timeseries": tf.io.FixedLenFeature([300, 16], tf.float32),
    "timeseries_origin": tf.io.FixedLenFeature([], tf.string),
}


def read_with_tensorflow(files: list[Path], compression: str = "") -> Iterator[dict[str, Any]]:
    dataset = tf.data.TFRecordDataset([str(path) for path in files], compression_type=compression)
    for example in dataset.map(lambda record: tf.io.parse_single_example(record, FEATURES)):
        yield {name: value.numpy() for name, value in example.items()}


@pytest.fixture(scope="module")
def answer(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    output = tmp_path_factory.mktemp("read-back")
    return run_vitalprep("run", "--input", recordings, "--output", output)


def test_tensorflow_finds_the_windows_that_were_accounted_for(answer: Answer) -> None:
    dataset = Path(answer.result["dataset"])
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    subjects: dict[str, set[int]] = {}
    for split, described in metadata["splits"].items():
        records = list(read_with_tensorflow(sorted(dataset.glob(f"vitaldb-{split}.tfrecord-*"))))
        assert len(records) == described["windows"] == answer.result["windows"][split]
        subjects[split] = {int(record["subject_id"]) for record in records}
        for record in records:
            assert np.abs(record["timeseries"]).max() <= 1
            assert len(record["timeseries_origin"]) == 300 * 16
    assert not subjects["train"] & subjects["validation"]
    assert not subjects["train"] & subjects["test"]
    assert not subjects["validation"] & subjects["test"]


def test_tensorflow_reads_gzip_of_several_parts(recordings: Path, tmp_path: Path, answer: Answer) -> None:
    settings = ["output.compression=gzip", "output.layout=single", "output.shard_mb=1"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    gzipped = run_vitalprep("run", "--input", recordings, "--output", tmp_path, *arguments)
    assert gzipped.exit_code == 0
    file = Path(gzipped.result["dataset"]) / "train.tfrecord"
    assert len(list(read_with_tensorflow([file], "GZIP"))) == answer.result["windows"]["train"]


def _conversion(source: dict[str, Any], body: dict[str, float]) -> float:
    conversion = source.get("conversion", {"factor": 1.0})
    if "per_kg_h" in conversion:
        return float(conversion["per_kg_h"]["concentration"] / body["weight"])
    if "per_kg_min" in conversion:
        return float(conversion["per_kg_min"]["concentration"] / 60 / body["weight"])
    if "per_kg_ibw" in conversion:
        sex = "M" if body["sex"] > 0 else "F"
        return 1 / design4.ideal_body_weight(sex, body["height"], body["weight"])
    return float(conversion["factor"])


def _clinical(recordings: Path, case_id: int) -> dict[str, float]:
    """Return a case's statics; empty cells get the defaults of the specification."""
    with (recordings / "clinical_data.csv").open(encoding="utf-8-sig") as file:
        row = next(row for row in csv.DictReader(file) if int(row["caseid"]) == case_id)
    number = {name: float(row[name].lstrip(">")) if row[name] else None for name in ("age", "height", "weight", "asa")}
    bmi = float(row["bmi"]) if row["bmi"] else None
    if bmi is None and number["height"] and number["weight"]:
        bmi = number["weight"] / (number["height"] / 100) ** 2
    defaults = {static["name"]: static["default"] for static in REGISTRY["statics"]}
    found = {**number, "bmi": bmi, "sex": {"M": 1.0, "F": -1.0}.get(row["sex"])}
    return {name: float(defaults[name] if value is None else value) for name, value in found.items()}


def _expected(recordings: Path, case_id: int) -> tuple[list[list[float]], list[list[int]], dict[str, float]]:
    """Return a case's normalized series and origins by input, and its statics."""
    statics = _clinical(recordings, case_id)
    recording = vitaldb.VitalFile(str(recordings / "raw-data" / f"{case_id:04d}.vital"))
    tracks = {
        name: [(record["dt"], float(record["val"])) for record in track.recs]
        for name, track in recording.trks.items()
        if track.type == 2
    }
    times = [("numeric", time, 1, 0.0) for records in tracks.values() for time, _ in records]
    # The package shifts its start to the earliest record where the header has none, as the specification does.
    header = recording.dtstart if min(time for _, time, _, _ in times) > recording.dtstart else None
    start, last = design4.clock(header, times)
    n = design4.seconds_of_recording(start, last)
    series, origins = [], []
    for item in REGISTRY["inputs"]:
        sources = [
            design4.Source(
                track=source["track"],
                limits=tuple(source["limits"]),
                stale_after=source["stale_after"],
                multiplier=_conversion(source, statics),
            )
            for source in item["sources"]
        ]
        values = design4.harmonize_feature(sources, tracks, start, n, combine=item.get("combine", "first"))
        filled, origin = second_round.impute_causal(values, item["default"], item["hold"])
        series.append([design4.normalize(value, *item["range"]) for value in filled])
        origins.append(origin)
    return series, origins, statics


@pytest.mark.parametrize("case_id", [2, 3, 5, 8])
def test_every_record_of_a_case_is_what_the_specification_says(answer: Answer, recordings: Path, case_id: int) -> None:
    files = sorted(Path(answer.result["dataset"]).glob("vitaldb-*.tfrecord-*"))
    records = {
        int(record["start_second"]): record for record in read_with_tensorflow(files) if record["case_id"] == case_id
    }
    series, origins, statics = _expected(recordings, case_id)
    assert sorted(records) == design4.window_starts(len(series[0]), 300, 30, 30)
    names = [item["name"] for item in REGISTRY["inputs"]]
    outputs = [names.index(target["input"]) for target in REGISTRY["targets"]]
    expected_static = [design4.normalize(statics[item["name"]], *item["range"]) for item in REGISTRY["statics"]]
    for start, record in records.items():
        window = np.array([column[start : start + 300] for column in series]).T
        np.testing.assert_allclose(record["timeseries"], window, atol=1e-6)
        origin = np.array([column[start : start + 300] for column in origins], dtype=np.uint8).T
        assert record["timeseries_origin"] == origin.tobytes()
        target_second = start + 299 + 30
        np.testing.assert_allclose(record["target"], [series[index][target_second] for index in outputs], atol=1e-6)
        assert list(record["target_origin"]) == [origins[index][target_second] for index in outputs]
        np.testing.assert_allclose(record["static"], expected_static, atol=1e-6)
