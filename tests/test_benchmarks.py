"""The benchmarks run and say what they measured. How fast anything is, no test asserts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.dag import union
from benchmarks.rows import Row
from benchmarks.timing import process_usage

MEASURED = ("harmonize", "validate", "memory", "overlap")


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
