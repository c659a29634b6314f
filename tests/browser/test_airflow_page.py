"""The page in Airflow, from the login to a cleared shard and the report of what it completed; and the trigger form.

The tests are one story on one Airflow, in the order of this file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.browser.test_report import DESK, PHONE
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-airflow" / "bin" / "python"
PASSWORDS = {"admin": "the-admin-of-a-test", "viewer": "the-viewer-of-a-test"}
DAG = "vitaldb_preprocessing"
WAIT = 400_000  # ms; for what a scheduler does, on a busy machine
AIRFLOWS_FRAME = "allow-scripts and allow-same-origin for its sandbox"  # of the frame in which Airflow shows the page
FORM = {
    "Cases", "Input", "Output", "Clinical table", "Append to", "Shards", "Configuration file", "Single settings",
    "Do everything again",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow-page")


@pytest.fixture(scope="module")
def site(browser: Browser, folder: Path) -> Iterator[str]:
    """The address of an Airflow whose shard 1 waits, then fails."""
    if not PYTHON.exists():
        pytest.skip("Airflow is not installed (make airflow)")
    simulate_folder(folder / "input", SimulationOptions(seed=7, cases=12, hours=0.2, spread=0.3))
    (folder / "passwords.json").write_text(json.dumps(PASSWORDS))
    for name in ("wait", "refuse"):
        (folder / name).touch()
    command = [PYTHON, "-m", "tests.browser.airflow_server", folder]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert server.stdin is not None
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    assert url, (folder / "log").read_text()
    yield url
    server.stdin.close()
    assert server.wait(90) == 0


@pytest.fixture(scope="module")
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """``visit(path, user="admin", view=DESK, dark=False)``: a tab of somebody who has logged in.

    An error of our page's in the browser's console fails the module.
    """
    contexts: dict[tuple[Any, ...], Any] = {}
    trouble: list[str] = []

    def hear(message: Any) -> None:
        ours = "/vitalprep/" in message.location["url"] and AIRFLOWS_FRAME not in message.text
        if ours and message.type in ("error", "warning"):
            trouble.append(message.text)

    def open_tab(path: str, user: str = "admin", view: Any = DESK, dark: bool = False) -> Page:
        key = user, view["width"], dark
        new = key not in contexts
        if new:
            contexts[key] = browser.new_context(viewport=view, color_scheme="dark" if dark else "light")
            contexts[key].set_default_timeout(WAIT)
        tab = contexts[key].new_page()
        tab.on("console", hear)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.goto(f"{site}{path}")
        if new:
            log_in(tab, user)
        return tab

    yield open_tab
    for context in contexts.values():
        context.close()
    assert trouble == []


def log_in(tab: Page, user: str) -> None:
    tab.locator("input[name=username]").fill(user)
    tab.locator("input[name=password]").fill(PASSWORDS[user])
    tab.keyboard.press("Enter")
    tab.locator("input[name=password]").wait_for(state="detached")


def picture(tab: Page, name: str) -> None:
    """Keep what is seen, for people, if a folder is named."""
    if folder := os.environ.get("VITALPREP_TEST_PICTURES"):
        tab.screenshot(path=Path(folder) / f"{name}.png")


def clean_by_axe(tab: Page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found: dict[str, Any] = axe.Axe().run(tab).response
    assert found["passes"], "axe looked at something"
    assert [(v["id"], [node["target"] for node in v["nodes"]][:3]) for v in found["violations"]] == []


def shard(tab: Any, index: int) -> Any:
    return tab.locator("#shards tbody tr", has=tab.get_by_role("rowheader", name=re.compile(f"^Shard {index}")))


def test_a_login_leads_to_the_page(visit: Callable[..., Page]) -> None:
    tab = visit("/vitalprep/")
    tab.wait_for_url("**/vitalprep/")
    tab.get_by_role("heading", name="vitalprep").wait_for()
    tab.get_by_text("No run yet.").wait_for()
    tab.get_by_text("No data set yet: the first run writes one.").wait_for()
    picture(tab, "empty")
    clean_by_axe(tab)


def test_it_stands_in_the_navigation(visit: Callable[..., Page]) -> None:
    tab = visit("/")
    tab.get_by_role("link", name="vitalprep").click()
    tab.frame_locator("iframe").get_by_role("heading", name="vitalprep").wait_for()
    assert "/plugin/vitalprep" in tab.url


def test_the_form_tells_what_each_field_is_and_begins_a_run(visit: Callable[..., Page], folder: Path) -> None:
    tab = visit(f"/dags/{DAG}")
    tab.get_by_role("button", name="Trigger").first.click()
    form = tab.get_by_role("dialog")
    form.get_by_role("spinbutton", name="Shards").wait_for()
    fields = {
        lines[0]: lines[-1]
        for group in form.locator("[role=region] [role=group]").all()
        if len(lines := [line for line in group.inner_text().splitlines() if line.strip() not in ("", "*")]) > 1
    }
    assert set(fields) >= FORM
    assert all(len(text) > 30 and text.endswith(".") for name, text in fields.items() if name in FORM), fields
    assert form.locator("#element_input").input_value() == str(folder / "input")
    assert form.locator("#element_output").input_value() == str(folder / "output")
    picture(tab, "form")
    form.get_by_role("spinbutton", name="Shards").fill("3")
    form.get_by_role("button", name="Trigger").click()
    form.wait_for(state="detached")


def test_shards_move_while_one_waits(visit: Callable[..., Page]) -> None:
    tab = visit("/vitalprep/")
    for index in (0, 2):
        shard(tab, index).locator(".state", has_text="done").wait_for()
        assert shard(tab, index).get_by_role("progressbar").get_attribute("value") == "4"
    shard(tab, 1).locator(".state", has_text="running").wait_for()
    assert not shard(tab, 1).get_by_role("button").count()
    tab.locator("#stages").get_by_text("harmonize: 2 of 3 done").wait_for()
    assert tab.locator("#run-cost").is_hidden(), "a machine of one's own has no price"
    picture(tab, "running")


def test_a_failed_shard_can_be_run_again_by_who_may(visit: Callable[..., Page], folder: Path) -> None:
    (folder / "wait").unlink()
    tab = visit("/vitalprep/")
    shard(tab, 1).locator(".state", has_text="failed").wait_for()
    shard(tab, 1).get_by_role("button", name="Run Shard 1 again").wait_for()
    tab.locator("#run-line").get_by_text("failed").wait_for()
    reader = visit("/vitalprep/", user="viewer")
    shard(reader, 1).locator(".state", has_text="failed").wait_for()
    assert reader.get_by_role("button", name=re.compile("again")).count() == 0
    assert shard(reader, 1).get_by_role("link", name="Log of Shard 1").is_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", [DESK, PHONE], ids=["desk", "phone"])
def test_it_can_be_read(visit: Callable[..., Page], view: Any, dark: bool) -> None:
    tab = visit("/vitalprep/", view=view, dark=dark)
    shard(tab, 1).locator(".state", has_text="failed").wait_for()
    picture(tab, f"failed-{view['width']}-{'dark' if dark else 'light'}")
    clean_by_axe(tab)
    wide, seen = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    button = shard(tab, 1).get_by_role("button", name="Run Shard 1 again")
    box = button.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= seen


def test_asking_is_not_doing(visit: Callable[..., Page]) -> None:
    """By keyboard: the question has the focus, Escape and Cancel change nothing."""
    tab = visit("/vitalprep/")
    button = shard(tab, 1).get_by_role("button", name="Run Shard 1 again")
    for leave in ("Escape", "Enter"):  # the button that is focused is Cancel
        button.focus()
        tab.keyboard.press("Enter")
        dialog = tab.get_by_role("dialog", name="Run this shard again?")
        dialog.wait_for()
        clean_by_axe(tab)
        tab.keyboard.press(leave)
        dialog.wait_for(state="hidden")
    tab.reload()
    shard(tab, 1).locator(".state", has_text="failed").wait_for()
    assert tab.locator("#done").is_hidden()


def test_the_log_says_why(visit: Callable[..., Page]) -> None:
    """From inside Airflow's frame the link turns Airflow's own page, and what the worker said is text there."""
    tab = visit("/plugin/vitalprep")
    shard(tab.frame_locator("iframe"), 1).get_by_role("link", name="Log of Shard 1").click()
    tab.wait_for_url(re.compile(rf"/dags/{DAG}/runs/.*/tasks/harmonize/mapped/1\?try_number=1"))
    tab.get_by_text("Case <b>4</b> changed. Fix: Plan again.").first.wait_for()


def test_the_cleared_shard_completes_the_run(visit: Callable[..., Page], folder: Path) -> None:
    (folder / "refuse").unlink()
    tab = visit("/plugin/vitalprep")
    page = tab.frame_locator("iframe").first
    shard(page, 1).get_by_role("button", name="Run Shard 1 again").click()
    page.get_by_role("button", name="Clear and run again").click()
    page.locator("#done").get_by_text("shard 1 runs again, then the tasks after it").wait_for()
    assert re.match(r"Cleared [5-9] tasks", page.locator("#done").inner_text())
    page.locator("#run-line").get_by_text("done").wait_for()
    shard(page, 1).locator(".state", has_text="done").wait_for()
    assert shard(page, 1).locator("td").nth(3).inner_text() == "2", "tries"
    row = page.locator("#datasets tbody tr").first
    row.get_by_text("published").wait_for()
    row.get_by_text("12 of 12").wait_for()
    dataset = row.get_by_role("rowheader").inner_text().split()[0]
    assert (folder / "output" / "datasets" / dataset / "validation.json").exists()
    page.frame_locator("#report").get_by_role("heading", name=f"Data set {dataset}").wait_for()
    picture(tab, "published")


def test_the_report_is_kept_from_airflow(visit: Callable[..., Page]) -> None:
    """Its script runs, in an origin of its own: no cookie, no way to Airflow's API."""
    tab = visit("/vitalprep/")
    tab.frame_locator("#report").get_by_role("heading", name=re.compile("^Data set")).wait_for()
    (report,) = [frame for frame in tab.frames if "/vitalprep/report" in frame.url]
    assert report.evaluate("window.origin") == "null"
    assert report.locator(".choice").first.is_visible(), "its own script ran"
    with pytest.raises(Exception, match="SecurityError"):
        report.evaluate("document.cookie")
    with pytest.raises(Exception, match="SecurityError"):
        report.evaluate("parent.document.title")
    address = tab.get_by_role("link", name="The report alone").get_attribute("href")
    alone = tab.context.new_page()  # Chromium says in its console that the script is blocked
    alone.goto(f"{tab.url}{address}")
    alone.get_by_role("heading", name=re.compile("^Data set")).wait_for()
    assert alone.locator(".choice").first.is_hidden(), "alone, no script of it runs at Airflow's address"


