"""The report's signals, gaps, sources and timings against the tables, the recordings and the receipts."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tests.pipeline import receipts
from tests.report.conftest import Reported
from tests.report.from_records import (
    INPUTS,
    NOTHING,
    SPLITS,
    cases_of,
    dropped_values,
    filled,
    observed,
    recording,
    registry_item,
    series,
    shown_share,
    steps_of,
    table_of,
    text_of,
    unknown_unit,
    used_seconds,
)
from tests.report.html_page import Element


def _written(reported: Reported) -> list[int]:
    return sorted(case for split in SPLITS for case in cases_of(reported.dataset, split))


@pytest.mark.parametrize("name", INPUTS)
def test_coverage_and_distributions_are_those_of_the_tables(reported: Reported, name: str) -> None:
    low, high = registry_item(name)["range"]
    table = table_of(reported, data_input=name)
    coverage = table_of(reported, id="input-coverage")[name]
    for place, split in enumerate(SPLITS):
        origins: Counter[int] = Counter()
        clipped = 0
        for case in cases_of(reported.dataset, split):
            values, codes = filled(reported.output, case, name)
            origins.update(codes)
            clipped += sum(code != 2 and not low <= value <= high for value, code in zip(values, codes, strict=True))
        total, known = origins.total(), origins[0] + origins[1]
        for code, row in enumerate(("observed", "held", "default")):
            assert table[row][place].values() == [origins[code]]
            assert text_of(table[row][place]) == shown_share(origins[code], total)
        assert coverage[place].values() == pytest.approx([origins[code] / total for code in (0, 1, 2)])
        widths = [float(bar.attributes["width"] or 0) for bar in coverage[place].all("rect")]
        assert widths == pytest.approx([200, 200 * known / total, 200 * origins[0] / total], abs=0.006)
        assert table["clipped of obs., held"][place].values() == [clipped]
        assert text_of(table["clipped of obs., held"][place]) == shown_share(clipped, known)
        measured = observed(reported, split, name)
        if "cases" in table:
            recorded = sum(not all(map(math.isnan, series(reported.output, c, name))) for c in _cases(reported, split))
            assert text_of(table["cases"][place]) == f"{recorded} of {len(_cases(reported, split))}"
            for row, count in (
                ("below range of observed", sum(value < low for value in measured)),
                ("above range of observed", sum(value > high for value in measured)),
            ):
                assert table[row][place].values() == [count]
                assert text_of(table[row][place]) == shown_share(count, len(measured))
        shown = [table[row][place].values()[0] for row in ("mean", "SD", "least", "greatest")]
        if measured:
            expected = [statistics.fmean(measured), statistics.pstdev(measured), min(measured), max(measured)]
            assert shown == pytest.approx(expected, abs=1e-6)
        else:
            assert shown == [None] * 4


def _cases(reported: Reported, split: str) -> list[int]:
    return cases_of(reported.dataset, split)


@pytest.mark.parametrize("name", INPUTS)
def test_quantiles_are_those_of_the_seconds_to_within_a_bin(reported: Reported, name: str) -> None:
    low, high = registry_item(name)["range"]
    table = table_of(reported, data_input=name)
    for place, split in enumerate(SPLITS):
        measured = observed(reported, split, name)
        for row, share in (("P5", 5), ("median", 50), ("P95", 95)):
            if row not in table:
                assert not any(observed(reported, split, name) for split in SPLITS)
                continue
            text, values = text_of(table[row][place]), table[row][place].values()
            if not measured:
                assert (text, values) == (NOTHING, [])
                continue
            exact = float(np.percentile(measured, share, method="inverted_cdf"))
            if text[0] in "<>":
                assert values == [low if text[0] == "<" else high]
                assert exact <= low if text[0] == "<" else exact >= high
            else:
                assert values[0] == pytest.approx(exact, abs=(high - low) / 20)
                assert low <= exact <= high


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_said_of_the_input_is_the_registrys(reported: Reported, name: str) -> None:
    item = registry_item(name)
    said = text_of(next(reported.page.one("article", data_input=name).all("p")))
    low, high = item["range"]
    stored = f" (stored as {low})" if item["default"] < low else ""
    hold = f"{item['hold'] // 60} min" if item["hold"] >= 120 else f"{item['hold']} s"
    assert said.endswith(f"range {low} to {high}, default {item['default']}{stored}, held {hold}")


@pytest.mark.parametrize("name", INPUTS)
def test_the_charts_have_the_shape_of_the_measured_seconds(reported: Reported, name: str) -> None:
    low, high = registry_item(name)["range"]
    card = reported.page.one("article", data_input=name)
    measured = {split: np.array(observed(reported, split, name)) for split in SPLITS}
    if not any(map(len, measured.values())):
        assert "Never observed" in card.text
        return
    shares: dict[str, list[tuple[float, float]]] = {}
    for split, values in measured.items():
        if len(values):
            bins = len(steps_of(card.one("path", class_=f"curve {split}").attributes["d"] or ""))
            shares[split] = [_share_between(values, low, high, place, bins) for place in range(-1, bins + 1)]
    tops = [max(share[end] for own in shares.values() for share in own) for end in (0, 1)]
    for split, own in shares.items():
        drawn = steps_of(card.one("path", class_=f"curve {split}").attributes["d"] or "")
        sides = {float(bar.attributes["x"] or 0) < 28: bar for bar in card.all("rect", class_=f"side {split}")}
        for below, (least, most) in ((True, own[0]), (False, own[-1])):
            assert (below in sides) == (most > 0)
            if below in sides:
                height = float(sides[below].attributes["height"] or 0)
                assert 96 * least / tops[1] - 0.06 <= height <= max(96 * most / tops[0], 1) + 0.06
        for height, (least, most) in zip(drawn, own[1:-1], strict=True):
            assert least / tops[1] - 0.0006 <= height <= most / tops[0] + 0.0006
    for text in card.one("svg", class_="histogram").all("text", text_anchor="middle"):
        if "class" not in text.attributes and "y" in text.attributes:
            x, tick = float(text.attributes["x"] or 0), float(text.text)
            assert x == pytest.approx(28 + 264 * (tick - low) / (high - low), abs=0.06)


def _share_between(values: np.ndarray, low: float, high: float, place: int, bins: int) -> tuple[float, float]:
    """The share in one part of the range, or beside it, without and with what lies a rounding error from its edges."""
    width = (high - low) / bins
    left = -np.inf if place < 0 else low + width * place
    right = np.inf if place == bins else low + width * (place + 1)
    found = []
    for error in (1e-6, -1e-6):
        beside = place in (-1, bins)
        first, last = (left + (0 if beside else error), right - (0 if beside else error))
        if place == bins - 1:
            last = high + 1e-9
        inside = (
            (values > high) if place == bins else (values < low) if place < 0 else (values >= first) & (values < last)
        )
        found.append(float(np.count_nonzero(inside)) / len(values))
    return found[0], found[1]


@pytest.mark.parametrize("name", INPUTS)
def test_the_distance_is_that_of_the_cumulative_distributions(reported: Reported, name: str) -> None:
    """At the edges of the histogram the cumulative shares are exact; between them the distance may be greater."""
    low, high = registry_item(name)["range"]
    shown = [cell.values()[0] for cell in table_of(reported, data_input=name)["distance"][1:]]
    train = np.sort(observed(reported, "train", name))
    for split, distance in zip(SPLITS[1:], shown, strict=True):
        other = np.sort(observed(reported, split, name))
        if not len(train) or not len(other):
            assert distance is None
            continue
        every = np.concatenate([train, other])
        gaps = np.abs(
            np.searchsorted(train, every, "right") / len(train) - np.searchsorted(other, every, "right") / len(other)
        )
        assert distance is not None
        assert distance <= gaps.max() + 1e-12
        assert distance >= gaps.max() - _steepest(train, other, (high - low) / 20)


def _steepest(train: np.ndarray, other: np.ndarray, width: float) -> float:
    """The greatest share of either that lies within one bin: so much the histogram can hide."""
    return max(
        float((np.searchsorted(values, values + width, "right") - np.arange(len(values))).max() / len(values))
        for values in (train, other)
    )


def _gaps(values: list[float]) -> Iterator[int]:
    """Yield the seconds before the first value, those of each gap inside, and those after the last value."""
    run = 0
    for value in [*values, 0.0]:
        if math.isnan(value):
            run += 1
        else:
            yield run
            run = 0


def test_gaps_are_those_of_the_tables(reported: Reported) -> None:
    for name, cells in table_of(reported, id="gap-table").items():
        written = {case: series(reported.output, case, name) for case in _written(reported)}
        gaps = {c: list(_gaps(v)) for c, v in written.items() if not all(map(math.isnan, v))}
        assert [cells[0].values()[0], cells[1].values()[0]] == [len(gaps), len(written) - len(gaps)]
        if gaps:
            inside = {case: max(found[1:-1], default=0) for case, found in gaps.items()}
            assert cells[2].values()[0] == pytest.approx(statistics.median(found[0] for found in gaps.values()))
            assert cells[3].values()[0] == pytest.approx(statistics.median(inside.values()))
            assert cells[4].values()[0] == pytest.approx(float(np.percentile(list(inside.values()), 95)))
            assert cells[5].values()[0] == max(inside.values()) == inside[int(cells[6].text)]
            assert cells[7].values()[0] == pytest.approx(statistics.median(found[-1] for found in gaps.values()))
        assert cells[8].values() == [sum(dropped_values(reported.recordings, case, name) for case in written)]


def _source_rows(reported: Reported) -> Iterator[tuple[str, str, list[Element]]]:
    for row in reported.page.one("table", id="source-table").one("tbody").all("tr"):
        name, (track, *cells) = next(row.all("th")).text.strip(), list(row.all("td"))
        yield name, track.text, cells


def test_sources_are_those_of_the_recordings(reported: Reported) -> None:
    """Which source was live in which second is worked out again from the .vital files."""
    rows = list(_source_rows(reported))
    assert [(name, track) for name, track, _ in rows] == [
        (name, source["track"]) for name in INPUTS for source in registry_item(name)["sources"]
    ]
    for name, track, (stands, cases, seconds, bar, share, *of_splits) in rows:
        source = next(source for source in registry_item(name)["sources"] if source["track"] == track)
        used = {case: used_seconds(reported.recordings, case, name) for case in _written(reported)}
        mine, every = sum(own[track] for own in used.values()), sum(sum(own.values()) for own in used.values())
        assert stands.values() == [source["stale_after"]]
        assert cases.values() == [sum(own[track] > 0 for own in used.values())]
        assert seconds.values() == [mine]
        hours, minutes, rest = (int(part) for part in seconds.text.replace(",", "").split(":"))
        assert 3600 * hours + 60 * minutes + rest == mine
        assert share.values()[0] == pytest.approx(mine / every if every else 0)
        widths = [float(part.attributes["width"] or 0) for part in bar.all("rect")]
        assert widths == pytest.approx([200, 200 * mine / every if every else 0], abs=0.006)
        for split, cell in zip(SPLITS, of_splits, strict=True):
            own = [used[case] for case in _cases(reported, split)]
            total = sum(sum(one.values()) for one in own)
            assert text_of(cell) == shown_share(sum(one[track] for one in own), total)


def test_what_a_cuff_gave_is_told_from_what_was_measured_in_that_second(reported: Reported) -> None:
    for name, track in (("BP_SYS", "NIBP_SBP"), ("BP_DIA", "NIBP_DBP"), ("BP_MAP", "NIBP_MBP")):
        row = table_of(reported, data_input=name)[f"by {track}"]
        for split, cell in zip(SPLITS, row, strict=True):
            cases = _cases(reported, split)
            used = sum(used_seconds(reported.recordings, case, name)[f"Solar8000/{track}"] for case in cases)
            assert cell.values() == [used]
            assert text_of(cell) == shown_share(used, sum(len(series(reported.output, case, name)) for case in cases))


def test_unit_conflicts_are_those_of_the_recordings(reported: Reported) -> None:
    found = receipts(reported.output)
    conflicts: Counter[tuple[str, str]] = Counter()
    for case in (case for case, receipt in found.items() if receipt["status"] == "ok"):
        read = recording(reported.recordings, case)
        for name in INPUTS:
            for source in registry_item(name)["sources"]:
                if unit := unknown_unit(read, source):
                    conflicts[source["track"], unit] += 1
    tables = list(reported.page.all("table", id="conflict-table"))
    shown = {(track, cells[0].text): cells[1].values()[0] for table in tables for track, cells in table.rows().items()}
    assert shown == conflicts
    excluded = {case: r["detail"] for case, r in found.items() if r["reason"] == "unit_mismatch"}
    lines = list(reported.page.one("ul", id="mismatches").all("li"))
    assert sum(line.values()[0] or 0 for line in lines) == len(excluded) > 0
    for case, detail in excluded.items():
        assert any(str(case) in line.text and detail in line.text for line in lines)


def test_timings_are_those_of_the_receipts(reported: Reported) -> None:
    found = receipts(reported.output)
    for step, cells in table_of(reported, id="timing-table").items():
        seconds = {case: r["timings"][step] for case, r in found.items() if step in r["timings"]}
        assert cells[0].values()[0] == pytest.approx(sum(seconds.values()))
        assert cells[1].values()[0] == pytest.approx(statistics.median(seconds.values()))
        assert cells[2].values()[0] == pytest.approx(float(np.percentile(list(seconds.values()), 95)))
        assert cells[3].values()[0] == max(seconds.values()) == seconds[int(cells[4].text)]
