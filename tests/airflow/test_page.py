"""The page in Airflow's navigation: Airflow's login and permissions, its policy, and what a visitor reads of trouble.

The worker is a stand-in that prints what `vitalprep status` and `vitalprep report --stored` print.
"""

from __future__ import annotations

import importlib
import json
import math
import queue
import shutil
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import HOME, REPOSITORY

KNOWN, OTHER = "2c5263cda312", "0123456789ab"
HOSTILE = "<img src=x onerror=alert(1)>"
PLACE = "/nowhere/datasets"
FILES = REPOSITORY / "plugins" / "vitalprep_airflow" / "page" / "files"


def dataset(dataset_id: str = KNOWN, **changes: Any) -> dict[str, Any]:
    return {
        "dataset_id": dataset_id,
        "dataset": f"{PLACE}/{dataset_id}",
        "state": "published",
        "report": True,
    } | changes


def answer(*datasets: dict[str, Any], older: Sequence[str] = ()) -> str:
    content = {"ok": True, "output": "/nowhere", "latest": KNOWN, "datasets": datasets, "older": older}
    return json.dumps(content)


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``says(status="echo ...", report="cat ...")``: a stand-in for the worker; returns the list of its calls."""

    def make(**commands: str) -> Path:
        script, calls = tmp_path / "worker", tmp_path / "calls"
        cases = "\n".join(f"{name}) {body};;" for name, body in commands.items())
        script.write_text(f'#!/bin/sh\necho "$@" >> {calls}\ncase $1 in\n{cases}\n*) exit 2;;\nesac\n')
        script.chmod(0o755)
        calls.touch()
        monkeypatch.setenv("VITALPREP_COMMAND", str(script))
        monkeypatch.setenv("VITALPREP_OUTPUT", "/nowhere")
        return calls

    return make


@pytest.fixture(scope="module")
def server(database_template: Path) -> Generator[Any]:
    """Airflow's API server with its plugins, on a database in which nothing has happened."""
    from airflow import settings
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.testclient import TestClient

    settings.dispose_orm()
    shutil.copy(database_template, HOME / "airflow.db")
    settings.configure_orm()
    purge_cached_app()
    yield TestClient(create_app(apps="core"), follow_redirects=False)
    purge_cached_app()
    settings.dispose_orm()


@pytest.fixture
def airflow(server: Any) -> Callable[..., Any]:
    """``airflow(path, role="viewer")``: a call to the API server as a user of that role, or as nobody."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    forget()

    def call(path: str, role: str | None = "viewer", method: str = "GET", **options: Any) -> Any:
        server.cookies.clear()
        if role:
            user = SimpleAuthManagerUser(username=role, role=role)
            server.cookies.set("_token", get_auth_manager().generate_jwt(user))
        return server.request(method, path, **options)

    return call


def page() -> Any:
    return importlib.import_module("vitalprep_airflow.page.app")


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page keeps what it was told, however slow the machine is."""
    for answers in (page().overviews, page().datasets):
        monkeypatch.setattr(answers, "_seconds", math.inf)


def bearer(role: str) -> dict[str, str]:
    """What a client without cookies sends, so that several can ask at once."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))
    return {"Authorization": f"Bearer {token}"}


def forget() -> None:
    """What the page keeps for some seconds is not for the next test."""
    for answers in ("overviews", "datasets", "prices", "reports"):
        getattr(page(), answers)._kept.clear()


def test_a_login_is_demanded(airflow: Any, says: Any) -> None:
    calls = says(status=f"echo '{answer()}'")
    for path in ("status", "report?dataset=x", "page.js", "page.css", "icon.svg"):
        assert airflow(f"/vitalprep/{path}", role=None).status_code == 401, path
    sent = airflow("/vitalprep/?dataset=x", role=None)
    assert sent.status_code == 307
    assert sent.headers["location"] == "../api/v2/auth/login?next=%2Fvitalprep%2F%3Fdataset%3Dx"
    assert calls.read_text() == ""
    assert airflow("/vitalprep/status", headers={"Authorization": "Bearer nonsense"}).status_code == 403


def test_who_may_not_read_the_dag_sees_nothing(airflow: Any, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    says(status=f"echo '{answer()}'")
    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda *_, **__: False)
    assert airflow("/vitalprep/").status_code == 403
    assert airflow("/vitalprep/status").status_code == 403


def test_a_reader_may_not_clear(airflow: Any, says: Any) -> None:
    """The page hides the button; it is Airflow's API that refuses."""
    says(status=f"echo '{answer()}'")
    assert airflow("/vitalprep/status", role="viewer").json()["may_clear"] is False
    assert airflow("/vitalprep/status", role="user").json()["may_clear"] is True
    path, body = "/api/v2/dags/vitaldb_preprocessing/clearTaskInstances", {"dry_run": True}
    assert airflow(path, role="viewer", method="POST", json=body).status_code == 403
    assert airflow(path, role="user", method="POST", json=body).status_code == 404  # no such DAG here, but allowed


