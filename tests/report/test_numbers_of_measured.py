"""What report, card and metadata say was measured, left out and rejected, against tables and recordings."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import receipts, run_vitalprep
from tests.reference import design4
from tests.report.conftest import Reported
from tests.report.from_records import (
    INPUTS,
    REGISTRY,
    SPLITS,
    cases_of,
    filled,
    recording,
    records,
    records_in,
    registry_item,
    series,
    shown_share,
    text_of,
    unknown_unit,
)
from tests.report.html_page import Element, parsed

VITALS = [item["name"] for item in REGISTRY["inputs"] if item.get("vital")]
LEAST_INPUTS, LEAST_VITALS = 14, 0.9
ART, AT_LEAST = "Solar8000/ART_MBP", 30
BEAT = ("Solar8000/ART_SBP", "Solar8000/ART_DBP")


@pytest.fixture(scope="module")
def demanding(reported: Reported, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The same recordings, of which many windows are left out and a pressure must show a pulse."""
    output = tmp_path_factory.mktemp("demanding")
    pulse = f"{{high: {BEAT[0]}, low: {BEAT[1]}, at_least: {AT_LEAST}}}"
    settings = (
        "validation.min_success_rate=0.5",
        "split.allow_empty=true",
        f"windowing.min_observed_inputs={LEAST_INPUTS}",
        f"windowing.min_observed_fraction={LEAST_VITALS}",
        f"inputs.BP_MAP.sources.{ART}.pulse={pulse}",
    )
    command = ("run", "--input", reported.recordings, "--output", output, "--cases", "1-26")
    answer = run_vitalprep(*command, *(part for setting in settings for part in ("--set", setting)))
    assert answer.exit_code == 0, answer.result
    dataset = Path(answer.result["dataset"])
    return Reported(reported.recordings, dataset, parsed(dataset / "report.html"))


@cache
def _fates(output: Path) -> Counter[str]:
    """Return how many windows of all tables are to be written, unobserved and dropped."""
    fates: Counter[str] = Counter()
    for case, receipt in receipts(output).items():
        if receipt["status"] == "ok":
            columns = {name: series(output, case, name) for name in INPUTS}
            for start in design4.window_starts(len(columns["HR"])):
                fates[_fate({name: values[start : start + 300] for name, values in columns.items()})] += 1
    return fates


def _fate(window: dict[str, list[float]]) -> str:
    seen = {name: sum(not math.isnan(value) for value in values) for name, values in window.items()}
    if sum(count > 0 for count in seen.values()) < LEAST_INPUTS:
        return "unobserved"
    return "written" if sum(seen[name] for name in VITALS) >= LEAST_VITALS * 300 * len(VITALS) else "dropped"


def _written(reported: Reported) -> list[int]:
    return [case for split in SPLITS for case in cases_of(reported.dataset, split)]


def _origins(reported: Reported, names: list[str], splits: tuple[str, ...] = SPLITS) -> list[int]:
    cases = [case for split in splits for case in cases_of(reported.dataset, split)]
    codes = Counter(code for case in cases for name in names for code in filled(reported.output, case, name)[1])
    return [codes[code] for code in (0, 1, 2)]


def _of_targets(reported: Reported, splits: tuple[str, ...] = SPLITS) -> list[int]:
    codes = Counter(code for split in splits for r in records(reported.dataset, split) for code in r["target_origin"])
    return [codes[code] for code in (0, 1, 2)]


def _shares(counts: list[int]) -> list[float]:
    return [count / sum(counts) for count in counts]


def _observed_inputs(reported: Reported) -> dict[int, set[str]]:
    return {
        case: {name for name in INPUTS if not all(map(math.isnan, series(reported.output, case, name)))}
        for case in _written(reported)
    }


def test_the_first_paragraph_is_that_of_tables_and_windows(demanding: Reported) -> None:
    fates, observed = _fates(demanding.output), _observed_inputs(demanding)
    assert min(fates["written"], fates["unobserved"], fates["dropped"]) > 0, "each kind of window occurs"
    lead = demanding.page.one("p", id="measured")
    possible, seen = fates.total(), fates["written"] + fates["dropped"]
    with_vital = sum(any(name in found for name in VITALS) for found in observed.values())
    ever = set().union(*observed.values())
    assert lead.values() == pytest.approx([*_shares(_origins(demanding, INPUTS)), seen, with_vital, len(ever)])
    assert f"In {seen} of {possible} possible windows ({shown_share(seen, possible)}) at least 14 inputs were" in (
        text_of(lead)
    )
    assert f"{with_vital} of {len(observed)} cases" in text_of(lead)


