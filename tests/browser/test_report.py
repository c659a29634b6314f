"""The report in a browser, on a desk and on a phone: drawn, usable by keyboard, without an error, accessible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report, the page of one case, the page of an excluded one, a comparison, and an inspection."""
    recordings, output = tmp_path_factory.mktemp("looked-at"), tmp_path_factory.mktemp("pages")
    damage = {"truncated": 0.1, "unit": 0.1}
    simulate_folder(recordings, SimulationOptions(seed=15, cases=16, hours=0.25, spread=0.5, damage=damage))
    command = ("run", "--input", recordings, "--output", output, "--set", "validation.min_success_rate=0.5")
    dataset = Path(run_vitalprep(*command).result["dataset"])
    other = run_vitalprep(*command, "--cases", "2-16", "--set", "windowing.step=60").result["dataset"]
    files = {name: output / f"{name}.html" for name in ("case", "excluded", "diff", "inspect")}
    receipts = {path: b'"status":"ok"' in path.read_bytes() for path in sorted(output.glob("harmonized/*/*.json"))}
    numbers = {ok: next(int(path.name[:4]) for path, fine in receipts.items() if fine is ok) for ok in (True, False)}
    for name, ok in (("case", True), ("excluded", False)):
        made = run_vitalprep("report", "--dataset", dataset, "--case", str(numbers[ok]), "--output", files[name])
        assert made.exit_code == 0
    assert run_vitalprep("diff", dataset, other, "--html", files["diff"]).exit_code == 0
    assert run_vitalprep("inspect", recordings, "--profile", "draeger", "--html", files["inspect"]).exit_code == 0
    return {"report": dataset / "report.html", **files}


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab that may not reach anything but files, and whose errors fail the test."""
    context = browser.new_context(viewport=request.param, has_touch=request.param is PHONE)
    tab = context.new_page()
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda asked: None if asked.url.startswith("file:") else trouble.append(asked.url))
    yield tab
    context.close()
    assert trouble == []


def _open(page: Page, file: Path) -> None:
    page.goto(file.as_uri())


@pytest.mark.parametrize("name", ["report", "case", "excluded", "diff", "inspect"])
def test_axe_finds_nothing(page: Page, pages: dict[str, Path], name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    _open(page, pages[name])
    found: dict[str, Any] = axe.Axe().run(page).response
    assert found["passes"], "axe looked at something"
    assert [(v["id"], [node["target"] for node in v["nodes"]][:3]) for v in found["violations"]] == []


@pytest.mark.parametrize("name", ["report", "case", "excluded", "diff", "inspect"])
def test_nothing_runs_over_the_side(page: Page, pages: dict[str, Path], name: str) -> None:
    _open(page, pages[name])
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    if name == "report":  # also of what is folded
        page.locator("summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= seen


@pytest.mark.parametrize("name", ["report", "case", "excluded", "diff", "inspect"])
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "dark")])
def test_a_narrow_or_a_dark_screen_is_as_good(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: Any
) -> None:
    """320 px are a desk's page at 400 % (WCAG 1.4.10)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    _open(page, pages[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found: dict[str, Any] = axe.Axe().run(page).response
    assert [(v["id"], [node["target"] for node in v["nodes"]][:3]) for v in found["violations"]] == []
    assert page.evaluate("[...document.querySelectorAll('table')].filter(table => !table.caption).length") == 0
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    context.close()


