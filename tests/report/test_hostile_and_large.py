"""Texts of the data are texts on the page whatever stands in them, and the page stays small."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.report.html_page import Element, parsed
from tests.report.synthetic import CONFIG, excluded_receipt, noisy_table, planned_case, receipt, stored, with_table
from vitalprep.contract.config import Config
from vitalprep.contract.paths import receipt_path
from vitalprep.contract.receipt import Receipt, UnitConflict
from vitalprep.report.examples import chosen_examples
from vitalprep.report.report import Stored, case_html, report_html
from vitalprep.report.warnings import warnings_of

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</table></section></title><style>*{display:none}</style>",
    "&lt;b&gt;&#60;script&#62;",
    "]]><!--",
    "\u202egnp.exe\u202c\x00\x07",
)
EVENTS = ("onerror", "onmouseover", "onload", "onclick", "onfocus")


def _split(number: int) -> str:
    return "train" if number % 20 < 14 else "validation" if number % 20 < 17 else "test"


def _with_tables(data: Stored, receipts: Mapping[int, Receipt]) -> Stored:
    """Give the cases that are drawn a table, the same one for all."""
    table = noisy_table(data.plan.config)
    for case_id in {1, *(example.case_id for example in chosen_examples(data.plan, data.account))}:
        data = with_table(data, receipts[case_id], table)
    return data


def _renamed(config: Config, name: str) -> Config:
    content = config.content()
    content["inputs"][0] |= {"name": name, "description": name, "unit": name}
    for source in content["inputs"][0]["sources"]:
        source["conversion"] = {"factor": 1.0}
    return Config.model_validate(content)


def _assert_harmless(page: bytes, texts: tuple[str, ...]) -> Element:
    root = parsed(page)
    assert len(list(root.all("script"))) == 1, "the page's own"
    assert not list(root.all("img"))
    assert len(list(root.all("style"))) == 1
    elements = [element for tag in ("td", "th", "a", "svg", "bdi", "strong", "article") for element in root.all(tag)]
    assert not [event for element in elements for event in EVENTS if event in element.attributes]
    for text in texts:
        shown = text if text.isprintable() else repr(text)[1:-1]
        assert shown in root.text, text
    assert "\u202e" not in page.decode()
    return root


@pytest.mark.parametrize("text", HOSTILE)
def test_what_the_data_say_is_shown_and_never_done(tmp_path: Path, text: str) -> None:
    config = _renamed(CONFIG, f"a{text}") if text.isprintable() else CONFIG
    cases = [planned_case(number, _split(number), object=f"folder/{text}.vital") for number in range(1, 41)]
    receipts = {case.case_id: receipt(case, config) for case in cases}
    receipts[1] = receipts[1].model_copy(update={"unit_conflicts": (UnitConflict(track=f"A/{text}", unit=text),)})
    receipts[2] = excluded_receipt(cases[1], f"why: {text}")
    data = _with_tables(stored(tmp_path, cases, receipts, config=config), receipts)
    data.output.put(receipt_path(data.plan.stem(2)), receipts[2].to_bytes())
    root = _assert_harmless(
        report_html(data, warnings_of(data.plan, data.account)), (text, f"A/{text}", f"why: {text}")
    )
    assert len(list(root.one("table", id="case-table").one("tbody").all("tr"))) == 40
    for case in (1, 2):
        _assert_harmless(case_html(data, case), (f"folder/{text}.vital",))


def test_the_policy_lets_only_the_pages_own_script_run(tmp_path: Path) -> None:
    cases = [planned_case(number, _split(number)) for number in range(1, 41)]
    receipts = {case.case_id: receipt(case) for case in cases}
    data = _with_tables(stored(tmp_path, cases, receipts), receipts)
    page = report_html(data, [])
    root = parsed(page)
    policy = next(item for item in root.all("meta") if "http-equiv" in item.attributes).attributes["content"] or ""
    digest = base64.b64encode(hashlib.sha256(root.one("script").text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    links = [item.attributes["href"] or "" for item in root.all("a")]
    assert links
    assert all(link.startswith("#") for link in links), "no network"
    assert not {"src", "srcset", "poster"} & {
        name for tag in ("img", "script", "iframe") for e in root.all(tag) for name in e.attributes
    }
    assert b"url(http" not in page
    assert b"@import" not in page


def test_three_thousand_cases_stay_under_ten_megabytes(tmp_path: Path) -> None:
    cases = [planned_case(number, _split(number)) for number in range(1, 3001)]
    receipts = {
        case.case_id: excluded_receipt(case, "track Solar8000/HR, byte 1234567: " + "x" * 200)
        if case.case_id % 50 == 0
        else receipt(case)
        for case in cases
    }
    data = _with_tables(stored(tmp_path, cases, receipts, gone=20), receipts)
    page = report_html(data, warnings_of(data.plan, data.account))
    assert len(page) < 10_000_000
    root = parsed(page)
    assert len(list(root.one("table", id="case-table").one("tbody").all("tr"))) == 3020
    assert len(list(root.one("section", id="gallery").all("article"))) >= 6
    assert page == report_html(data, warnings_of(data.plan, data.account)), "the same again"


def test_past_five_thousand_lines_the_excluded_ones_are_listed_first(tmp_path: Path) -> None:
    cases = [planned_case(number, _split(number)) for number in range(1, 5101)]
    receipts = {
        case.case_id: excluded_receipt(case, "late") if case.case_id > 5050 else receipt(case) for case in cases
    }
    data = _with_tables(stored(tmp_path, cases, receipts), receipts)
    root = parsed(report_html(data, []))
    listed = root.one("table", id="case-table").rows()
    assert len(listed) == 5000
    assert {str(number) for number in range(5051, 5101)} <= listed.keys(), "all that are excluded"
    assert "100 more written cases are listed in cases.csv" in root.one("p", id="shown").text


def test_empty_splits_are_shown_as_empty(tmp_path: Path) -> None:
    cases = [planned_case(number, "train") for number in range(1, 4)]
    receipts = {case.case_id: receipt(case) for case in cases}
    data = _with_tables(stored(tmp_path, cases, receipts), receipts)
    root = parsed(report_html(data, warnings_of(data.plan, data.account)))
    assert [cell.values()[0] for cell in root.one("table", id="split-sizes").rows()["windows"]] == [960, 0, 0]
    card = root.one("article", data_input="HR").one("table").rows()
    assert [cell.values()[0] for cell in card["mean"][1:]] == [None, None]
