"""The report of 3,000 cases in a browser: a case is found, pages and sorts lay few rows out, what counts is printed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.report.synthetic import surgical_data_set
from vitalprep.contract.warning import DataWarning
from vitalprep.report.report import Stored, report_html
from vitalprep.report.warnings import warnings_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CASES = 3000
NOTES = tuple(
    DataWarning(
        code="splits_differ", level="note", item=item, values={"test": 0.12}, message=f"{item} differs by chance"
    )
    for item in ("height", "weight")
)
PAGE = 100  # rows of one page


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return surgical_data_set(tmp_path_factory.mktemp("three-thousand"), CASES)


@pytest.fixture(scope="module")
def file(data: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large-page") / "report.html"
    path.write_bytes(report_html(data, [*warnings_of(data.plan, data.account), *NOTES]))
    return path


@pytest.fixture(scope="module")
def page(browser: Browser, file: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.goto(file.as_uri())
    yield tab
    context.close()
    assert trouble == []


def _shown(page: Page) -> list[int]:
    """Return the numbers of the cases whose rows are laid out, in their order."""
    rows = "[...document.getElementById('case-table').tBodies[0].rows]"
    found = page.evaluate(f"{rows}.filter(row => row.offsetHeight).map(row => row.cells[0].innerText)")
    return [int(text) for text in found]


def _search(page: Page, text: str) -> list[int]:
    page.get_by_label("Search").fill(text)
    return _shown(page)


def test_no_two_cases_are_alike_and_the_page_is_small(data: Stored, file: Path) -> None:
    receipts = [receipt for receipt in data.account.receipts.values() if receipt.status == "ok"]
    assert len({f"{receipt.seconds} {dict(receipt.features)}" for receipt in receipts}) == len(receipts)
    assert len({receipt.seconds for receipt in receipts}) > 2000
    assert file.stat().st_size < 10_000_000


@pytest.mark.parametrize("number", [1, 12, 30, 299, 2999, 3000])
def test_a_number_finds_its_case_and_no_other(page: Page, number: int) -> None:
    assert _search(page, str(number)) == [number]
    assert page.locator("#shown").inner_text().startswith("1 of 1 matching cases shown, 3,020 in all")
    assert _search(page, f"{number:04d}.vital") == [number]
    assert _search(page, "") == list(range(1, PAGE + 1))


def test_texts_are_found_in_object_outcome_and_detail(page: Page, data: Stored) -> None:
    receipts = data.account.receipts.items()
    truncated = sorted(case for case, receipt in receipts if receipt.reason == "truncated")
    assert _search(page, "Truncated") == truncated
    assert _search(page, "stops at byte") == truncated
    detail = data.account.receipts[truncated[3]].detail or ""
    assert _search(page, detail.split()[-1]) == [truncated[3]], "a number that no case has"
    assert _search(page, "validation") == [], "that is what the split's list is for"
    assert _search(page, "") == list(range(1, PAGE + 1))


def test_pages_are_added_one_by_one_or_all_at_once(page: Page) -> None:
    more, every = page.locator("#more"), page.locator("#all")
    assert more.inner_text() == "Show 100 more"
    more.click()
    assert _shown(page) == list(range(1, 2 * PAGE + 1))
    assert page.locator("#shown").inner_text() == "200 of 3,020 matching cases shown, 3,020 in all"
    assert every.inner_text() == "Show all 3,020"
    every.press("Enter")
    assert len(_shown(page)) == 3020
    assert more.is_hidden()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "All cases", "the focus is not lost"
    split = page.locator("#list form").get_by_label("Split")
    split.select_option("test")
    assert len(_shown(page)) == PAGE
    split.select_option("")
    assert len(_shown(page)) == PAGE


def test_sorting_brings_the_extremes_up_and_lays_out_one_page(page: Page, data: Stored) -> None:
    windows = {case: outcome.windows for case, outcome in data.account.outcomes.items()}
    head = page.locator("#case-table thead th", has_text="windows").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [windows.get(case, 0) for case in _shown(page)] == [0] * PAGE
    head.get_by_role("button").click()
    arrow = "head => getComputedStyle(head.querySelector('button'), '::after').content"
    assert "\u25bc" in head.evaluate(arrow), "which way is seen, too"
    shown = _shown(page)
    assert [windows[case] for case in shown] == sorted(windows.values(), reverse=True)[:PAGE]
    page.locator("#more").click()
    assert [windows[case] for case in _shown(page)] == sorted(windows.values(), reverse=True)[: 2 * PAGE]
    page.get_by_role("button", name="case", exact=True).click()
    assert _search(page, " ")[:3] == [1, 2, 3]
    page.get_by_label("Search").fill("")


def test_paper_has_the_excluded_cases_the_notes_and_every_example(
    browser: Browser, data: Stored, file: Path, tmp_path: Path
) -> None:
    excluded = [case.case_id for case in data.plan.excluded]
    excluded += [case for case, receipt in data.account.receipts.items() if receipt.status != "ok"]
    assert len(excluded) == 120
    context = browser.new_context(viewport={"width": 703, "height": 1000}, color_scheme="dark")
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_label("Search").fill("12")  # what the screen shows is not what is printed
    page.locator("#warnings summary").click()
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(page.pdf(format="A4", prefer_css_page_size=True))
    # Folded again, which the page does when the browser tells it that printing has ended.
    page.wait_for_function("() => document.querySelectorAll('#warnings details[open]').length === 0")
    page.emulate_media(media="print")
    assert sorted(_shown(page)) == sorted(excluded)
    assert page.locator("#gallery .case:visible").count() == page.locator("#gallery .case").count() >= 6
    items = page.locator("#warnings details li[data-code] strong")
    assert {"height", "weight"} <= set(items.all_inner_texts())
    assert page.locator("#case-table thead .printed:visible").count() == page.locator("#case-table thead th").count()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "not dark"
    context.close()
    if shutil.which("pdftotext") is None:
        return
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    for case in excluded:
        receipt = data.account.receipts.get(case)
        assert (receipt.reason if receipt and receipt.reason else "raw_object_missing") in lines[str(case)]
    warned = text[text.index("Warnings") : text.index("What became of the cases")]
    assert all(f"{note.item} test +0.12" in warned for note in NOTES)
    assert text.count("the first window, and the time of its target") >= 6, "a legend for each example"


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "light"), (390, "dark"), (390, "light"), (1280, "light"), (1280, "dark")]
)
def test_it_is_accessible_and_fits(browser: Browser, file: Path, width: int, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found: dict[str, Any] = axe.Axe().run(page).response
    assert found["passes"], "axe looked at something"
    assert [(v["id"], [node["target"] for node in v["nodes"]][:3]) for v in found["violations"]] == []
    tables = page.evaluate("[...document.querySelectorAll('table')].filter(table => !table.caption).length")
    assert tables == 0, "every table has a name"
    context.close()
