"""Who is told how a run ended, and what; and runs that nobody triggers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import HOME, REPOSITORY

TOPIC = "arn:aws:sns:eu-north-1:000000000000:runs"
WHERE = {"input": "/nowhere", "output": "/nowhere"}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``told()``: what a notifier of Airflow's own has written: it appends to a file."""
    notifier = tmp_path / "file_notifier.py"
    notifier.write_text(
        "from airflow.sdk.bases.notifier import BaseNotifier\n"
        "class FileNotifier(BaseNotifier):\n"
        "    template_fields = ('text',)\n"
        "    def __init__(self, path, text):\n"
        "        super().__init__()\n"
        "        self.path, self.text = path, text\n"
        "    def notify(self, context):\n"
        "        open(self.path, 'a').write(self.text)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("VITALPREP_NOTIFIER", "file_notifier.FileNotifier")
    arguments = {"path": str(tmp_path / "told"), "text": "{{ run_subject }}|{{ run_message }}"}
    monkeypatch.setenv("VITALPREP_NOTIFIER_ARGS", json.dumps(arguments))
    return lambda: (tmp_path / "told").read_text()


@pytest.fixture
def run(request: pytest.FixtureRequest, told: Any) -> Any:
    return request.getfixturevalue("trigger")  # after `told`: the DAG is made with its notifier


def test_a_data_set_that_was_published(run: Any, told: Any, worker: Any, recordings: Path, tmp_path: Path) -> None:
    result = run(input=str(recordings), output=str(tmp_path / "out"), shards=1)
    assert result.state == "success"
    dataset = result.result("plan_shards")["dataset"]
    subject, message = told().split("|")
    assert subject == f"vitalprep published {Path(dataset).name}"
    windows = json.loads(Path(dataset, "validation.json").read_bytes())["windows"]
    assert f"train {windows['train']}" in message
    assert "10 of 10 cases written, excluded: none." in message
    assert dataset in message
    report, run_link = message.splitlines()[-2:]
    assert re.fullmatch(rf"Report: http\S+/plugin/vitalprep/vitalprep/\?dataset={Path(dataset).name}", report)
    assert re.fullmatch(r"Run: http\S+/dags/vitaldb_preprocessing/runs/manual__\S+%2B00%3A00\S*", run_link)


def test_a_run_that_failed_stays_failed_and_is_told(run: Any, told: Any, fake_worker: Any) -> None:
    answer = json.dumps({"ok": False, "message": "Case {{ 7 * 6 }} changed.", "fix": "Plan again."})
    fake_worker(harmonize=f"echo '{answer}'; exit 65", publish="exit 65")
    result = run(**WHERE)
    assert result.state == "failed"
    assert result.states["notify"] == "success"
    assert told().startswith("vitalprep failed: ")
    assert "Report:" not in told()
    assert "harmonize" in told()


def test_a_reason_is_told_as_it_is(run: Any, told: Any, fake_worker: Any) -> None:
    """What a worker says is no template, whatever it holds."""
    checks = [{"name": "config", "ok": False, "message": "Odd: {{ 7 * 6 }} {% bad %}.", "fix": "Fix it."}]
    fake_worker(check=f"echo '{json.dumps({'ok': False, 'checks': checks})}'; exit 65")
    assert run(**WHERE).state == "success"
    assert told().startswith("vitalprep made no new data set|Odd: {{ 7 * 6 }} {% bad %}. Fix: Fix it.")


def test_a_notifier_that_fails_does_not_fail_the_run(run: Any, fake_worker: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("VITALPREP_NOTIFIER", "nowhere.Notifier")
    fake_worker()
    result = run(**WHERE)
    assert result.states["notify"] in ("failed", "up_for_retry")
    assert result.state == "success"


def test_sns(monkeypatch: pytest.MonkeyPatch, fake_worker: Any, request: pytest.FixtureRequest) -> None:
    """By SNS's protocol, on a server that answers Publish."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread
    from urllib.parse import parse_qs

    asked: list[dict[str, list[str]]] = []

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            body = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Requests)
    Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "VITALPREP_NOTIFY_TOPIC": TOPIC,
        "AWS_ENDPOINT_URL_SNS": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    fake_worker(plan="exit 65")
    run = request.getfixturevalue("trigger")(**WHERE)
    server.shutdown()
    assert run.state == "failed"
    assert asked[0]["Action"] == ["Publish"]
    assert asked[0]["TargetArn"] == [TOPIC]
    assert asked[0]["Subject"] == ["vitalprep failed: plan_shards"]


def test_nobody_is_told_unless_wanted(dag: Any) -> None:
    assert "notify" not in dag.task_ids
    assert dag.schedule is None


def parse(**environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path[:0] = ['plugins', 'dags']; from vitaldb_preprocessing import dag; print(dag.schedule)"
    told = {"AIRFLOW_HOME": str(HOME), "PATH": os.defpath} | environment
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=told, capture_output=True, text=True, check=False
    )


def test_a_schedule() -> None:
    places = {"VITALPREP_INPUT": "s3://raw/vitaldb", "VITALPREP_OUTPUT": "s3://out"}
    assert parse(VITALPREP_SCHEDULE="@weekly", **places).stdout.strip() == "@weekly"
    assert "vitaldb_recordings" in parse(VITALPREP_SCHEDULE="@arrival", **places).stdout
    refused = parse(VITALPREP_SCHEDULE="@weekly", VITALPREP_INPUT="s3://raw/vitaldb")
    assert "VITALPREP_SCHEDULE='@weekly' needs VITALPREP_OUTPUT" in refused.stderr