def test_values_by_origin_are_those_of_tables_and_records(demanding: Reported) -> None:
    rows = demanding.page.one("table", id="measured-table").rows()
    expected = {
        "16 inputs, by second": (_origins(demanding, INPUTS), [_origins(demanding, INPUTS, (s,)) for s in SPLITS]),
        "7 vital signs, by second": (_origins(demanding, VITALS), [_origins(demanding, VITALS, (s,)) for s in SPLITS]),
        "8 targets, by window": (_of_targets(demanding), [_of_targets(demanding, (s,)) for s in SPLITS]),
    }
    assert rows.keys() == expected.keys()
    for name, (counts, parts) in expected.items():
        _, observed, held, default, *of_splits = rows[name]
        assert [cell.values() for cell in (observed, held, default)] == [[count] for count in counts]
        assert [text_of(cell) for cell in (observed, held, default)] == [shown_share(n, sum(counts)) for n in counts]
        for cell, part in zip(of_splits, parts, strict=True):
            assert cell.values() == ([pytest.approx(part[0] / sum(part))] if sum(part) else [None])


def _fact(page: Element, name: str) -> Element:
    facts = page.one("dl", id="measured-facts").all("div")
    return next(fact.one("dd") for fact in facts if fact.one("dt").text == name)


def test_windows_cases_and_inputs_are_those_of_the_tables(demanding: Reported) -> None:
    fates, observed = _fates(demanding.output), _observed_inputs(demanding)
    with_vital = sum(
        any(not math.isnan(v) for name in VITALS for v in series(demanding.output, case, name)[start : start + 300])
        for split in SPLITS
        for case, start in ((int(r["case_id"]), int(r["start_second"])) for r in records(demanding.dataset, split))
    )
    windows = _fact(demanding.page, "windows")
    counts = [fates["written"], fates.total(), fates["unobserved"], fates["dropped"], with_vital]
    assert windows.values() == counts
    assert f"Left out: {fates['unobserved']} with fewer than 14 inputs observed" in text_of(windows)
    assert _fact(demanding.page, "cases").values() == [sum(len(found) == 16 for found in observed.values())]
    most = [name for name in INPUTS if _shares(_origins(demanding, [name]))[0] > 0.5]
    never = [name for name in INPUTS if not any(name in found for found in observed.values())]
    inputs = _fact(demanding.page, "inputs")
    assert inputs.values() == [len(most)]
    assert text_of(inputs.one("strong")) == f"Never observed: {', '.join(never)}."


def test_windows_of_the_splits_add_up(demanding: Reported) -> None:
    rows = demanding.page.one("table", id="split-sizes").rows()
    fates = _fates(demanding.output)
    named = {
        "written": "windows",
        "unobserved": "windows left out: fewer than 14 inputs observed",
        "dropped": "windows left out: observed too little",
    }
    for fate, row in named.items():
        assert sum(cell.values()[0] or 0 for cell in rows[row]) == fates[fate]
    for place in range(len(SPLITS)):
        parts = [rows[row][place].values()[0] or 0 for row in named.values()]
        assert rows["windows possible: written and left out"][place].values() == [sum(parts)]


def test_no_window_is_left_out_where_all_are_observed(reported: Reported) -> None:
    """The page of the usual configuration asks for one input, and the simulated patients have one all the time."""
    lead = text_of(reported.page.one("p", id="measured"))
    windows = sum(len(records(reported.dataset, split)) for split in SPLITS)
    assert f"In {windows} of {windows} possible windows (100 %) an input was observed." in lead


def test_what_is_observed_and_how_gaps_are_filled_is_said(reported: Reported) -> None:
    rules = text_of(reported.page.one("dl", id="measured-rules"))
    assert "10 s to 10 min. 10 min holds for Solar8000/NIBP_SBP, Solar8000/NIBP_DBP, Solar8000/NIBP_MBP" in rules
    assert "No sample and no origin depends on a later one" in rules
    metadata = json.loads((reported.dataset / "preprocessing_metadata.json").read_bytes())
    assert metadata["gaps"] in rules


def _rejected(reported: Reported, name: str, source: dict[str, Any]) -> Counter[str]:
    low, high = source["limits"]
    found: Counter[str] = Counter()
    for case in _written(reported):
        read = recording(reported.recordings, case)
        if source["track"] not in read.numerics or unknown_unit(read, source):
            continue
        start = read.start_time if read.start_time is not None else read.first_time
        assert start is not None
        for time, value in records_in(read, source["track"]):
            if design4.second_of(time, start) >= 0:
                found["records"] += 1
                found["not_finite"] += not math.isfinite(value)
                found["below"] += math.isfinite(value) and value < low
                found["above"] += math.isfinite(value) and value > high
        if source["track"] == ART and name == "BP_MAP":
            found["no_pulse"] += _without_pulse(reported, case, source)
    return found


