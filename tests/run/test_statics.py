"""A column of the clinical table becomes a static by YAML alone: from the table to whatever reads the data set.

Expected values are worked out by `tests.reference.design4` from the cells that the test wrote.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import vitalprep
from tests.pipeline import Answer, data_digests, run_vitalprep
from tests.reference import design4
from tests.report.html_page import parsed
from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import load_plan

OVERLAY = """
statics:
  - {name: preop_hb, column: Preop_HB, unit: g/dL, limits: [2, 25], range: [5, 20], default: 13}
  - {name: be, column: preop_be, unit: mmol/L, range: [-10, 10], default: 0}
"""
HB = ("13.5", "", "4", "12.25", "9e0", "1.9", "22", "99", "11")
BE = ("-3", "0", "2.5", "nan", "-12")


def _write_table(folder: Path, name: str, *, extra: dict[str, tuple[str, ...]], without: tuple[str, ...] = ()) -> Path:
    """Write the simulated clinical table with columns more, whose cells come in turn, or without some."""
    with (folder / "clinical_data.csv").open() as file:
        rows: list[dict[str, str]] = list(csv.DictReader(file))
    for place, row in enumerate(rows):
        row |= {column: cells[place % len(cells)] for column, cells in extra.items()}
    table = folder / name
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [column for column in rows[0] if column not in without], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return table


@dataclass(frozen=True)
class Made:
    """A data set with two statics more."""

    recordings: Path
    table: Path
    config: Path
    output: Path
    answer: Answer

    @property
    def uri(self) -> str:
        return str(self.answer.result["dataset"])

    def cell(self, case_id: int, column: str) -> str:
        with self.table.open() as file:
            return next(row[column] for row in csv.DictReader(file) if int(row["caseid"]) == case_id)

    def expected(self, case_id: int) -> list[tuple[float, int, bool]]:
        return [
            design4.numeric_static(self.cell(case_id, "preop_hb"), limits=(2, 25), value_range=(5, 20), default=13),
            design4.numeric_static(self.cell(case_id, "preop_be"), limits=None, value_range=(-10, 10), default=0),
        ]


@pytest.fixture(scope="module")
def made(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("statics")
    config = folder / "overlay.yaml"
    config.write_text(OVERLAY)
    (folder / "clinical_data.csv").write_bytes((recordings / "clinical_data.csv").read_bytes())
    table = _write_table(folder, "table.csv", extra={"preop_hb": HB, "preop_be": BE})
    command = ("run", "--input", recordings / "raw-data", "--clinical", table, "--config", config)
    answer = run_vitalprep(*command, "--output", folder / "out", "--cases", "1-12", "--workers", "1")
    assert answer.exit_code == 0, answer.result
    return Made(recordings, table, config, folder / "out", answer)


def _described(made: Made, name: str) -> Any:
    return json.loads((Path(made.uri) / name).read_bytes())


def test_every_record_holds_what_the_table_says(made: Made) -> None:
    seen: dict[int, tuple[list[float], list[int]]] = {}
    for split in ("train", "validation", "test"):
        for window in vitalprep.read(made.uri, split, origin=True):
            assert window.origins is not None
            assert window.static.shape == (8,)
            seen[window.case_id] = window.static[6:].tolist(), window.origins.static[6:].tolist()
    counted = set()
    for case_id, (values, origins) in seen.items():
        expected = made.expected(case_id)
        assert values == pytest.approx([float(value) for value, _, _ in expected], abs=1e-6)
        assert origins == [origin for _, origin, _ in expected]
        counted |= {case_id} if expected[0][2] else set()
    assert counted, "a cell outside of the limits is among those that are drawn on"
    assert {tuple(origins) for _, origins in seen.values()} > {(0, 0), (2, 0)}
    warnings = _described(made, "preprocessing_metadata.json")["warnings"]
    (warning,) = [item for item in warnings if item["code"] == "static_outside_limits"]
    assert (warning["item"], set(warning["cases"])) == ("preop_hb", counted)


def test_dropped_values_are_told_at_plan_with_their_cases(made: Made) -> None:
    dropped = [str(case) for case in range(1, 13) if made.expected(case)[0][2]]
    (line,) = [line for line in made.answer.log if line.get("static") == "preop_hb"]
    assert f"column preop_hb in {len(dropped)} of 12 cases: {','.join(dropped)};" in line["message"]


def test_its_description_knows_them(made: Made) -> None:
    about = vitalprep.describe(made.uri)
    assert about.static_names[6:] == ("preop_hb", "be")
    assert (about.statics[6].unit, about.statics[6].range, about.statics[6].default) == ("g/dL", (5, 20), 13)
    assert about.denormalize(np.array([[0.0, 1.0]]), ["preop_hb", "be"]).tolist() == [[12.5, 10]]
    assert _described(made, "preprocessing_metadata.json")["shapes"]["static"] == [8]
    features = _described(made, "features.json")["featuresDict"]["features"]
    assert features["static"]["tensor"]["shape"] == {"dimensions": ["8"]}
    assert features["static_origin"]["tensor"]["shape"] == {"dimensions": ["8"]}


def test_tensorflow_datasets_reads_them(made: Made) -> None:
    tfds = pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is a development tool")
    builder = tfds.builder_from_directory(made.uri)
    for example in tfds.as_numpy(builder.as_dataset(split="train")):
        expected = made.expected(int(example["case_id"]))
        np.testing.assert_allclose(example["static"][6:], [value for value, _, _ in expected], atol=1e-6)
        assert example["static_origin"][6:].tolist() == [origin for _, origin, _ in expected]


def test_keras_gets_them_in_batches(made: Made) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is an extra of the worker")
    _, static, _ = next(iter(vitalprep.load(made.uri, "train", batch_size=4, shuffle=None)))
    assert static.shape == (4, 8)


def test_the_card_shows_column_unit_range_and_limits(made: Made) -> None:
    card = (Path(made.uri) / "README.md").read_text()
    assert "| `static` | float32 (8,) |" in card
    assert "| # | name | column | unit | low to high | limits | default |" in card
    assert "| 5 | `asa` | `asa` | `1` | 1 to 6 |  | 2 |" in card
    assert "| 6 | `preop_hb` | `preop_hb` | `g/dL` | 5 to 20 | 2 to 25 | 13 |" in card
    assert "| 7 | `be` | `preop_be` | `mmol/L` | -10 to 10 |  | 0 |" in card
    assert "What lay outside of the limits was dropped" in card
    assert r"preop\_hb lies outside of its limits 2 to 25 in case" in card
    assert "[8], tf.float32" in card, "the example that reads it"


def test_the_report_shows_them_by_split(made: Made) -> None:
    page = parsed(Path(made.uri) / "report.html")
    rows = page.one("article", data_static="preop_hb").one("table").rows()
    plan, _ = load_plan(made.answer.result["plan"])
    metadata = _described(made, "preprocessing_metadata.json")
    for place, split in enumerate(("train", "validation", "test")):
        written = [case for case in _written(made) if plan.by_id[case].split == split]
        cells = {case: made.cell(case, "preop_hb") for case in written}
        known = [float(cells[case]) for case in written if made.expected(case)[0][1] == design4.OBSERVED]
        assert len(written) == metadata["splits"][split]["cases"]
        assert rows["missing"][place].values() == [len(written) - len(known)]
        if known:
            assert rows["mean"][place].values()[0] == pytest.approx(np.mean(known))
            assert rows["median"][place].values()[0] == pytest.approx(np.median(known))
    assert page.one("article", data_static="preop_hb").one("h3").text.split() == ["preop_hb", "g/dL"]
    assert list(page.one("article", data_static="be").all("path", class_="curve train")), "it is drawn"
    warnings = page.one("section", id="warnings")
    (line,) = [item for item in warnings.all("li") if item.attributes.get("data-code") == "static_outside_limits"]
    assert "preop_hb" in line.text
    assert "preop_hb about" in page.one("section", id="gallery").text


def _written(made: Made) -> list[int]:
    with (Path(made.uri) / "cases.csv").open() as file:
        return [int(row["case_id"]) for row in csv.DictReader(file) if row["outcome"] == "written"]


def test_validate_proves_them(made: Made) -> None:
    proved = run_vitalprep("validate", made.uri)
    assert proved.exit_code == 0, proved.result
    assert proved.result["verdict"] == "passed"


def test_diff_names_what_another_static_changes(made: Made, tmp_path: Path) -> None:
    arguments = ("--input", made.recordings / "raw-data", "--clinical", made.table, "--cases", "1-12", "--workers", "1")
    plain = run_vitalprep("run", *arguments, "--output", made.output)
    assert plain.exit_code == 0, plain.result
    answer = run_vitalprep("diff", plain.result["dataset"], made.uri)
    assert answer.exit_code in (0, 1), answer.result
    changes = {change["key"]: (change["a"], change["b"]) for change in answer.result["config"]}
    assert changes["statics.preop_hb.limits"] == (None, "[2.0, 25.0]")
    assert changes["statics.be.column"] == (None, "preop_be")
    assert not answer.result["cases"]["split"]
    assert not answer.result["cases"]["input"]
    assert any("preop_hb lies outside" in message for _, message in answer.result["warnings"]["only_b"])


def test_the_card_s_own_command_makes_it_again(made: Made, tmp_path: Path) -> None:
    own = Path(made.uri) / "config.yaml"
    arguments = ("--input", made.recordings / "raw-data", "--clinical", made.table, "--cases", "1-12")
    again = run_vitalprep("run", *arguments, "--config", own, "--output", tmp_path, "--workers", "1")
    assert again.result["dataset_id"] == made.answer.result["dataset_id"]
    assert data_digests(again.result["dataset"]) == data_digests(made.uri)


def test_an_appended_data_set_keeps_them(made: Made) -> None:
    arguments = ("--input", made.recordings / "raw-data", "--clinical", made.table, "--cases", "13-14")
    grown = run_vitalprep("run", *arguments, "--append-to", made.uri, "--output", made.output, "--workers", "1")
    assert grown.exit_code == 0, grown.result
    assert vitalprep.describe(grown.result["dataset"]).static_names[6:] == ("preop_hb", "be")
    refused = run_vitalprep(
        "plan", *arguments, "--append-to", made.uri, "--output", made.output, "--set", "windowing.step=30"
    )
    assert refused.exit_code == 2
    assert "Configuration key statics differs" in refused.result["message"]


def test_config_prints_them_as_they_are_read(made: Made) -> None:
    printed = run_vitalprep("config", "--config", made.config).result["statics"]
    assert printed[6:] == [
        {"name": "preop_hb", "unit": "g/dL", "limits": [2, 25], "range": [5, 20], "default": 13},
        {"name": "be", "column": "preop_be", "unit": "mmol/L", "range": [-10, 10], "default": 0},
    ]


def test_a_table_without_a_configured_column_is_refused(made: Made) -> None:
    arguments = ("--input", made.recordings, "--output", made.output, "--config", made.config)
    refused = run_vitalprep("run", *arguments)
    assert refused.exit_code == 65
    assert (
        "lacks the columns 'preop_hb', which statics.preop_hb reads; 'preop_be', which statics.be reads"
        in refused.result["message"]
    )
    assert "statics.preop_hb.column" in refused.result["fix"]


def test_a_cell_that_is_no_number_is_refused_with_its_place(made: Made, tmp_path: Path) -> None:
    cells = ("12", "normal")
    (tmp_path / "clinical_data.csv").write_bytes(made.table.read_bytes())
    table = _write_table(tmp_path, "wrong.csv", extra={"preop_hb": cells})
    arguments = ("--input", made.recordings, "--output", made.output, "--config", made.config, "--clinical", table)
    refused = run_vitalprep("check", *arguments, "--only", "enough-cases")
    assert refused.exit_code == 65
    assert "wrong.csv, line 3 (case 2): preop_hb 'normal' is no number; statics.preop_hb reads it" in json.dumps(
        refused.result
    )


def test_a_table_without_asa_and_bmi_serves_a_configuration_without_them(recordings: Path, tmp_path: Path) -> None:
    """Doses and the report still read age, sex, height and weight; the records hold one static, of another column."""
    (tmp_path / "clinical_data.csv").write_bytes((recordings / "clinical_data.csv").read_bytes())
    table = _write_table(tmp_path, "table.csv", extra={"preop_hb": HB}, without=("asa", "bmi", "emop", "department"))
    content = load_config().content()
    content["statics"] = [{"name": "preop_hb", "unit": "g/dL", "limits": [2, 25], "range": [5, 20], "default": 13}]
    content["body"] = {"height": 170, "weight": 70, "sex": -1}
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(content))
    output = tmp_path / "out"
    arguments = ("--input", recordings / "raw-data", "--output", output, "--clinical", table)
    refused = run_vitalprep("plan", *arguments)
    assert refused.exit_code == 65
    assert "'bmi', which statics.bmi reads; 'asa', which statics.asa reads" in refused.result["message"]

    answer = run_vitalprep("run", *arguments, "--config", own, "--workers", "1")
    assert answer.exit_code == 0, answer.result
    usual = (*arguments[:-1], recordings / "clinical_data.csv", "--workers", "1")
    whole = run_vitalprep("run", *usual)
    for split in ("train", "validation", "test"):
        ours, theirs = vitalprep.read(answer.result["dataset"], split), vitalprep.read(whole.result["dataset"], split)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.static.shape == (1,)
            assert mine.timeseries.tobytes() == other.timeseries.tobytes(), "the same doses and tidal volumes"
            assert mine.target.tobytes() == other.target.tobytes()
    assert len(list((output / "harmonized").iterdir())) == 1, "one table serves both"

    page = parsed(Path(answer.result["dataset"]) / "report.html")
    shown = [item.attributes["data-static"] for item in page.one("section", id="splits").all("article")]
    assert shown == ["preop_hb", "age", "sex", "height", "weight"]
    assert "not in the records" in page.one("article", data_static="weight").text
    theirs_page = parsed(Path(whole.result["dataset"]) / "report.html")
    for name in ("age", "sex", "height", "weight"):
        mine, other = (item.one("article", data_static=name).one("table").rows() for item in (page, theirs_page))
        assert {row: [cell.values() for cell in cells] for row, cells in mine.items()} == {
            row: [cell.values() for cell in cells] for row, cells in other.items()
        }
    card = (Path(answer.result["dataset"]) / "README.md").read_text()
    assert "| 0 | `preop_hb` | `g/dL` | 5 to 20 | 2 to 25 | 13 |" in card
    assert "where it does not say: height 170, weight 70, sex -1." in card
    assert "Sex is -1" not in card
