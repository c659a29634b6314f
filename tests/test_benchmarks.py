"""The benchmarks run and say what they measured. How fast anything is, no test asserts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

from benchmarks import __main__ as main
from benchmarks.dag import union
from benchmarks.loading import KEYS
from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.throttled_s3 import throttled_s3
from benchmarks.timing import process_usage

MEASURED = ("harmonize", "validate", "memory", "many", "overlap")


def test_the_table_and_its_json(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", *MEASURED, "--small", "--folder", tmp_path / "bench"]
    answer = subprocess.run([*command, "--json", figures], capture_output=True, text=True, check=False, timeout=180)
    assert answer.returncode == 0, answer.stderr
    document = json.loads(figures.read_text())
    assert {row["name"].split(",")[0] for row in document["rows"]} == set(MEASURED)
    assert all(
        math.isfinite(row["value"]) and row["value"] > 0 and row["met"] in (True, False) for row in document["rows"]
    )
    assert document["machine"]["cores"] >= 1
    assert document["small"] is True
    for row in document["rows"]:
        assert row["name"].split(",")[0] in answer.stdout


def test_figures_outlive_a_benchmark_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: Recordings) -> Iterator[Row]:
        yield Row(name="second", measure="before it fails", value=2.0)
        raise RuntimeError("no such luck")

    def works(_: Recordings) -> Iterator[Row]:
        yield Row(name="first", measure="sound", value=1.0)

    found = {"first": works, "second": fails, "third": works}
    monkeypatch.setattr(main, "BENCHMARKS", {name: SimpleNamespace(rows=rows) for name, rows in found.items()})
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--json", str(tmp_path / "f.json"), "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == "failed: second", "and the exit code is 1"
    document = json.loads((tmp_path / "f.json").read_text())
    assert document["failed"] == ["second"]
    assert [row["measure"] for row in document["rows"]] == ["sound", "before it fails", "sound"]
    said = capsys.readouterr()
    assert "no such luck" in said.err
    assert said.out.count("sound") == 2


def test_a_server_behind_a_line_begins_without_buckets() -> None:
    for _ in range(2):
        with throttled_s3(1e9) as endpoint:
            client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-north-1", **KEYS)
            client.create_bucket(Bucket="benchmark", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})


def test_a_benchmark_that_is_not_there() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 2
    assert "there is no benchmark speed" in answer.stderr


def test_what_a_process_takes_counts_its_children_and_not_the_one_that_asks() -> None:
    ballast = bytearray(b"\1") * 300_000_000
    child = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.3: pass"
    usage = process_usage(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    assert len(ballast) > 0
    assert usage.peak_mb < 200
    assert 0.3 < usage.cpu < 3
    with pytest.raises(RuntimeError, match=r"ended with 3:\nno such luck"):
        process_usage([sys.executable, "-c", "import sys; print('no such luck', file=sys.stderr); sys.exit(3)"])


def test_the_time_in_which_any_worker_ran() -> None:
    assert union([]) == 0
    assert union([(1, 2), (5, 9), (6, 7), (8, 10)]) == 6


@pytest.mark.parametrize(
    ("better", "value", "met"), [("lower", 1.0, True), ("lower", 1.1, False), ("higher", 0.9, False)]
)
def test_whether_a_target_is_met(better: str, value: float, met: bool) -> None:
    assert Row(name="", measure="", value=value, target=1.0, better=better).met is met  # type: ignore[arg-type]
