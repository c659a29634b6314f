"""The gallery and the page of one case against tables, records, recordings and the clinical table."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline import run_vitalprep
from tests.reference import design4
from tests.report.conftest import Reported
from tests.report.from_records import (
    INPUTS,
    REGISTRY,
    SPLITS,
    cases_of,
    clinical_table,
    dropped_values,
    filled,
    records,
    registry_item,
    series,
    shown_share,
    text_of,
    used_seconds,
)
from tests.report.html_page import Element, parsed

VITALS = [item["name"] for item in REGISTRY["inputs"] if item.get("vital")]


def _observed_vitals(reported: Reported, case: int) -> float:
    values = [value for name in VITALS for value in series(reported.output, case, name)]
    return sum(not math.isnan(value) for value in values) / len(values)


def _chosen(reported: Reported) -> dict[int, str]:
    chosen: dict[int, str] = {}
    for split in SPLITS:
        cases = cases_of(reported.dataset, split)
        by_share = sorted(cases, key=lambda case: (_observed_vitals(reported, case), case))
        longest = max(cases, key=lambda case: (len(series(reported.output, case, "HR")), -case))
        for case, why in (
            (by_share[len(cases) // 2], "typical"),
            (by_share[0], "least observed"),
            (longest, "longest"),
        ):
            chosen.setdefault(case, f"{why} case of {split}")
    return chosen


def _person(reported: Reported, case: int) -> str:
    known = clinical_table(reported)[case]
    assert None not in known.values()
    age, height, weight, bmi = (known[name] or 0 for name in ("age", "height", "weight", "bmi"))
    decade, sex = int(age) // 10 * 10, "male" if known["sex"] == 1 else "female"
    return (
        f"age {decade} to {decade + 9}, {sex}, height about {5 * round(height / 5)} cm, "
        f"weight about {5 * round(weight / 5)} kg, BMI {round(bmi)}, ASA {known['asa']:g}"
    )


def test_the_gallery_shows_the_cases_it_says_it_does(reported: Reported) -> None:
    chosen = _chosen(reported)
    shown = {int((item.attributes["id"] or "")[5:]): item for item in _gallery(reported)}
    assert list(shown) == list(chosen)
    windows = Counter(int(record["case_id"]) for split in SPLITS for record in records(reported.dataset, split))
    known = {case for case in chosen if None not in clinical_table(reported)[case].values()}
    assert known
    for case, article in shown.items():
        title, seconds = text_of(article.one("h3")), len(series(reported.output, case, "HR"))
        length = re.search(r"; (?:(\d+) h )?([\d.]+) min, (\d+) windows; ", title)
        assert length is not None
        assert 60 * int(length[1] or 0) + float(length[2]) == pytest.approx(seconds / 60, abs=0.06)
        assert (
            int(length[3])
            == windows[case]
            == int(text_of(next(article.all("div", class_="name"))).split()[1].strip(","))
        )
        assert title.startswith(f"Case {case} {chosen[case]}; ")
        if case in known:
            assert title.endswith(_person(reported, case))


def _gallery(reported: Reported) -> list[Element]:
    return list(reported.page.one("section", id="gallery").all("article"))


def _columns(path: str) -> dict[int, tuple[set[int], set[int]]]:
    """Return the heights that the line surely has in each column, and those in which it may only leave for the next."""
    steps = re.findall(r"([Mhv])([-\d ]+)", path)
    found: dict[int, tuple[set[int], set[int]]] = {}
    x = y = 0
    for place, (kind, numbers) in enumerate(steps):
        if kind == "M":
            x, y = map(int, numbers.split())
        elif kind == "h":
            found.setdefault(x, (set(), set()))[0].add(y)
            x += 1
        else:
            y += int(numbers)
            leaves = place + 1 < len(steps) and steps[place + 1][0] == "h"
            found.setdefault(x - 1, (set(), set()))[leaves].add(y)
    return found


def test_every_strip_is_what_the_model_sees(reported: Reported) -> None:
    for article in _gallery(reported):
        case = int((article.attributes["id"] or "")[5:])
        strips = [strip for strip in article.all("div", class_="strip") if list(strip.all("strong"))]
        assert [strip.one("strong").text for strip in strips] == INPUTS
        for name, strip in zip(INPUTS, strips, strict=True):
            _check_strip(reported, case, name, strip)


def _check_strip(reported: Reported, case: int, name: str, strip: Element) -> None:
    (low, high), svg = registry_item(name)["range"], strip.one("svg")
    values, codes = filled(reported.output, case, name)
    measured = [value for value in series(reported.output, case, name) if not math.isnan(value)]
    label = " ".join((svg.attributes["aria-label"] or "").split())
    for code, word in enumerate(("observed", "held", "default")):
        assert f"{word} {shown_share(codes.count(code), len(codes))}" in label
    said = text_of(strip.one("span", class_="small measured"))
    if measured:
        shown = [float(number) for number in said.split(" to ")]
        assert shown == pytest.approx([min(measured), max(measured)], abs=0.051 if high - low >= 20 else 0.0051)
        mean = re.search(r"mean ([\d.]+)", label)
        assert mean is not None
        assert float(mean[1]) == pytest.approx(np.mean(measured), abs=0.051 if high - low >= 20 else 0.0051)
    else:
        assert said == "not recorded"
    edges = [int(edge) for edge in np.linspace(0, len(codes), min(480, len(codes)) + 1)]
    heights = [50 * (1 - float(design4.normalize(value, low, high))) for value in values]
    for code, kind in enumerate(("measured", "held", "default")):
        drawn = _columns("".join(path.attributes["d"] or "" for path in svg.all("path", class_=kind)))
        for column, (start, stop) in enumerate(itertools.pairwise(edges)):
            own = [heights[second] for second in range(start, stop) if codes[second] == code]
            assert (column in drawn) == bool(own)
            if own:
                sure, perhaps = drawn[column]
                assert all(min(own) - 0.51 <= height <= max(own) + 0.51 for height in sure)
                for end in (min(own), max(own)):
                    assert any(abs(height - end) <= 0.51 for height in sure | perhaps)
    marks = set(
        re.findall(r"M(\d+) (\d+)h1", "".join(p.attributes["d"] or "" for p in svg.all("path", class_="clipped")))
    )
    clipped = {
        (str(column), "0" if values[second] > high else "100")
        for column, (start, stop) in enumerate(itertools.pairwise(edges))
        for second in range(start, stop)
        if codes[second] != 2 and not low <= values[second] <= high
    }
    assert marks == clipped


def test_windows_and_time_stand_where_they_are(reported: Reported) -> None:
    for article in _gallery(reported):
        case = int((article.attributes["id"] or "")[5:])
        seconds = len(series(reported.output, case, "HR"))
        starts = sorted(
            int(record["start_second"])
            for split in SPLITS
            for record in records(reported.dataset, split)
            if record["case_id"] == case
        )
        covered = article.one("rect", class_="covered")
        assert float(covered.attributes["x"] or 0) == pytest.approx(1000 * starts[0] / seconds, abs=0.06)
        assert float(covered.attributes["width"] or 0) == pytest.approx(
            1000 * (starts[-1] - starts[0] + 300) / seconds, abs=0.06
        )
        marks = re.findall(r"M(\d+) 0v1", next(article.all("path", class_="starts")).attributes["d"] or "")
        assert [int(mark) for mark in marks] == [1000 * start // seconds for start in starts]
        left, width = re.findall(r"[\d.]+", next(article.all("span", class_="first")).attributes["style"] or "")
        assert (float(left), float(width)) == pytest.approx((100 * starts[0] / seconds, 30000 / seconds), abs=0.006)
        (target,) = re.findall(r"[\d.]+", next(article.all("span", class_="target")).attributes["style"] or "")
        assert float(target) == pytest.approx(100 * design4.target_second(starts[0]) / seconds, abs=0.006)
        ticks = list(article.one("div", class_="strip time").all("span"))
        for tick in ticks:
            number, unit = tick.text.split()
            (place,) = re.findall(r"[\d.]+", tick.attributes["style"] or "")
            at = float(number) * (3600 if unit == "h" else 60)
            assert float(place) == pytest.approx(100 * at / seconds, abs=0.006)
        assert sum("class" not in tick.attributes for tick in ticks) <= 5


def test_the_page_of_a_case_is_that_of_its_table_and_recording(reported: Reported, tmp_path: Path) -> None:
    clinical = clinical_table(reported)
    case = next(c for c in cases_of(reported.dataset, "train") if None not in clinical[c].values())
    file = tmp_path / "case.html"
    assert run_vitalprep("report", "--dataset", reported.dataset, "--case", str(case), "--output", file).exit_code == 0
    page = parsed(file)
    assert f"Split train. Patient: {_person(reported, case)}. Read from" in text_of(page.one("header"))
    assert page.one("section", id="outcome").values()[1] == len(series(reported.output, case, "HR"))
    for name, cells in page.one("table", id="quality-table").rows().items():
        low, high = registry_item(name)["range"]
        values, codes = filled(reported.output, case, name)
        _, *shares, clipped, gap, least, mean, greatest, dropped, sources = cells
        for code, cell in enumerate(shares):
            assert text_of(cell) == shown_share(codes.count(code), len(codes))
        outside = sum(code != 2 and not low <= value <= high for value, code in zip(values, codes, strict=True))
        assert clipped.values() == [outside]
        assert text_of(clipped) == shown_share(outside, codes.count(0) + codes.count(1))
        raw = series(reported.output, case, name)
        runs = "".join("-" if math.isnan(value) else "x" for value in raw)
        assert gap.values() == [max(map(len, runs.split("x")))]
        measured = [value for value in raw if not math.isnan(value)]
        if measured:
            expected = [min(measured), np.mean(measured), max(measured)]
            assert [cell.values()[0] for cell in (least, mean, greatest)] == pytest.approx(expected)
        assert dropped.values() == [dropped_values(reported.recordings, case, name)]
        used = {track: n for track, n in used_seconds(reported.recordings, case, name).items() if n}
        assert [track.text for track in sources.all("bdi")] == list(used), "in order of preference"
        assert sources.values() == list(used.values())
    own = [record for record in records(reported.dataset, "train") if record["case_id"] == case]
    for column, target in enumerate(REGISTRY["targets"]):
        codes = [record["target_origin"][column] for record in own]
        cells = page.one("table", id="target-table").rows()[target["name"]]
        assert [cell.values()[0] for cell in cells] == [codes.count(code) for code in (0, 1, 2)]
