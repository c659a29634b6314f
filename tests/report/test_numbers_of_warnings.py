"""The report's warnings, worked out again from records, tables, recordings and the clinical table."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.report.conftest import Reported
from tests.report.from_records import (
    INPUTS,
    REGISTRY,
    SPLITS,
    STATICS,
    cases_of,
    clinical_table,
    filled,
    records,
    registry_item,
    series,
    shown_share,
    table_of,
    text_of,
    used_seconds,
)

Found = dict[tuple[str, str | None], dict[str, float]]


@pytest.fixture(scope="module")
def stored(reported: Reported) -> list[dict[str, Any]]:
    metadata = json.loads((reported.dataset / "preprocessing_metadata.json").read_bytes())
    return list(metadata["warnings"])


def test_page_and_metadata_show_the_same(reported: Reported, stored: list[dict[str, Any]]) -> None:
    lines = [
        (level.attributes["class"], line)
        for level in reported.page.one("section", id="warnings").all("li")
        for line in level.all("li")
    ]
    shown = [
        (level, line.attributes["data-code"], next((n.text for n in line.all("strong")), None), sorted(line.values()))
        for level, line in lines
    ]
    expected = [(w["level"], w["code"], w["item"], sorted(w["values"].values())) for w in stored]
    assert sorted(shown, key=str) == sorted(expected, key=str)
    for _, line in lines:
        if line.attributes["data-code"] == "mostly_default":
            values = _of(stored, "mostly_default")["mostly_default", line.one("strong").text]
            assert all(f"{split} {shown_share(share, 1)}" in text_of(line) for split, share in values.items())


def _of(stored: list[dict[str, Any]], *codes: str) -> Found:
    return {(w["code"], w["item"]): w["values"] for w in stored if w["code"] in codes}


def _where(found: dict[str, float], is_so: Callable[[float], bool]) -> dict[str, float]:
    return {split: value for split, value in found.items() if is_so(value)}


def _approximately(found: Found) -> Found:
    return {key: pytest.approx(values) for key, values in found.items() if values}


def test_few_subjects_and_cases_that_dominate(reported: Reported, stored: list[dict[str, Any]]) -> None:
    few = {s: float(len({r["subject_id"] for r in records(reported.dataset, s)})) for s in SPLITS}
    assert _of(stored, "few_subjects") == {("few_subjects", None): _where(few, lambda count: 0 < count < 20)}
    dominating = {}
    for split in SPLITS:
        windows = Counter(int(record["case_id"]) for record in records(reported.dataset, split))
        most = {case: n / windows.total() for case, n in windows.items() if n / windows.total() > 0.2}
        if few[split] >= 5 and most:
            dominating[tuple(sorted(most))] = {split: pytest.approx(sum(most.values()))}
    assert {tuple(w["cases"]): w["values"] for w in stored if w["code"] == "cases_dominate"} == dominating


def test_inputs_that_are_the_default_hardly_observed_or_clipped(
    reported: Reported, stored: list[dict[str, Any]]
) -> None:
    expected: Found = {}
    for name in INPUTS:
        low, high = registry_item(name)["range"]
        shares: dict[str, dict[str, float]] = {"default": {}, "observed": {}, "clipped": {}}
        for split in SPLITS:
            pairs = [
                pair
                for case in cases_of(reported.dataset, split)
                for pair in zip(*filled(reported.output, case, name), strict=True)
            ]
            codes = Counter(code for _, code in pairs)
            known = codes[0] + codes[1]
            shares["default"][split] = codes[2] / len(pairs)
            shares["observed"][split] = codes[0] / len(pairs)
            if known:
                shares["clipped"][split] = sum(c != 2 and not low <= v <= high for v, c in pairs) / known
        mostly = _where(shares["default"], lambda share: share > 0.5)
        expected["input_mostly_default", name] = mostly
        rarely = _where(shares["observed"], lambda share: share < 0.01)
        expected["rarely_observed", name] = {s: v for s, v in rarely.items() if s not in mostly}
        expected["often_clipped", name] = _where(shares["clipped"], lambda share: share > 0.05)
    codes = ("input_mostly_default", "rarely_observed", "often_clipped")
    assert _of(stored, *codes) == _approximately(expected)
    assert ("input_mostly_default", "Noradrenalin_INF") in _of(stored, *codes), "VitalDB's known one"


def test_targets_that_are_the_default(reported: Reported, stored: list[dict[str, Any]]) -> None:
    expected: Found = {}
    for column, target in enumerate(REGISTRY["targets"]):
        codes = {s: [r["target_origin"][column] for r in records(reported.dataset, s)] for s in SPLITS}
        shares = {split: own.count(2) / len(own) for split, own in codes.items()}
        expected["mostly_default", target["name"]] = _where(shares, lambda share: share > 0.5)
    assert _of(stored, "mostly_default") == _approximately(expected)


def test_facts_that_nobody_has_are_named(reported: Reported, stored: list[dict[str, Any]]) -> None:
    clinical = clinical_table(reported)
    missing = {
        ("static_all_default", name): {s: 1.0 for s in SPLITS if not any(_known(reported, clinical, s, name))}
        for name in STATICS
    }
    assert _of(stored, "static_all_default") == {key: splits for key, splits in missing.items() if splits}


def _known(reported: Reported, clinical: dict[int, dict[str, float | None]], split: str, name: str) -> list[float]:
    return [value for case in cases_of(reported.dataset, split) if (value := clinical[case][name]) is not None]


def _statics(reported: Reported) -> Iterator[tuple[str, str, float]]:
    clinical = clinical_table(reported)
    for name in STATICS:
        train = _known(reported, clinical, "train", name)
        for split in SPLITS[1:]:
            other = _known(reported, clinical, split, name)
            spread = math.sqrt((statistics.variance(train) + statistics.variance(other)) / 2)
            if spread:
                yield name, split, (statistics.mean(other) - statistics.mean(train)) / spread


def test_differences_of_so_few_subjects_are_notes_and_only_the_large_ones(
    reported: Reported, stored: list[dict[str, Any]]
) -> None:
    subjects = [len({r["subject_id"] for r in records(reported.dataset, split)}) for split in SPLITS[1:]]
    assert max(subjects) < 10, "no verdict on either"
    expected: dict[tuple[str, str | None], dict[str, float]] = {}
    for name, split, difference in _statics(reported):
        if abs(difference) > 0.25:
            expected.setdefault(("splits_differ", name), {})[split] = difference
    for name in INPUTS:
        distances = table_of(reported, data_input=name)["distance"][1:]  # held against the tables by another test
        for split, cell in zip(SPLITS[1:], distances, strict=True):
            if (cell.values()[0] or 0) > 0.25:
                expected.setdefault(("distributions_differ", name), {})[split] = cell.values()[0] or 0
        observed = {}
        for split in SPLITS:
            values = [v for case in cases_of(reported.dataset, split) for v in series(reported.output, case, name)]
            observed[split] = sum(not math.isnan(value) for value in values) / len(values)
        _add_shares(expected, ("coverage_differs", name), observed)
        tracks = [source["track"] for source in registry_item(name)["sources"]]
        used = {s: [used_seconds(reported.recordings, c, name) for c in cases_of(reported.dataset, s)] for s in SPLITS}
        totals = {split: sum(sum(one.values()) for one in own) for split, own in used.items()}
        for track in tracks[1:]:
            shares = {s: sum(one[track] for one in own) / totals[s] for s, own in used.items() if totals[s]}
            _add_shares(expected, ("sources_differ", track), shares)
    codes = ("splits_differ", "distributions_differ", "coverage_differs", "sources_differ")
    assert _of(stored, *codes) == _approximately(expected)
    assert {w["level"] for w in stored if w["code"] in codes} == {"note"}
    assert all("chance cannot be excluded" in w["message"] for w in stored if w["code"] in codes)


def _add_shares(expected: Found, key: tuple[str, str | None], shares: dict[str, float]) -> None:
    apart = {s for s in SPLITS[1:] if "train" in shares and s in shares and abs(shares[s] - shares["train"]) > 0.25}
    if apart:
        expected[key] = {split: shares[split] for split in SPLITS if split == "train" or split in apart}


def test_every_kind_of_warning_is_worked_out_here(stored: list[dict[str, Any]]) -> None:
    known = {"few_subjects", "cases_dominate", "input_mostly_default", "rarely_observed", "often_clipped"}
    known |= {"mostly_default", "static_all_default", "splits_differ", "distributions_differ", "coverage_differs"}
    known |= {"sources_differ"}
    assert {warning["code"] for warning in stored} <= known, "none tells the future: gaps are filled causally"
