"""The report's cases, splits and patients against the records, cases.csv and the clinical table."""

from __future__ import annotations

import csv
import math
import statistics
from collections import Counter

import pytest

from tests.pipeline import receipts
from tests.report.conftest import Reported
from tests.report.from_records import (
    REGISTRY,
    SPLITS,
    STATICS,
    across,
    cases_of,
    clinical_table,
    records,
    series,
    shown_share,
    steps_of,
    table_of,
    text_of,
)
from tests.report.html_page import Element


def test_overview_and_split_sizes_are_those_of_the_records(reported: Reported) -> None:
    sizes = table_of(reported, id="split-sizes")
    by_split = [records(reported.dataset, split) for split in SPLITS]
    assert across(sizes["windows"]) == [len(records) for records in by_split]
    assert across(sizes["cases"]) == [len({int(r["case_id"]) for r in records}) for records in by_split]
    assert across(sizes["subjects"]) == [len({int(r["subject_id"]) for r in records}) for records in by_split]
    seconds = [sum(len(series(reported.output, c, "HR")) for c in cases_of(reported.dataset, s)) for s in SPLITS]
    assert across(sizes["recording"]) == seconds
    assert across(sizes["files"]) == [len(list(reported.dataset.glob(f"vitaldb-{s}.tfrecord-*"))) for s in SPLITS]
    assert across(sizes["windows left out: observed too little"]) == [0, 0, 0], "none is demanded to be observed"
    tiles = {tile.one("dt").text: tile.values()[0] for tile in reported.page.one("dl", class_="tiles").all("div")}
    every = [record for records in by_split for record in records]
    assert tiles["windows"] == len(every)
    assert tiles["cases written"] == len({int(record["case_id"]) for record in every})
    assert tiles["subjects"] == len({int(record["subject_id"]) for record in every})
    assert tiles["of recording"] == sum(seconds)
    subjects = [{int(record["subject_id"]) for record in records} for records in by_split]
    assert f"Subjects in more than one split: {len((subjects[0] & subjects[1]) | (subjects[2] & subjects[0]))}." in (
        text_of(reported.page.one("section", id="splits"))
    )


def test_the_overview_counts_faults_and_warnings(reported: Reported) -> None:
    with (reported.dataset / "cases.csv").open() as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    found = len(reasons) - reasons.count("raw_object_missing")
    faults = ("not_vital", "truncated", "corrupt", "too_large", "too_long", "clock_set_back", "unit_mismatch")
    sound = found - sum(reasons.count(reason) for reason in faults)
    tiles = {tile.one("dt").text: tile.one("dd") for tile in reported.page.one("dl", class_="tiles").all("div")}
    assert tiles["success rate"].values() == [pytest.approx(sound / found)]
    assert text_of(tiles["success rate"]) == (
        f"{shown_share(sound, found)} {sound} of {found} recordings without a fault; at least 50 % demanded"
    )
    lines = list(reported.page.one("section", id="warnings").all("li"))
    levels = [
        line.attributes.get("class") for line in lines for item in line.all("li") if "data-code" in item.attributes
    ]
    assert tiles["warnings"].values() == [levels.count("warning")]
    assert f"and {levels.count('note')} notes" in text_of(tiles["warnings"])
    assert text_of(tiles["cases written"]) == f"{reasons.count('')} of {len(reasons)} requested"


def test_simulated_patients_are_called_so_and_the_proof_is_elsewhere(reported: Reported) -> None:
    header = text_of(reported.page.one("header"))
    assert "Simulated patients. No real patient was recorded" in header
    assert "published only if validation.json beside its records says passed" in header


