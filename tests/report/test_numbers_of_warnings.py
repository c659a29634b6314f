"""The report's warnings, worked out again from the records and tables."""

from __future__ import annotations

import json

import pytest

from tests.report.conftest import Reported
from tests.report.from_records import REGISTRY, SPLITS, records


def test_the_warnings_of_page_and_metadata_are_the_same(reported: Reported) -> None:
    metadata = json.loads((reported.dataset / "preprocessing_metadata.json").read_bytes())
    lines = [item for item in reported.page.one("section", id="warnings").all("li") if "data-code" in item.attributes]
    shown = [
        (line.attributes["data-code"], next((name.text for name in line.all("strong")), None), sorted(line.values()))
        for line in lines
    ]
    expected = [(w["code"], w["item"], sorted(w["values"].values())) for w in metadata["warnings"]]
    assert sorted(shown, key=str) == sorted(expected, key=str)
    assert shown
    defaults = {w["item"]: w["values"] for w in metadata["warnings"] if w["code"] == "mostly_default"}
    for column, target in enumerate(REGISTRY["targets"]):
        for split in SPLITS:
            codes = [record["target_origin"][column] for record in records(reported.dataset, split)]
            share = codes.count(2) / len(codes)
            assert (split in defaults.get(target["name"], {})) == (share > 0.5)
            if share > 0.5:
                assert defaults[target["name"]][split] == pytest.approx(share)
    assert "Noradrenalin" in defaults, "VitalDB's known one"
