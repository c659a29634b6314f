"""Data sets that vitalprep 0.1.0 made are read by today's code (docs/design.md, ruling 33).

``vitalprep-0.1.0.zip`` is an output of simulated patients, made by 0.1.0 in ``/srv/vital``:

- `FIRST`: nine cases; `APPENDED`: the same and one more, appended to it.
- `PACKED`: ``layout: single``, gzip, causal, dropping windows; one recording is truncated and one is missing.
- `PLANNED`: a plan of two shards that nobody began.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import vitalprep
from tests.pipeline import data_digests
from tests.reliability.in_process import COARSE, Ending, command, in_process, passed, short_cases
from vitalprep.contract.identity import BUILD_VERSION, HARMONIZE_VERSION

ZIP = Path(__file__).parent / "vitalprep-0.1.0.zip"
FIRST, APPENDED, PACKED, PLANNED = "b002a37e41ed", "1af651adee9b", "a69f730cfece", "6fbf131b2a76"
WINDOWS = {
    FIRST: {"train": 26, "validation": 3, "test": 2},
    APPENDED: {"train": 26, "validation": 6, "test": 2},
    PACKED: {"train": 26, "validation": 3, "test": 2},
}
SAME_VERSIONS = (HARMONIZE_VERSION, BUILD_VERSION) == (1, 1)  # those of 0.1.0


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    with zipfile.ZipFile(ZIP) as packed:
        packed.extractall(tmp_path / "out")
    with in_process():
        yield tmp_path / "out"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings that the data sets were made of."""
    return short_cases(tmp_path_factory.mktemp("earlier") / "raw", cases=10)


@pytest.fixture
def published(output: Path) -> Iterator[Path]:
    """An output whose verdicts and ``latest.json`` the test must leave as they are."""
    before = _verdicts(output)
    yield output
    assert _verdicts(output) == before


def _verdicts(output: Path) -> dict[Path, str]:
    files = [*output.glob("datasets/*/validation.json"), output / "datasets/latest.json"]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _ended(ending: Ending, exit_code: int = 0) -> Ending:
    assert ending.exit_code == exit_code, ending.text
    return ending


@pytest.mark.parametrize("dataset", WINDOWS)
def test_it_is_described_and_every_window_is_read(published: Path, dataset: str) -> None:
    uri = f"{published}/datasets/{dataset}"
    about = vitalprep.describe(uri)
    assert (about.dataset_id, about.proved, about.content_id, about.name) == (dataset, True, None, None)
    assert about.windows == WINDOWS[dataset]
    assert (about.window, about.step, about.horizon) == (20, 60, 10)
    for split, count in WINDOWS[dataset].items():
        read = list(vitalprep.read(uri, split))
        assert len(read) == count
        assert read[0].timeseries.shape == (20, 16)


def test_an_output_stands_for_the_data_set_that_passed_last(published: Path) -> None:
    assert vitalprep.describe(published).dataset_id == APPENDED


def test_tensorflow_loads_it(published: Path) -> None:
    pytest.importorskip("tensorflow")
    loaded = vitalprep.load(f"{published}/datasets/{PACKED}", "train", batch_size=1, shuffle=None)
    assert sum(1 for _ in loaded) == WINDOWS[PACKED]["train"]


def test_status_lists_it(published: Path) -> None:
    result = _ended(command("status", published)).result
    states = {one["dataset_id"]: one["state"] for one in result["datasets"]}
    assert {states.pop(dataset) for dataset in WINDOWS} == {"published"}
    assert list(states) == [PLANNED]
    assert result["latest"] == APPENDED
    assert not any(one["problem"] for one in result["datasets"])
    for dataset in (*WINDOWS, PLANNED):
        _ended(command("status", published, "--dataset", dataset))


@pytest.mark.parametrize("dataset", WINDOWS)
def test_its_report_is_drawn(published: Path, tmp_path: Path, dataset: str) -> None:
    uri = f"{published}/datasets/{dataset}"
    _ended(command("report", "--dataset", uri, "--output", tmp_path / "whole.html"))
    _ended(command("report", "--dataset", uri, "--case", "1", "--output", tmp_path / "case.html"))
    assert dataset in (tmp_path / "whole.html").read_text()
    assert (tmp_path / "case.html").stat().st_size