def test_the_funnel_adds_up_to_the_cases_of_the_records(reported: Reported) -> None:
    with (reported.dataset / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [step for step in reported.page.one("ol", class_="funnel").children if isinstance(step, Element)]
    left = [step.one("strong").values()[0] for step in steps]
    assert left[0] == len(rows) == 26
    assert left[-1] == sum(len(cases_of(reported.dataset, split)) for split in SPLITS)
    lost: Counter[str] = Counter()
    for before, step in zip(left, steps[1:], strict=False):
        reasons = {item.one("code").text: int(item.values()[0] or 0) for item in step.all("li")}
        assert step.one("strong").values()[0] == (before or 0) - sum(reasons.values())
        lost.update(reasons)
        assert float(list(step.all("rect"))[1].attributes["width"] or 0) == pytest.approx(
            200 * (step.one("strong").values()[0] or 0) / len(rows), abs=0.006
        )
    assert lost == Counter(row["reason"] for row in rows if row["reason"])
    assert {"raw_object_missing", "no_clinical_row", "truncated", "too_short", "unit_mismatch"} <= set(lost)


@pytest.mark.parametrize("name", STATICS)
def test_demographics_are_those_of_the_clinical_table(reported: Reported, name: str) -> None:
    clinical = clinical_table(reported)
    table = table_of(reported, data_static=name)
    known = {
        split: [v for case in cases_of(reported.dataset, split) if (v := clinical[case][name]) is not None]
        for split in SPLITS
    }
    for place, split in enumerate(SPLITS):
        values = known[split]
        assert table["missing"][place].values()[0] == len(cases_of(reported.dataset, split)) - len(values)
        if name in ("sex", "asa"):
            groups = {"female": -1.0, "male": 1.0} if name == "sex" else {str(c): float(c) for c in range(1, 7)}
            for row, value in groups.items():
                assert (row in table) == (name == "sex" or any(value in own for own in known.values()))
                if row in table:
                    count = values.count(value)
                    assert table[row][place].values() == [count]
                    assert text_of(table[row][place]) == f"{count} {shown_share(count, len(values))}"
            continue
        assert table["mean"][place].values()[0] == pytest.approx(statistics.mean(values))
        assert table["SD"][place].values()[0] == pytest.approx(statistics.stdev(values))
        assert table["median"][place].values()[0] == pytest.approx(statistics.median(values))
        quartiles = statistics.quantiles(values, n=4, method="inclusive")
        assert table["1st quartile"][place].values() == pytest.approx([quartiles[0]])
        assert table["3rd quartile"][place].values() == pytest.approx([quartiles[2]])
    for place, split in ((1, "validation"), (2, "test")):
        a, b = known["train"], known[split]
        spread = math.sqrt((statistics.variance(a) + statistics.variance(b)) / 2)
        if not spread:
            assert table["difference"][place].values() == [None]
            continue
        expected = (statistics.mean(b) - statistics.mean(a)) / spread
        error = math.sqrt((len(a) + len(b)) / (len(a) * len(b)) + expected**2 / (2 * (len(a) + len(b))))
        assert table["difference"][place].values() == pytest.approx([expected, error])
        if name == "sex":
            assert ("more men" in text_of(table["difference"][place])) == (expected > 0)


@pytest.mark.parametrize(
    ("name", "low", "width"),
    [("age", 0, 5), ("height", 100, 5), ("weight", 20, 10), ("bmi", 10, 2), ("asa", 0.5, 1)],
)
def test_patients_are_drawn_as_often_as_they_are(reported: Reported, name: str, low: float, width: float) -> None:
    clinical = clinical_table(reported)
    card = reported.page.one("article", data_static=name)
    drawn = {s: steps_of(card.one("path", class_=f"curve {s}").attributes["d"] or "") for s in SPLITS}
    (parts,) = {len(heights) for heights in drawn.values()}
    high = low + parts * width
    shares = {}
    for split in SPLITS:
        known = [v for case in cases_of(reported.dataset, split) if (v := clinical[case][name]) is not None]
        inside = Counter(min(int((value - low) // width), parts - 1) for value in known if low <= value <= high)
        outside = [sum(value < low for value in known), sum(value > high for value in known)]
        shares[split] = [count / len(known) for count in [*map(inside.__getitem__, range(parts)), *outside]]
    top = max(map(max, shares.values()))
    for split, heights in drawn.items():
        assert heights == pytest.approx([share / top for share in shares[split][:-2]], abs=0.0006)
        bars = {float(bar.attributes["x"] or 0) > 160: bar for bar in card.all("rect", class_=f"side {split}")}
        for above, share in zip((False, True), shares[split][-2:], strict=True):
            assert (above in bars) == (share > 0)
            if above in bars:
                assert float(bars[above].attributes["height"] or 0) == pytest.approx(max(96 * share / top, 1), abs=0.06)


def test_the_bars_of_women_are_their_shares(reported: Reported) -> None:
    clinical = clinical_table(reported)
    bars = list(reported.page.one("article", data_static="sex").one("div", class_="bars").all("svg"))
    for split, bar in zip(SPLITS, bars, strict=True):
        known = [v for case in cases_of(reported.dataset, split) if (v := clinical[case]["sex"]) is not None]
        width = float(list(bar.all("rect"))[1].attributes["width"] or 0)
        assert width == pytest.approx(200 * known.count(-1.0) / len(known), abs=0.006)


def test_target_coverage_is_that_of_the_records(reported: Reported) -> None:
    table = table_of(reported, id="target-coverage")
    for column, target in enumerate(REGISTRY["targets"]):
        for place, split in enumerate(SPLITS):
            codes = [record["target_origin"][column] for record in records(reported.dataset, split)]
            expected = [codes.count(code) / len(codes) for code in (0, 1, 2)]
            assert table[target["name"]][place].values() == pytest.approx(expected)
            widths = [float(bar.attributes["width"] or 0) for bar in table[target["name"]][place].all("rect")]
            assert widths == pytest.approx([200, 200 * (expected[0] + expected[1]), 200 * expected[0]], abs=0.006)


def test_every_case_has_its_line(reported: Reported) -> None:
    lines = table_of(reported, id="case-table")
    with (reported.dataset / "cases.csv").open() as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    assert lines.keys() == rows.keys()
    found = receipts(reported.output)
    for case, (split, outcome, length, windows, left_out, observed, conflicts, stored, detail) in lines.items():
        row, receipt = rows[case], found.get(int(case))
        assert int(left_out.text) == int(row["windows_unobserved"]) + int(row["windows_dropped"])
        assert [split.text, outcome.text, windows.text, stored.text] == [
            row["split"],
            row["reason"] or "written",
            row["windows"],
            row["object"],
        ]
        assert detail.text == ((receipt or {}).get("detail") or "")
        assert length.values() == [(receipt or {}).get("seconds")]
        assert conflicts.text == str(len((receipt or {}).get("unit_conflicts", ())))
        if receipt and receipt["features"]:
            assert length.values() == [len(series(reported.output, int(case), "HR"))]
            vitals = [item["name"] for item in REGISTRY["inputs"] if item.get("vital")]
            values = [value for name in vitals for value in series(reported.output, int(case), name)]
            share = sum(not math.isnan(value) for value in values) / len(values)
            assert observed.values()[0] == pytest.approx(share, abs=1e-6)