def test_the_sensor_leads_to_the_report(visit: Callable[..., Page], folder: Path) -> None:
    tab = visit("/vitalprep/")
    address = tab.locator("#run-line a").get_attribute("href")
    assert address
    (dataset,) = [path.parent.name for path in folder.glob("output/datasets/*/validation.json")]
    tab.goto(f"{address}/tasks/dataset_ready/details")
    tab.get_by_role("link", name="Report", exact=True).click()
    tab.wait_for_url(f"**/plugin/vitalprep/vitalprep/?dataset={dataset}")
    page = tab.frame_locator("iframe").first
    page.frame_locator("#report").get_by_role("heading", name=f"Data set {dataset}").wait_for()


def test_what_the_shards_cost(visit: Callable[..., Page]) -> None:
    """At a dollar a second on spot and a hundred on demand, dollars tell the seconds of each try and where it ran."""
    tab = visit("/vitalprep/")
    tab.locator("#run-line a").wait_for()
    run = tab.locator("#run-line a").inner_text()
    price = {"label": "a machine", "spot": 3600, "on_demand": 360000, "region": "here", "priced": "today"}

    def with_price(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"price": price | {"on_demand_shards": 1}})

    tab.route("**/vitalprep/status*", with_price)
    tab.reload()
    tab.locator("#run-cost").get_by_text("a machine").wait_for()
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run, safe='')}/taskInstances/harmonize"
    total = 0.0
    ms = 0.001  # a browser's dates count whole ones
    for index, each in enumerate((100, 1, 1)):
        tries = tab.evaluate(f"fetch('{path}/{index}/tries').then((answer) => answer.json())")["task_instances"]
        assert len(tries) == (2 if index == 1 else 1)
        dollars = sum(one["duration"] for one in tries) * each
        total += dollars
        shown = shard(tab, index).locator("td").nth(4).inner_text()
        assert float(shown) == pytest.approx(dollars, abs=2 * ms * each * len(tries) + 0.005)
    said = tab.locator("#run-cost").inner_text()
    assert float(re.findall(r"about ([0-9.]+) dollars", said)[0]) == pytest.approx(total, abs=2 * ms * 102 + 0.01)
    assert "3600.00 an hour on spot, 360000.00 on demand, list prices of here, today." in said