@pytest.mark.parametrize(("one", "other"), [(FIRST, APPENDED), (FIRST, PACKED)])
def test_it_is_compared(published: Path, one: str, other: str) -> None:
    result = _ended(command("diff", f"{published}/datasets/{one}", f"{published}/datasets/{other}")).result
    assert one in str(result["a"])
    assert other in str(result["b"])


def test_clean_keeps_what_it_needs(published: Path) -> None:
    result = _ended(command("clean", "--output", published, "--older-than", "0", "--yes")).result
    assert not {*WINDOWS} & {*result["removed"]}
    receipts = list(published.glob("harmonized/*/*.json"))
    assert len(receipts) >= 10, "nine cases, the appended one, and the one that was truncated"
    assert len(list(published.glob("harmonized/*/*.parquet"))) >= 10


@pytest.mark.parametrize("dataset", WINDOWS)
def test_the_quick_check_passes(published: Path, dataset: str) -> None:
    _ended(command("validate", f"{published}/datasets/{dataset}", "--quick"))


@pytest.mark.parametrize("dataset", WINDOWS)
def test_validate_proves_it_or_refuses_it_by_its_version(output: Path, dataset: str) -> None:
    before = _verdicts(output)
    ending = command("validate", f"{output}/datasets/{dataset}")
    if SAME_VERSIONS:
        assert _ended(ending).result["windows"] == WINDOWS[dataset]
        assert passed(output).keys() == WINDOWS.keys()
        return
    assert "version" in _ended(ending, 2).text
    assert _verdicts(output) == before


@pytest.mark.parametrize("dataset", WINDOWS)
def test_a_damaged_one_is_refused(output: Path, dataset: str) -> None:
    file = next(output.glob(f"datasets/{dataset}/*train.tfrecord*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    ending = _ended(command("validate", f"{output}/datasets/{dataset}"), 65 if SAME_VERSIONS else 2)
    assert (file.name if SAME_VERSIONS else "version") in ending.text


def test_a_new_data_set_is_appended_to_it_or_it_is_to_be_built_anew(output: Path, recordings: Path) -> None:
    before, files = _verdicts(output), data_digests(output / "datasets" / FIRST)
    parent = f"{output}/datasets/{FIRST}"
    ending = command("run", "--input", recordings, "--output", output, "--append-to", parent, "--cases", "1-10")
    assert data_digests(output / "datasets" / FIRST) == files
    if not SAME_VERSIONS:
        assert ending.exit_code in (2, 65)
        assert "anew" in ending.text
        assert _verdicts(output) == before
        return
    assert _ended(ending).result["parents"] == [FIRST]
    grown = output / "datasets" / ending.result["dataset_id"]
    assert _cases(grown, "train") >= _cases(output / "datasets" / FIRST, "train"), "every case keeps its split"
    same = data_digests(output / "datasets" / APPENDED)
    assert data_digests(grown) == same, "the copied recordings give the bytes that 0.1.0 appended"


def _cases(dataset: Path, split: str) -> set[int]:
    summary = json.loads((dataset / f"build-{split}.json").read_bytes())
    return {case["case_id"] for case in summary["cases"]}


def test_a_run_beside_it_leaves_it_published(output: Path, recordings: Path) -> None:
    before = {dataset: data_digests(output / "datasets" / dataset) for dataset in WINDOWS}
    settings = (*COARSE, "--set", "windowing.step=60", "--cases", "1-9")
    made = _ended(command("run", "--input", recordings, "--output", output, *settings)).result["dataset_id"]
    assert made not in WINDOWS
    assert passed(output).keys() == {*WINDOWS, made}
    assert {dataset: data_digests(output / "datasets" / dataset) for dataset in WINDOWS} == before


def test_a_plan_of_0_1_0_goes_on_or_is_to_be_made_anew(published: Path) -> None:
    plan = next(published.glob(f"runs/{PLANNED}/plan-*.json"))
    for shard in (0, 1):  # their cases have receipts of the data sets beside it
        ending = command("harmonize", "--plan", plan, "--shard", str(shard))
        assert ending.exit_code in (0, 65), ending.text
        assert ending.exit_code == 0 or "plan" in ending.text
    ending = command("build", "--plan", plan)
    assert ending.exit_code in (0, 2, 65), ending.text
    assert ending.exit_code == 0 or "anew" in ending.text or "again" in ending.text