def test_the_app_changes_nothing(airflow: Any, says: Any) -> None:
    says(status=f"echo '{answer()}'")
    for path in ("", "status", "report", "page.js"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert airflow(f"/vitalprep/{path}", role="admin", method=method).status_code == 405


def test_the_entry_in_the_navigation(airflow: Any) -> None:
    found = airflow("/api/v2/plugins").json()["plugins"]
    views = [view for plugin in found if plugin["name"] == "vitalprep" for view in plugin["external_views"]]
    assert [(view["name"], view["href"], view["destination"]) for view in views] == [
        ("vitalprep", "/vitalprep/", "nav")
    ]
    assert airflow("/api/v2/plugins/importErrors").json()["total_entries"] == 0


def test_the_policy_allows_nothing_from_elsewhere(airflow: Any, says: Any) -> None:
    says(status=f"echo '{answer()}'")
    for path in ("", "page.js", "status"):
        headers = airflow(f"/vitalprep/{path}").headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    shown = airflow("/vitalprep/").text
    assert "http" not in shown
    assert "style=" not in shown
    assert "onclick" not in shown


def test_the_script_makes_no_markup_of_texts() -> None:
    for file in FILES.glob("*.js"):
        text = file.read_text()
        assert not [
            word for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(") if word in text
        ]


def test_only_the_page_s_own_files_are_served(airflow: Any) -> None:
    for name in ("app.py", "..%2Fapp.py", "..%2f..%2fprocess.py", "..%2f..%2f..%2f..%2fpyproject.toml", "page.html"):
        found = airflow(f"/vitalprep/{name}")
        assert found.status_code == 404, name
        assert "import" not in found.text


def test_hostile_texts_stay_data(airflow: Any, says: Any, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(answer(dataset(excluded={HOSTILE: 1}, shards=[{"index": 0, "label": HOSTILE}])))
    says(status=f"cat {tmp_path}/said")
    found = airflow("/vitalprep/status")
    assert found.headers["content-type"] == "application/json"
    assert found.json()["status"]["datasets"][0]["excluded"] == {HOSTILE: 1}


def test_the_stored_report_byte_for_byte(airflow: Any, says: Any, tmp_path: Path) -> None:
    stored = b"<!DOCTYPE html>\r\n\r\n<p>\xc3\xa9 no newline at the end"
    (tmp_path / "report.html").write_bytes(stored)
    calls = says(status=f"echo '{answer(dataset())}'", report=f"cat {tmp_path}/report.html")
    found = airflow(f"/vitalprep/report?dataset={KNOWN}")
    assert found.status_code == 200
    assert found.content == stored
    assert calls.read_text().splitlines()[-1] == f"report --dataset {PLACE}/{KNOWN} --stored"


def test_a_report_runs_its_script_in_the_page_s_frame_alone(airflow: Any, says: Any) -> None:
    says(status=f"echo '{answer(dataset())}'", report="echo page")
    path = f"/vitalprep/report?dataset={KNOWN}"
    policies = {
        dest: airflow(path, headers={"Sec-Fetch-Dest": dest}).headers["content-security-policy"].split("; ")
        for dest in ("iframe", "document", "object", "")
    }
    assert {"sandbox allow-scripts", "default-src 'none'", "frame-ancestors 'self'"} <= set(policies["iframe"])
    for dest in ("document", "object", ""):
        assert {"sandbox", "default-src 'none'", "form-action 'none'"} <= set(policies[dest])
        assert not [part for part in policies[dest] if "script" in part]


@pytest.mark.parametrize(
    "asked", [OTHER, "", "..", "--json", "s3://elsewhere/datasets/2c5263cda312", f"{KNOWN}/..", HOSTILE]
)
def test_an_unknown_data_set_is_refused(airflow: Any, says: Any, asked: str) -> None:
    calls = says(status=f"echo '{answer(dataset())}'", report="echo secret")
    found = airflow("/vitalprep/report", params={"dataset": asked})
    assert found.status_code == 404
    assert "secret" not in found.text
    assert HOSTILE not in found.text
    assert set(calls.read_text().splitlines()) == {"status /nowhere --json"}


def test_an_older_data_set_is_asked_for_by_its_id(airflow: Any, says: Any) -> None:
    old, newest = answer(dataset(OTHER)), answer(dataset(), older=[OTHER])
    says(status=f"case \"$*\" in *{OTHER}*) echo '{old}';; *) echo '{newest}';; esac", report="echo old")
    assert airflow(f"/vitalprep/report?dataset={OTHER}").text == "old\n"


def test_no_report_yet(airflow: Any, says: Any) -> None:
    says(status=f"echo '{answer(dataset(report=False, state='building'))}'", report="echo never")
    found = airflow(f"/vitalprep/report?dataset={KNOWN}")
    assert found.status_code == 404
    assert "no report yet" in found.text


REFUSED = json.dumps({"ok": False, "exit_code": 65, "message": f"Plan {HOSTILE} is broken.", "fix": "Plan again."})
DOWN = json.dumps({"ok": False, "exit_code": 1, "message": "The bucket cannot be reached.", "fix": "See the network."})


@pytest.mark.parametrize(
    ("status", "kind", "message", "fix"),
    [
        (f"echo '{REFUSED}'; exit 65", "refused", f"(exit 65): Plan {HOSTILE} is broken.", "Plan again."),
        (f"echo '{DOWN}'; exit 1", "failed", "(exit 1): The bucket cannot be reached.", "See the network."),
        ("echo \"No such command 'status'.\" >&2; exit 2", "refused", "No such command 'status'.", "VITALPREP_COMMAND"),
        ("echo '{\"ok\": true}'", "no-worker", "printed no status", "VITALPREP_COMMAND"),
        ("kill -KILL $$", "failed", "exit -9", "VITALPREP_COMMAND"),
    ],
)
def test_the_worker_s_trouble_is_told(airflow: Any, says: Any, status: str, kind: str, message: str, fix: str) -> None:
    says(status=status)
    found = airflow("/vitalprep/status").json()
    assert found["status"] is None
    assert found["problem"]["kind"] == kind
    assert message in found["problem"]["message"]
    assert fix in found["problem"]["fix"]
    told = airflow(f"/vitalprep/report?dataset={KNOWN}")
    assert told.status_code in (404, 502)
    assert "Fix" in told.text
    assert HOSTILE not in told.text


def test_no_worker_and_no_output(airflow: Any, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    says()
    monkeypatch.setenv("VITALPREP_COMMAND", "/nowhere/vitalprep")
    problem = airflow("/vitalprep/status").json()["problem"]
    assert problem["kind"] == "no-worker"
    assert "'/nowhere/vitalprep' cannot be started (No such file or directory)" in problem["message"]
    forget()
    monkeypatch.delenv("VITALPREP_OUTPUT")
    problem = airflow("/vitalprep/status").json()["problem"]
    assert problem["kind"] == "no-output"
    assert "VITALPREP_OUTPUT" in problem["fix"]


def test_a_worker_that_hangs_is_stopped(airflow: Any, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitalprep_airflow.page.worker.STATUS_SECONDS", 0.3)
    says(status="exec sleep 60")
    assert airflow("/vitalprep/status").json()["problem"]["kind"] == "too-slow"


def test_many_visitors_start_one_process(airflow: Any, says: Any) -> None:
    calls = says(status=f"sleep 0.5; echo '{answer()}'")
    visitors = [threading.Thread(target=airflow, args=("/vitalprep/status",)) for _ in range(6)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert airflow("/vitalprep/status").json()["problem"] is None
    assert calls.read_text().split() == ["status", "/nowhere", "--json"]


def test_unknown_ids_start_no_process(airflow: Any, says: Any, for_ever: None) -> None:
    calls = says(status=f"echo '{answer(dataset(), older=[OTHER])}'", report="echo secret")
    for number in range(80):
        asked = (f"{number:012x}", f"{number} --json", f"s3://elsewhere/{number}", "0" * 5000 + str(number))[number % 4]
        found = airflow("/vitalprep/status", params={"dataset": asked}).json()
        assert (found["status"], found["problem"]["kind"]) == (None, "unknown")
        assert airflow("/vitalprep/report", params={"dataset": asked}).status_code == 404
    assert calls.read_text().splitlines() == ["status /nowhere --json"]


def test_a_worker_that_names_no_older_data_sets(airflow: Any, says: Any) -> None:
    """One of an earlier version, behind plugins of this one."""
    says(status="""echo '{"ok": true, "datasets": []}'""")
    found = airflow("/vitalprep/status", params={"dataset": OTHER}).json()
    assert found["problem"]["kind"] == "unknown"


def test_many_data_sets_are_asked_for_one_after_the_other(airflow: Any, says: Any, tmp_path: Path) -> None:
    """Who would wait too long is told so; the overview waits for nobody."""
    gate, older = tmp_path / "gate", [f"{number:012x}" for number in range(12)]
    shut = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    overview = answer(dataset(), older=older)
    calls = says(status=f"case \"$*\" in *--dataset*) {shut}; echo '{answer(dataset())}';; *) echo '{overview}';; esac")
    token = bearer("viewer")
    came: queue.Queue[Any] = queue.Queue()

    def visit(asked: str) -> None:
        came.put(airflow(f"/vitalprep/status?dataset={asked}", role=None, headers=token))

    visitors = [threading.Thread(target=visit, args=(asked,)) for asked in older]
    for visitor in visitors:
        visitor.start()
    refused = [came.get(timeout=60) for _ in range(8)]
    assert airflow("/vitalprep/status", role=None, headers=token).json()["problem"] is None
    assert [(found.status_code, found.headers["retry-after"]) for found in refused] == [(503, "5")] * 8
    assert "Too many visitors" in refused[0].json()["detail"]
    assert sum("--dataset" in call for call in calls.read_text().splitlines()) <= 1, "one at a time"
    gate.touch()
    for visitor in visitors:
        visitor.join()
    assert [came.get().json()["problem"] for _ in range(4)] == [None] * 4
    assert sum("--dataset" in call for call in calls.read_text().splitlines()) == 4


def test_who_waits_long_is_told_to_come_back(
    airflow: Any, says: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_ever: None
) -> None:
    gate = tmp_path / "gate"
    calls = says(status=f"while [ ! -e {gate} ]; do sleep 0.05; done; echo '{answer(dataset())}'")
    with monkeypatch.context() as impatient:
        impatient.setattr(page(), "WAIT_SECONDS", 0.1)
        for path in ("status", f"report?dataset={KNOWN}"):
            found = airflow(f"/vitalprep/{path}")
            assert (found.status_code, found.headers["retry-after"]) == (503, "5")
            assert "Fix" in found.text
    gate.touch()
    assert airflow("/vitalprep/status").json()["status"]["latest"] == KNOWN
    assert calls.read_text().splitlines() == ["status /nowhere --json"], "the same process goes on"


def test_an_answer_is_waited_for_by_all_and_kept(airflow: Any) -> None:
    """Also while so many others are asked for that it would not be kept."""
    worker = importlib.import_module("vitalprep_airflow.page.worker")
    answers = worker.Answers(seconds=math.inf, size=1, waiting=3)
    gate, asked = threading.Event(), []

    def ask(key: str) -> str:
        gate.wait()
        asked.append(key)
        return key

    pending = [answers.of(key, partial(ask, key)) for key in ("a", "b", "c", "a", "b", "c")]
    assert pending[:3] == pending[3:]
    with pytest.raises(worker.PageError, match="Too many visitors"):
        answers.of("d", partial(ask, "d"))
    gate.set()
    assert [one.result()[1] for one in pending[:3]] == asked == ["a", "b", "c"]
    assert len(answers._kept) == 1, "no more is held than is to be kept"
    assert answers.of("c", partial(ask, "c")).result()[1] == "c"
    assert asked == ["a", "b", "c"]
    assert answers.of("a", partial(ask, "a")).result()[1] == "a"
    assert asked == ["a", "b", "c", "a"]


def test_a_question_that_broke_is_asked_again() -> None:
    answers = importlib.import_module("vitalprep_airflow.page.worker").Answers(seconds=math.inf, size=1, waiting=1)
    assert isinstance(answers.of("a", lambda: 1 / 0).exception(), ZeroDivisionError)
    assert answers.of("a", lambda: 1.0).result()[1] == 1


PRICE = {"ok": True, "spot": 0.03, "on_demand": 0.1, "label": "ECS", "region": "eu-west-1", "priced": "2026-09-11"}


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"VITALPREP_BACKEND": "ecs"}, "cost --hour-of fargate --json"),
        (
            {
                "VITALPREP_BACKEND": "ecs",
                "VITALPREP_ECS_SHARD_CPU": "512",
                "VITALPREP_ECS_SHARD_MEMORY": "4096",
                "VITALPREP_PRICES": "s3://own/prices.yaml",
                "VITALPREP_ON_DEMAND_SHARDS": "2",
            },
            "cost --hour-of fargate --vcpus 0.5 --memory-gb 4 --prices s3://own/prices.yaml --json",
        ),
        ({"VITALPREP_BACKEND": "sagemaker"}, "cost --hour-of ml.m5.large --json"),
        (
            {"VITALPREP_BACKEND": "sagemaker", "VITALPREP_SAGEMAKER_INSTANCE_TYPE": "ml.c5.xlarge"},
            "cost --hour-of ml.c5.xlarge --json",
        ),
    ],
)
def test_what_a_shard_costs(
    airflow: Any, says: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], command: str
) -> None:
    calls = says(status=f"echo '{answer()}'", cost=f"echo '{json.dumps(PRICE)}'")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    first = int(settings.get("VITALPREP_ON_DEMAND_SHARDS", 0))
    assert airflow("/vitalprep/status").json()["price"] == PRICE | {"on_demand_shards": first}
    assert command in calls.read_text().splitlines()


def test_a_machine_of_one_s_own_has_no_price(airflow: Any, says: Any) -> None:
    calls = says(status=f"echo '{answer()}'")
    assert airflow("/vitalprep/status").json()["price"] is None
    assert "cost" not in calls.read_text()


def test_an_unknown_price_hides_nothing_else(airflow: Any, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    says(status=f"echo '{answer()}'", cost='echo \'{"ok": false, "message": "No price of ml.c5.large."}\'; exit 2')
    monkeypatch.setenv("VITALPREP_BACKEND", "sagemaker")
    found = airflow("/vitalprep/status").json()
    assert "No price of ml.c5.large." in found["price"]["problem"]
    assert found["status"]["latest"] == KNOWN


def test_links_from_tasks(dag: Any) -> None:
    from vitalprep_airflow.page.links import ReportLink

    assert [link.name for link in dag.get_task("dataset_ready").operator_extra_links] == ["Report"]
    assert "Progress" in [link.name for link in dag.get_task("harmonize").operator_extra_links]
    sensor = dag.get_task("dataset_ready")
    sensor.dataset = f"s3://bucket/out/datasets/{KNOWN}/"
    assert ReportLink().get_link(sensor, ti_key=None) == f"/plugin/vitalprep/vitalprep/?dataset={KNOWN}"