def _without_pulse(reported: Reported, case: int, source: dict[str, Any]) -> int:
    read = recording(reported.recordings, case)
    start = read.start_time if read.start_time is not None else read.first_time
    assert start is not None
    length = len(series(reported.output, case, "BP_MAP"))
    live = []
    for track, limits in ((ART, tuple(source["limits"])), (BEAT[0], (-1e9, 1e9)), (BEAT[1], (-1e9, 1e9))):
        plain = design4.Source(track=track, limits=limits, stale_after=source["stale_after"])
        found = records_in(read, track) if track in read.numerics else ()
        live.append(design4.live_series(design4.values_by_second(plain, found, start), source["stale_after"], length))
    return sum(
        value is not None and (high is None or low is None or high - low < AT_LEAST)
        for value, high, low in zip(*live, strict=True)
    )


def test_rejected_values_are_those_of_the_recordings(demanding: Reported) -> None:
    """By what each source's records were rejected is worked out again from the .vital files."""
    metadata = json.loads((demanding.dataset / "preprocessing_metadata.json").read_bytes())
    used: Counter[str] = Counter()
    for case, receipt in receipts(demanding.output).items():
        if case in _written(demanding):
            used.update(receipt["features"]["BP_MAP"]["live_seconds"])
    rows, seen = demanding.page.one("table", id="rejected-table").one("tbody"), Counter[str]()
    for row in rows.all("tr"):
        name, (track, limits, *cells) = next(row.all("th")).text.strip(), list(row.all("td"))
        source = next(source for source in registry_item(name)["sources"] if source["track"] == track.text)
        found = _rejected(demanding, name, source)
        rejected = found["below"] + found["above"] + found["not_finite"]
        assert text_of(limits).startswith(f"{source['limits'][0]:g} to {source['limits'][1]:g}")
        assert [cell.values()[0] for cell in cells[:4]] == [
            found[key] for key in ("records", "below", "above", "not_finite")
        ]
        assert text_of(cells[4]) == shown_share(rejected, found["records"])
        if track.text == ART and name == "BP_MAP":
            assert cells[5].values() == [found["no_pulse"]]
            assert cells[6].values() == [pytest.approx(found["no_pulse"] / (found["no_pulse"] + used[ART]))]
        else:
            assert text_of(cells[5]) == "not demanded"
        stated = metadata["rejected"].get(name, {}).get(track.text, {})
        assert {key: count for key, count in stated.items() if count} == {
            key: count for key, count in found.items() if count and key != "records"
        }
        seen.update(found)
    assert seen["below"] > 0
    assert seen["above"] > 0
    assert seen["no_pulse"] > 0


def test_the_metadata_count_what_was_left_out(demanding: Reported) -> None:
    metadata = json.loads((demanding.dataset / "preprocessing_metadata.json").read_bytes())
    fates, parts = _fates(demanding.output), metadata["splits"].values()
    assert sum(part["windows_unobserved"] for part in parts) == fates["unobserved"]
    assert sum(part["windows_dropped"] for part in parts) == fates["dropped"]
    for split in SPLITS:
        for column, target in enumerate(REGISTRY["targets"]):
            codes = Counter(r["target_origin"][column] for r in records(demanding.dataset, split))
            assert list(metadata["splits"][split]["targets"][target["name"]].values()) == [codes[n] for n in (0, 1, 2)]


def test_the_card_says_the_same_first(demanding: Reported) -> None:
    card = (demanding.dataset / "README.md").read_text()
    first = card.split("\n## ")[1]
    assert first.startswith("What was measured\n")
    fates = _fates(demanding.output)
    observed, _, default = (shown_share(n, sum(counts)) for counts in (_origins(demanding, INPUTS),) for n in counts)
    assert f"**{observed} were observed**" in first
    assert f"**{default} are a default**" in first
    assert f"{fates['written']:,} of {fates.total():,} possible were written" in first
    assert f"{fates['unobserved']:,} with fewer than 14 inputs observed, {fates['dropped']:,} observed too" in first
    assert "600 s holds for `Solar8000/NIBP_SBP`, `Solar8000/NIBP_DBP`, `Solar8000/NIBP_MBP`" in first
    lines = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", card, re.MULTILINE)
    shown = {name: shares for name, *shares in lines}
    for column, target in enumerate(REGISTRY["targets"]):
        codes = Counter(r["target_origin"][column] for split in SPLITS for r in records(demanding.dataset, split))
        assert [f"{share} %" for share in shown[target["name"]]] == [
            shown_share(codes[code], codes.total()) for code in (0, 1, 2)
        ]