def test_first_columns_stay_where_a_phone_scrolls_a_table(browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    _open(page, pages["report"])
    region = page.get_by_role("region", name="All cases")
    region.evaluate("region => { region.scrollLeft = 250; }")
    assert region.evaluate("region => region.scrollLeft") > 100
    left = (
        "region => region.querySelector('tbody th').getBoundingClientRect().left - region.getBoundingClientRect().left"
    )
    assert 0 <= region.evaluate(left) < 5
    heights = page.locator("#case-table tbody tr:visible").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert max(heights) < 40, "rows are one line high"
    context.close()


def test_windows_have_marks_only_where_there_is_room(browser: Browser, pages: dict[str, Path]) -> None:
    """At least 3 px apart: the same page has them on a desk and not in a narrow window."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    _open(page, pages["case"])
    marks = page.locator(".windows path.starts")
    shown = "mark => parseFloat(getComputedStyle(mark).strokeWidth) > 0"
    apart = "mark => mark.closest('.plot').clientWidth * parseFloat(mark.style.getPropertyValue('--apart'))"
    seen = []
    for width in (1280, 700, 420, 320, 200, 120):
        page.set_viewport_size({"width": width, "height": 900})
        assert marks.evaluate(shown) == (marks.evaluate(apart) > 3), width
        seen.append(marks.evaluate(shown))
    assert seen[0]
    assert not seen[-1]
    context.close()


def test_the_charts_are_drawn(page: Page, pages: dict[str, Path]) -> None:
    _open(page, pages["report"])
    charts = page.locator("svg.histogram")
    assert charts.count() >= 5 + 10
    for index in range(charts.count()):
        box = charts.nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 80
    curves = page.locator("svg.histogram path.curve")
    heights = [curves.nth(index).evaluate("path => path.getBBox().height") for index in range(curves.count())]
    assert sum(height > 20 for height in heights) > 0.8 * len(heights)
    strips = page.locator("article.case:not([hidden]) .strip svg path.measured")
    assert strips.count() >= 8
    assert all(strips.nth(i).evaluate("path => path.getTotalLength()") > 100 for i in range(strips.count()))


def test_cases_are_filtered_and_sorted(page: Page, pages: dict[str, Path]) -> None:
    _open(page, pages["report"])
    form = page.locator("#list form")
    rows = page.locator("#case-table tbody tr:visible")
    assert rows.count() == 16
    form.get_by_label("Outcome").select_option("excluded")
    excluded = rows.count()
    assert 1 <= excluded < 16
    assert f"{excluded} of {excluded} matching" in page.locator("#shown").inner_text()
    assert "written" not in rows.locator("td:nth-child(3)").all_inner_texts()
    form.get_by_label("Outcome").select_option("truncated")
    assert set(rows.locator("td:nth-child(3)").all_inner_texts()) == {"truncated"}
    form.get_by_label("Outcome").select_option("")
    form.get_by_label("Split").select_option("test")
    assert set(rows.locator("td:nth-child(2)").all_inner_texts()) == {"test"}
    form.get_by_label("Split").select_option("")
    form.get_by_label("Search").fill("0007.VITAL")
    assert rows.locator("th").all_inner_texts() == ["7"]
    form.get_by_label("Search").fill("nothing like this")
    assert rows.count() == 0
    form.get_by_label("Search").fill("")
    button = page.get_by_role("button", name="windows")
    button.click()
    windows = [int(text) for text in rows.locator("td:nth-child(5)").all_inner_texts()]
    assert windows == sorted(windows)
    assert page.locator("#case-table th[aria-sort=ascending]").inner_text() == "windows"
    button.press("Enter")
    windows = [int(text) for text in rows.locator("td:nth-child(5)").all_inner_texts()]
    assert windows == sorted(windows, reverse=True)


def test_the_gallery_is_browsed_by_keyboard(page: Page, pages: dict[str, Path]) -> None:
    _open(page, pages["report"])
    shown = page.locator("#gallery article.case:visible")
    which = page.get_by_label("Case", exact=True)
    choices = which.locator("option").evaluate_all("options => options.map(option => option.value)")
    assert len(choices) >= 3
    assert shown.evaluate_all("items => items.map(item => item.id)") == [choices[0]]
    said = page.locator("#place")
    assert (said.get_attribute("role"), said.inner_text()) == ("status", ""), "the page opens without a word"
    page.get_by_role("button", name="Next").press("Enter")
    assert said.inner_text() == f"case {which.locator('option').nth(1).inner_text()}, 2 of {len(choices)}"
    assert shown.evaluate_all("items => items.map(item => item.id)") == [choices[1]]
    page.get_by_role("button", name="Previous").press("Space")
    page.get_by_role("button", name="Previous").press("Space")
    assert shown.evaluate_all("items => items.map(item => item.id)") == [choices[-1]]
    which.select_option(choices[2])
    assert shown.evaluate_all("items => items.map(item => item.id)") == [choices[2]]
    page.locator(f'#case-table a[href="#{choices[1]}"]').click()
    # The browser tells of another hash a moment after the click; the focus moves last.
    page.wait_for_function("id => document.activeElement.id === id", arg=choices[1])
    assert shown.evaluate_all("items => items.map(item => item.id)") == [choices[1]]


def test_splits_are_taken_out_of_the_charts(page: Page, pages: dict[str, Path]) -> None:
    _open(page, pages["report"])
    curves = page.locator("#signals .of-test")
    assert curves.first.is_visible()
    page.get_by_label("test", exact=True).uncheck()
    assert not curves.first.is_visible()
    assert page.locator("#signals .of-train").first.is_visible()
    page.get_by_label("test", exact=True).check()
    assert curves.first.is_visible()


def test_the_skip_link_comes_first(page: Page, pages: dict[str, Path]) -> None:
    _open(page, pages["report"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").is_visible()


def test_without_script_everything_is_there(browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport=DESK, java_script_enabled=False)
    page = context.new_page()
    _open(page, pages["report"])
    assert page.locator("#gallery article.case:visible").count() >= 3
    assert page.locator("#case-table tbody tr:visible").count() == 16
    assert page.locator(".choice:visible").count() == 0, "nothing that would not work"
    context.close()


def test_it_prints_on_a4(browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport={"width": 703, "height": 1000})  # 186 mm, A4 less its margins
    page = context.new_page()
    _open(page, pages["report"])
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator(".choice:visible").count() == 0
    assert page.locator("svg.histogram:visible").count() >= 15
    assert page.evaluate("document.documentElement.scrollWidth") <= 703, "nothing is cut off"
    pdf = page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm"))
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    context.close()


def test_what_was_injected_does_not_run(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """Should a text ever get through unescaped, the page's policy still stops it."""
    spoiled = tmp_path / "spoiled.html"
    text = pages["report"].read_text()
    spoiled.write_text(
        text.replace("<main", "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><main")
    )
    context = browser.new_context()
    page = context.new_page()
    _open(page, spoiled)
    assert page.locator("#case-table tbody tr:visible").count() == 16, "its own script ran"
    assert page.evaluate("window.ran") is None
    context.close()
