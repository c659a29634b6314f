"""``vitalprep report``: the page that publish wrote, drawn again from storage, and single cases."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, receipts, run_vitalprep
from tests.report.conftest import Reported
from tests.report.html_page import parsed


def _row(reported: Reported, **wanted: str) -> dict[str, str]:
    with (reported.dataset / "cases.csv").open() as file:
        return next(row for row in csv.DictReader(file) if all(row[name] == value for name, value in wanted.items()))


def test_drawn_again_it_is_the_same_to_the_byte(reported: Reported, tmp_path: Path) -> None:
    file = tmp_path / "again.html"
    answer = run_vitalprep("report", "--dataset", reported.dataset, "--output", file)
    assert answer.exit_code == 0
    assert file.read_bytes() == (reported.dataset / "report.html").read_bytes()
    assert answer.result["bytes"] == file.stat().st_size
    metadata = json.loads((reported.dataset / "preprocessing_metadata.json").read_bytes())
    levels = [warning["level"] for warning in metadata["warnings"]]
    assert [answer.result["warnings"], answer.result["notes"]] == [levels.count("warning"), levels.count("note")]


@pytest.mark.parametrize("where", ["mine", "other/datasets/{}"])
def test_of_a_copy_the_published_one_is_given(reported: Reported, tmp_path: Path, where: str) -> None:
    copy = Path(shutil.copytree(reported.dataset, tmp_path / where.format(reported.dataset.name)))
    file = tmp_path / "again.html"
    answer = run_vitalprep("report", "--dataset", copy, "--output", file)
    assert (answer.exit_code, answer.result["dataset_id"]) == (0, reported.dataset.name)
    assert file.read_bytes() == (reported.dataset / "report.html").read_bytes()
    one = run_vitalprep("report", "--dataset", copy, "--case", "1")
    assert one.exit_code == 65
    assert f"<output>/datasets/{reported.dataset.name}" in one.result["fix"]
    for more in ((), ("--quick",)):
        refused = run_vitalprep("validate", copy, *more)
        assert refused.exit_code == 65
        assert f"is a copy of data set {reported.dataset.name}" in refused.result["message"]
        assert "croissant.json" in refused.result["fix"]
    (copy / "report.html").unlink()
    assert "report.html is not there" in run_vitalprep("report", "--dataset", copy).result["message"]
    nothing = run_vitalprep("validate", tmp_path)
    assert (nothing.exit_code, "is neither a data set nor an output" in nothing.result["message"]) == (65, True)


def test_it_says_nothing_of_places_hosts_and_subjects(reported: Reported) -> None:
    page = (reported.dataset / "report.html").read_text()
    assert str(reported.recordings) not in page
    assert str(reported.output) not in page
    with (reported.recordings / "clinical_data.csv").open(encoding="utf-8-sig") as file:
        subjects = {row["subjectid"] for row in csv.DictReader(file)}
    assert not [subject for subject in subjects if subject in page]


def test_one_case_is_drawn_with_its_quality(reported: Reported, tmp_path: Path) -> None:
    row = _row(reported, outcome="written")
    file = tmp_path / "case.html"
    answer = run_vitalprep("report", "--dataset", reported.dataset, "--case", row["case_id"], "--output", file)
    assert answer.exit_code == 0
    page = parsed(file)
    assert page.one("h1").text == f"Case {row['case_id']}"
    assert page.one("section", id="outcome").one("strong").values() == [float(row["windows"])]
    found = receipts(reported.output)[int(row["case_id"])]["features"]
    table = page.one("table", id="quality-table").rows()
    assert len(table) == len(found) == 16
    for name, cells in table.items():
        quality = found[name.split()[0]]
        assert cells[5].values() == [quality["longest_gap"]]
        assert [cells[place].values()[0] for place in (6, 7, 8)] == [
            quality["minimum"],
            pytest.approx(quality["mean"]) if quality["mean"] is not None else None,
            quality["maximum"],
        ]
    assert len(list(page.one("article").all("svg", role="img"))) == 17, "sixteen signals and the windows"


def test_an_excluded_case_tells_its_reason(reported: Reported, tmp_path: Path) -> None:
    row = _row(reported, reason="truncated")
    file = tmp_path / "case.html"
    assert (
        run_vitalprep("report", "--dataset", reported.dataset, "--case", row["case_id"], "--output", file).exit_code
        == 0
    )
    outcome = parsed(file).one("section", id="outcome").text
    assert "truncated" in outcome
    assert receipts(reported.output)[int(row["case_id"])]["detail"] in outcome
    assert "the file ends before the recording does" in outcome
    assert "Fetch the recording again" in outcome
    missing = _row(reported, reason="raw_object_missing")["case_id"]
    assert run_vitalprep("report", "--dataset", reported.dataset, "--case", missing, "--output", file).exit_code == 0
    assert "raw_object_missing" in parsed(file).one("section", id="outcome").text


def test_what_cannot_be_drawn_is_said_with_the_mend(reported: Reported, tmp_path: Path) -> None:
    unknown = run_vitalprep("report", "--dataset", reported.dataset, "--case", "999", "--output", tmp_path / "a.html")
    assert (unknown.exit_code, "999" in unknown.result["message"]) == (2, True)
    nowhere = run_vitalprep("report", "--dataset", reported.dataset, "--output", tmp_path / "no" / "a.html")
    assert nowhere.exit_code == 1
    assert "--output" in nowhere.result["fix"]
    copy = tmp_path / "copy"
    shutil.copytree(reported.output, copy)
    shutil.rmtree(copy / "runs")
    gone = run_vitalprep(
        "report", "--dataset", copy / "datasets" / reported.dataset.name, "--output", tmp_path / "a.html"
    )
    assert gone.exit_code == 65
    assert "runs" in gone.result["fix"]
    assert run_vitalprep("report", "--dataset", tmp_path / "elsewhere", "--output", tmp_path / "a.html").exit_code == 2


def test_a_set_that_was_built_before_has_no_distributions_and_says_so(reported: Reported, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(reported.output, copy)
    dataset = copy / "datasets" / reported.dataset.name
    for path in dataset.glob("build-*.json"):
        content = json.loads(path.read_bytes())
        del content["targets"]
        content["schema_version"] = 1
        for statistics in content["statistics"].values():
            del statistics["histogram"], statistics["cases"]
        path.write_text(json.dumps(content))
    file = tmp_path / "old.html"
    assert run_vitalprep("report", "--dataset", dataset, "--output", file).exit_code == 0
    page = parsed(file)
    assert "counted no distributions" in page.one("article", data_input="HR").text
    assert "not counted" in page.one("table", id="target-coverage").text
    assert page.one("article", data_input="HR").one("table").rows()["observed"][0].values()[0]


def test_over_s3_it_is_the_same_page(reported: Reported, s3_environment: dict[str, str], tmp_path: Path) -> None:
    output = f"s3://{BUCKET}/reported"
    command = ("run", "--input", reported.recordings, "--output", output, "--cases", "1-26")
    assert (
        run_vitalprep(*command, "--set", "validation.min_success_rate=0.5", environment=s3_environment).exit_code == 0
    )
    file = tmp_path / "s3.html"
    dataset = f"{output}/datasets/{reported.dataset.name}"
    answer = run_vitalprep("report", "--dataset", dataset, "--output", file, environment=s3_environment)
    assert answer.exit_code == 0
    here, there = (parsed(path) for path in (reported.dataset / "report.html", file))
    for section in ("overview", "warnings", "cases", "splits", "coverage", "signals", "gaps", "gallery", "list"):
        assert here.one("section", id=section).text == there.one("section", id=section).text, section
