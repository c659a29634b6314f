"""`vitalprep fetch`, from accepting the terms to a data set of the fetched recordings."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.fetch.imitation import Imitation, recording
from tests.pipeline import BUCKET, COMMAND, Answer, run_vitalprep, s3_client
from vitalprep.contract.provenance import known_provenance
from vitalprep.fetch import clinical_table
from vitalprep.fetch.clinical_table import fetch_clinical_table
from vitalprep.runtime.errors import RefusedError


def fetch(service: Imitation, output: Path | str, *more: str, environment: dict[str, str] | None = None) -> Answer:
    cases = () if "--cases" in more else ("--cases", "1-14")
    options = (*cases, "--output", output, "--base-url", service.url, "--accept-licence", "--at-once", "2", *more)
    return run_vitalprep("fetch", *options, environment=environment)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.vital*"))


def test_the_default_base_url_is_that_of_the_vitaldb_package() -> None:
    package = find_spec("vitaldb")
    assert package is not None
    assert package.origin is not None
    code = Path(package.origin).with_name("dataset.py").read_text()  # importing it takes seconds
    theirs = dict(re.findall(r'^(api_url|DATASET_VERSION) = "(.+)"$', code, re.MULTILINE))
    where = known_provenance("vitaldb").download
    assert where is not None
    assert where.base_url == theirs["api_url"]
    assert where.recording.format(case=17) == f"{theirs['DATASET_VERSION']}/17.vital"
    assert f"{{api_url}}/{where.clinical_table}" in code


def test_nothing_is_fetched_before_the_terms_are_accepted(service: Imitation, tmp_path: Path) -> None:
    answer = run_vitalprep("fetch", "--cases", "1", "--output", tmp_path / "out", "--base-url", service.url)
    assert answer.exit_code == 2
    for said in ("CC-BY-NC-SA-4.0", "Data Use Agreement", "Redistribution of the Data is not allowed", "https://"):
        assert said in answer.result["message"]
    assert "--accept-licence" in answer.result["fix"]
    assert not service.seen
    assert not (tmp_path / "out").exists()


def test_a_data_set_of_fetched_recordings_names_its_source(
    service: Imitation, recordings: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    answer = fetch(service, source)
    assert answer.exit_code == 0
    assert (answer.result["fetched"], answer.result["there_already"]) == (14, 0)
    assert any("Redistribution of the Data is not allowed" in line["message"] for line in answer.log), "terms are shown"
    for path in (recordings / "raw-data").iterdir():
        assert (source / "raw-data" / path.name).read_bytes() == path.read_bytes()
    with (source / "clinical_data.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["caseid", "subjectid", "sex", "age", "height", "weight", "bmi", "asa"]
    assert len(rows) == 14
    made = run_vitalprep("run", "--input", source, "--output", tmp_path / "out")
    assert made.exit_code == 0
    assert made.result["written"] == 14
    asked = len(service.seen)
    again = fetch(service, source)
    assert (again.exit_code, again.result["fetched"], again.result["there_already"]) == (0, 0, 14)
    assert len(service.seen) == asked, "what is there is not asked for"


def test_the_acceptance_is_recorded_without_personal_data(service: Imitation, tmp_path: Path) -> None:
    fetch(service, tmp_path, "--cases", "1")
    note = json.loads((tmp_path / "source.json").read_bytes())
    (accepted,) = note["accepted"]
    assert accepted["base_url"] == service.url
    assert "CC-BY-NC-SA-4.0" in accepted["licence"]
    assert accepted["agreement"].startswith("https://vitaldb.net/")
    assert abs(time.time() - time.mktime(time.strptime(accepted["at"][:19], "%Y-%m-%dT%H:%M:%S"))) < 14 * 3600
    assert accepted["at"].endswith("+00:00")
    text = (tmp_path / "source.json").read_text()
    assert not {value for name in ("USER", "LOGNAME", "HOSTNAME") if (value := os.environ.get(name)) and value in text}
    mine = "caseid,subjectid,sex,age,height,weight,bmi,asa,mine\n2,1,F,50,160,60,,2,yes\n"
    (tmp_path / "clinical_data.csv").write_text(mine)
    assert fetch(service, tmp_path, "--cases", "2").result["clinical_table"] == "there already"
    assert (tmp_path / "clinical_data.csv").read_text() == mine
    assert json.loads((tmp_path / "source.json").read_bytes()) == note, "the same terms are accepted once"


def test_missing_cases_are_named_after_the_others_are_fetched(service: Imitation, tmp_path: Path) -> None:
    service.fault(recording(2), "flip", "...")
    answer = fetch(service, tmp_path, "--cases", "1-4,40-42")
    assert answer.exit_code == 65
    assert "does not have 40-42" in answer.result["message"]
    assert "Not a valid recording: 2 (corrupt" in answer.result["message"]
    assert "3 of 7" in answer.result["message"]
    assert names(tmp_path) == ["0001.vital", "0003.vital", "0004.vital"]


@pytest.mark.parametrize("status", ["403", "451"])
def test_a_denied_case_does_not_stop_the_others(service: Imitation, tmp_path: Path, status: str) -> None:
    service.fault(recording(2), status, "...")
    answer = fetch(service, tmp_path, "--cases", "1-4")
    assert answer.exit_code == 65
    assert f"denies access to 2 ({service.url}{recording(2)}: the server answered {status}" in answer.result["message"]
    assert "does not have" not in answer.result["message"]
    assert answer.result["fix"].endswith("the other recordings are present.")
    assert names(tmp_path) == ["0001.vital", "0003.vital", "0004.vital"]


def test_a_service_that_denies_everything_is_given_up_early(service: Imitation, tmp_path: Path) -> None:
    for case in range(1, 15):
        service.fault(recording(case), "403", "...")
    answer = fetch(service, tmp_path)
    assert answer.exit_code == 65
    assert re.match(
        r"0 of 14 recordings are present\. The service denies access to [1-9,-]+ \(", answer.result["message"]
    )
    assert "were not requested" in answer.result["message"]
    assert "other recordings are present" not in answer.result["fix"]
    assert "check your access" in answer.result["fix"]
    assert not service.asked(recording(12))


def test_a_damaged_recording_is_fetched_again(service: Imitation, recordings: Path, tmp_path: Path) -> None:
    assert fetch(service, tmp_path, "--cases", "1-3").exit_code == 0
    (tmp_path / "raw-data" / "0001.vital").write_bytes(b"")
    elsewhere = tmp_path / "old"
    elsewhere.mkdir()
    (tmp_path / "raw-data" / "0002.vital").rename(elsewhere / "2.vital")
    (elsewhere / "2.vital").write_bytes((elsewhere / "2.vital").read_bytes()[:5000])
    answer = fetch(service, tmp_path, "--cases", "1-3")
    assert (answer.exit_code, answer.result["fetched"], answer.result["there_already"]) == (0, 2, 1)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.vital")) == [
        Path("old/2.vital"),
        Path("raw-data/0001.vital"),
        Path("raw-data/0003.vital"),
    ]
    assert (elsewhere / "2.vital").read_bytes() == (recordings / "raw-data" / "0002.vital").read_bytes()


def test_recordings_of_unknown_source_are_not_marked_as_vitaldb(
    service: Imitation, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "0900.vital").write_bytes((recordings / "raw-data" / "0009.vital").read_bytes())
    refused = fetch(service, tmp_path, "--cases", "1-2")
    assert refused.exit_code == 65
    assert "holds 1 recordings, but no source.json that marks them as VitalDB's" in refused.result["message"]
    assert "--add-to-others" in refused.result["fix"]
    assert not service.seen
    assert [path.name for path in tmp_path.iterdir()] == ["0900.vital"]
    assert fetch(service, tmp_path, "--cases", "1-2", "--add-to-others").exit_code == 0
    assert fetch(service, tmp_path, "--cases", "1-2").exit_code == 0, "now source.json says so"


def test_cases_without_a_row_are_named(service: Imitation, tmp_path: Path) -> None:
    (tmp_path / "clinical_data.csv").write_text("caseid,subjectid,sex,age,height,weight,bmi,asa\n2,1,F,50,160,60,,2\n")
    answer = fetch(service, tmp_path, "--cases", "1-4")
    assert answer.exit_code == 65
    table = tmp_path / "clinical_data.csv"
    assert answer.result["message"] == f"4 of 4 recordings are present. Cases without a row in {table}: 1,3-4."
    assert answer.result["fix"] == f"add the missing rows to {table}, or remove these cases from --cases."
    assert len(names(tmp_path)) == 4


def test_an_invalid_row_is_named_after_all_are_fetched(service: Imitation, tmp_path: Path) -> None:
    text = (service.recordings / "clinical_data.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    rows[1]["sex"], rows[2]["caseid"], rows[8]["age"] = "X", "3b", "old"
    with (tmp_path / "spoilt.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    service.others["/cases"] = (tmp_path / "spoilt.csv").read_bytes()
    output = tmp_path / "in"
    for _ in range(2):
        answer = fetch(service, output, "--cases", "1-4")
        assert answer.exit_code == 65
        for said in (
            "4 of 4",
            "line 3 (case 2): sex 'X'",
            "line 4: caseid '3b'",
            f"row in {output}/clinical_data.csv: 3.",
        ):
            assert said in answer.result["message"]
        assert "old" not in answer.result["message"], "case 9 was not asked for"
        assert f"correct the rows in {output}/clinical_data.csv" in answer.result["fix"]
        assert len(names(output)) == 4
    table = output / "clinical_data.csv"
    table.write_text(table.read_text().replace(",X,", ",M,").replace("\n3b,", "\n3,"))
    assert fetch(service, output, "--cases", "1-4").exit_code == 0


def test_a_service_that_is_down_is_given_up_early(service: Imitation, tmp_path: Path) -> None:
    for case in range(3, 15):
        service.fault(recording(case), "503", "...")
    environment = {"VITALPREP_FETCH_RETRY_SECONDS": "2"}  # so that the first two, which are there, end first
    answer = fetch(service, tmp_path, "--at-once", "2", environment=environment)
    assert answer.exit_code == 1
    assert "503" in answer.result["message"]
    assert names(tmp_path) == ["0001.vital", "0002.vital"]
    assert not service.asked(recording(12))
    service.faults.clear()
    assert fetch(service, tmp_path).result["fetched"] == 12


def test_concurrent_downloads_are_limited(service: Imitation, tmp_path: Path) -> None:
    service.pause = 0.15
    assert fetch(service, tmp_path, "--at-once", "3").exit_code == 0
    assert service.most_at_once == 3


def test_a_stopped_fetch_keeps_complete_recordings_and_resumes(
    service: Imitation, recordings: Path, tmp_path: Path
) -> None:
    service.pause = 0.3
    process = subprocess.Popen(
        [*COMMAND, "fetch", "--cases", "1-14", "--output", tmp_path, "--base-url", service.url, "--accept-licence"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"VITALPREP_FETCH_STALL_SECONDS": "20"},
    )
    deadline = time.monotonic() + 30
    while len(names(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 143, log
    come = names(tmp_path)
    assert 3 <= len(come) < 14
    for name in come:
        assert (tmp_path / "raw-data" / name).read_bytes() == (recordings / "raw-data" / name).read_bytes()
    service.pause = 0.0
    service.seen.clear()
    answer = fetch(service, tmp_path)
    assert answer.exit_code == 0
    assert answer.result["there_already"] == len(come)
    assert names(tmp_path) == names(recordings)
    assert not service.asked(recording(int(come[0][:4])))


def test_fetch_into_a_bucket(
    service: Imitation, recordings: Path, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    service.fault(recording(5), "reset")
    output = f"s3://{BUCKET}/{tmp_path.name}"
    answer = fetch(service, output, "--cases", "4-6", environment=s3_environment)
    assert answer.exit_code == 0
    client = s3_client(s3_environment)
    there = client.list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)["Contents"]
    assert [item["Key"].removeprefix(f"{tmp_path.name}/") for item in there] == [
        "clinical_data.csv",
        *(f"raw-data/000{case}.vital" for case in (4, 5, 6)),
        "source.json",
    ]
    body = client.get_object(Bucket=BUCKET, Key=f"{tmp_path.name}/raw-data/0005.vital")["Body"].read()
    assert body == (recordings / "raw-data" / "0005.vital").read_bytes()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"caseid,subjectid\n1,1\n", "the column 'sex' is missing"),
        (b"\xff\xfe", "is not a clinical table: line 1: it is UTF-16"),
        (b"caseid,subjectid,sex,age,height,weight,bmi,asa\n3,3\n", "line 2: the row has 2 cells, the header has 8"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "is not a clinical table"),
    ],
)
def test_an_invalid_clinical_table_is_refused(service: Imitation, body: bytes, says: str) -> None:
    service.others["/cases"] = body
    with pytest.raises(RefusedError, match=says):
        fetch_clinical_table(service.url, "cases")


def test_formulas_in_the_clinical_table_are_left_out(service: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(clinical_table, "log", lambda message, **keys: said.append({"message": message} | keys))
    service.others["/cases"] = (
        b"caseid,subjectid,sex,age,height,weight,bmi,asa,dx\n"
        b'1,1,M,>89,"=HYPERLINK(""http://x"")", @SUM(1),-5,+2,=1\n'
        b"2,=cmd|' /C calc'!A0,<script>,abc,-1+1,30,,1_0,=1\n"
        b"3,3,,,,,,,\n"
    )
    rows = fetch_clinical_table(service.url, "cases").decode().splitlines()
    assert rows[1:] == ["1,1,M,>89,,,-5,+2", "2,,<script>,abc,,30,,1_0", "3,3,,,,,,"]
    assert [(line["cells"], line["level"]) for line in said] == [(4, logging.WARNING)]


def test_a_wrong_base_url_is_detected_by_the_clinical_table(service: Imitation, tmp_path: Path) -> None:
    answer = run_vitalprep(
        "fetch", "--cases", "1", "--output", tmp_path, "--base-url", f"{service.url}/elsewhere", "--accept-licence"
    )
    assert answer.exit_code == 2
    assert "--base-url" in answer.result["fix"]


def test_real_recordings_are_not_added_to_simulated_ones(service: Imitation, recordings: Path) -> None:
    answer = fetch(service, recordings, "--cases", "20")
    assert answer.exit_code == 65
    assert "another source (vitalprep simulate)" in answer.result["message"]
    assert not (recordings / "source.json").exists()
