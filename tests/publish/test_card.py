"""The card: its figures are the data's, its commands run, its terms are its source's, and nobody writes in it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.pipeline import Answer, data_digests, run_vitalprep
from vitalprep.contract.accounting import account
from vitalprep.contract.config_file import load_config
from vitalprep.contract.paths import made_by_vitalprep
from vitalprep.contract.plan import load_plan
from vitalprep.contract.provenance import Agreement, Provenance, SettledProvenance
from vitalprep.publish.card.card import dataset_card
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.markdown import plain


def card_of(answer: Answer) -> str:
    return (Path(answer.result["dataset"]) / "README.md").read_text()


def header_of(card: str) -> dict[str, object]:
    content = yaml.safe_load(card.removeprefix("---\n").split("\n---\n", 1)[0])
    assert isinstance(content, dict)
    return content


def block(card: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


class Page(HTMLParser):
    """What a browser is given: tags, attributes, the text, and the cells of every row."""

    def __init__(self, card: str | bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self._cell = False
        text = card.decode() if isinstance(card, bytes) else card
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text.split("\n---\n", 1)[1]))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attributes)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.tables[-1][-1][-1] += data

    def table(self, first: str) -> list[dict[str, str]]:
        """Return the rows of the table whose first column is called so."""
        (found,) = [rows for rows in self.tables if rows[0][0] == first]
        return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def test_its_counts_are_those_of_the_cases(simulated: Answer) -> None:
    dataset = Path(simulated.result["dataset"])
    rows = list(csv.DictReader((dataset / "cases.csv").open()))
    page = Page(card_of(simulated))
    assert [row["split"] for row in page.table("split")] == ["train", "validation", "test"]
    for row in page.table("split"):
        cases = [case for case in rows if case["split"] == row["split"] and case["outcome"] == "written"]
        assert int(row["cases"]) == len(cases)
        assert int(row["subjects"]) == len({case["subject_id"] for case in cases})
        assert int(row["windows"]) == sum(int(case["windows"]) for case in cases)
        assert float(row["hours"]) == pytest.approx(sum(int(case["seconds"]) for case in cases) / 3600, abs=0.05)
        files = list(dataset.glob(f"vitaldb-{row['split']}.tfrecord-*"))
        assert int(row["files"]) == len(files)
        assert float(row["MB"]) == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, abs=0.05)
    assert page.table("reason") == [{"reason": "raw_object_missing", "cases": "2", "meaning": "no recording was there"}]
    assert "Of 16 cases that were asked for, 14 had a recording and 14 are in here." in page.text


def test_its_coverage_is_that_of_the_harmonized_tables(simulated: Answer) -> None:
    dataset = Path(simulated.result["dataset"])
    tables = [pq.read_table(path) for path in dataset.parents[1].glob("harmonized/*/*.parquet")]
    rows = {row["input"]: row for row in Page(card_of(simulated)).table("input")}
    assert len(rows) == 16
    for name, row in rows.items():
        values = np.concatenate([table.column(name).to_numpy() for table in tables])
        assert float(row["observed"]) == pytest.approx(100 * np.mean(~np.isnan(values)), abs=0.051)
        shares = [float(row[column]) for column in ("observed", "held", "default")]
        assert sum(shares) == pytest.approx(100, abs=0.11)
    assert "Never observed in these cases: Noradrenalin_INF." in Page(card_of(simulated)).text


def test_it_names_the_warnings_the_report_and_the_ways_to_load(simulated: Answer) -> None:
    metadata = json.loads((Path(simulated.result["dataset"]) / "preprocessing_metadata.json").read_bytes())
    levels = {
        level: [w["message"] for w in metadata["warnings"] if w["level"] == level] for level in ("warning", "note")
    }
    text = " ".join(Page(card_of(simulated)).text.split())
    assert levels["warning"]
    assert f"Warnings ({len(levels['note'])} notes besides). report.html shows them" in text
    for message in levels["warning"]:
        assert message in text
    for name in ("vitalprep.load", "vitalprep.read(", "denormalize("):
        assert name in text


def test_its_ranges_are_the_registry_s(simulated: Answer) -> None:
    registry = yaml.safe_load(Path("preprocessing/vitalprep/master_poc.yaml").read_text())
    rows = [table for table in Page(card_of(simulated)).tables if table[0][0] == "#"]
    for row, item in zip(rows[0][1:], registry["inputs"], strict=True):
        low, high = item["range"]
        assert row[1:4] == [item["name"], item["description"], item["unit"]]
        assert row[4:7] == [f"{low:g} to {high:g}", f"{item['default']:g}", str(item["hold"])]
        for source in item["sources"]:
            assert source["track"] in row[7]
    assert [row[1] for row in rows[1][1:]] == [item["name"] for item in registry["statics"]]
    assert [row[1] for row in rows[2][1:]] == [item["name"] for item in registry["targets"]]


def test_simulated_recordings_carry_nobody_s_licence(simulated: Answer) -> None:
    dataset = Path(simulated.result["dataset"])
    card = card_of(simulated)
    assert header_of(card)["license"] == "unknown"
    assert "simulated-patients" in header_of(card)["tags"]  # type: ignore[operator]
    assert "Nobody was recorded." in card
    for path in ("README.md", "croissant.json", "preprocessing_metadata.json", "dataset_info.json"):
        text = (dataset / path).read_text()
        for said in ("CC-BY-NC-SA", "by-nc-sa", "Data Use Agreement", "s41597-022-01411-5"):
            assert said not in text, path
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    assert metadata["source"]["basis"] == "note"
    assert metadata["source"]["source"]["patients"] == "simulated"


def test_vitaldb_s_recordings_carry_its_terms(attributed: Answer) -> None:
    dataset = Path(attributed.result["dataset"])
    card = card_of(attributed)
    assert header_of(card)["license"] == "cc-by-nc-sa-4.0"
    text = Page(card).text
    assert "as the configuration states" in text
    for said in (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "VitalDB Data Use Agreement",
        "Redistribution of the Data is not allowed without permission.",
        "doi:10.1038/s41597-022-01411-5",
        "Lee HC, Park Y, Yoon SB",
        "cut into windows by vitalprep",
    ):
        assert said in text
    source = json.loads((dataset / "preprocessing_metadata.json").read_bytes())["source"]["source"]
    assert source["licence"] == "CC-BY-NC-SA-4.0"
    assert source["agreement"]["url"].startswith("https://vitaldb.net/")


def test_its_command_makes_the_same_records(attributed: Answer, recordings: Path, tmp_path: Path) -> None:
    dataset = Path(attributed.result["dataset"])
    fetch, run = block(card_of(attributed), "sh").splitlines()
    assert fetch == "vitalprep fetch --cases 1-14 --output RECORDINGS --accept-licence"
    places = {"RECORDINGS": str(recordings), "OUTPUT": str(tmp_path), "config.yaml": str(dataset / "config.yaml")}
    command = [places.get(word, word) for word in shlex.split(run)]
    again = run_vitalprep(*command[1:])
    assert again.result["dataset_id"] == dataset.name
    assert data_digests(again.result["dataset"]) == data_digests(dataset)
    assert (Path(again.result["dataset"]) / "README.md").read_bytes() == (dataset / "README.md").read_bytes()


def test_its_command_names_a_clinical_table_of_another_place(recordings: Path, tmp_path: Path) -> None:
    """The table beside the recordings has other statics, and so another id."""
    table = tmp_path / "mine.csv"
    text = (recordings / "clinical_data.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"weight": 99} for row in rows)
    command = ("run", "--input", recordings, "--output", tmp_path / "out", "--cases", "1-8")
    made = run_vitalprep(*command, "--set", "split.allow_empty=true", "--clinical", table)
    beside = run_vitalprep(*command, "--set", "split.allow_empty=true", "--clinical", recordings / "clinical_data.csv")
    assert made.result["dataset_id"] != beside.result["dataset_id"]
    assert "--clinical" not in card_of(beside), "it is where it is looked for"
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    plan, _ = load_plan(made.result["plan"])
    assert plan.clinical is not None
    assert (plan.clinical.uri, plan.clinical.sha256) == (str(table), sha256)
    metadata = Path(made.result["dataset"]) / "preprocessing_metadata.json"
    assert json.loads(metadata.read_bytes())["clinical_table"] == {"sha256": sha256}
    assert sha256 in card_of(made)
    assert str(table) not in card_of(made) + metadata.read_text()
    places = {
        "RECORDINGS": str(recordings),
        "OUTPUT": str(tmp_path / "again"),
        "TABLE": str(table),
        "config.yaml": str(metadata.with_name("config.yaml")),
    }
    again = [places.get(word, word) for word in shlex.split(block(card_of(made), "sh").splitlines()[-1])]
    assert run_vitalprep(*again[1:]).result["dataset_id"] == made.result["dataset_id"]


def test_another_source_needs_no_new_records(recordings: Path, tmp_path: Path) -> None:
    made = run_vitalprep("run", "--input", recordings, "--output", tmp_path).result
    before = data_digests(made["dataset"])
    own = "source={name: St. Elsewhere, licence: internal use only}"
    planned = run_vitalprep("plan", "--input", recordings, "--output", tmp_path, "--set", own).result
    assert planned["dataset_id"] == made["dataset_id"]
    published = run_vitalprep("publish", "--plan", planned["plan"])
    assert header_of(card_of(published))["license_name"] == "internal use only"
    assert "St. Elsewhere" in Page(card_of(published)).text
    assert "VitalDB Data Use Agreement" not in card_of(published)
    assert run_vitalprep("validate", made["dataset"]).exit_code == 0
    assert data_digests(made["dataset"]) == before


def test_the_configuration_beside_it_is_whole(attributed: Answer) -> None:
    plan, _ = load_plan(attributed.result["plan"])
    file = Path(attributed.result["dataset"]) / "config.yaml"
    assert load_config(str(file)) == plan.config
    assert yaml.safe_load(file.read_text()).keys() == plan.config.content().keys() - {"validation"}


def test_its_example_reads_every_window(simulated: Answer, attributed: Answer) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make develop)")
    code = ["import os"]  # one process: TensorFlow takes long to start
    for answer in (simulated, attributed):
        code += [
            f"os.chdir({answer.result['dataset']!r})",
            block(card_of(answer), "python"),
            "for window in train.take(1):",
            "    print([tuple(part.shape) for part in window], int(tf.reduce_max(window[1])) <= 2)",
            "print(sum(1 for _ in train))",
        ]
    process = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=False)
    assert process.stdout.splitlines() == [
        "[(300, 16), (300, 16), (6,), (8,)] True",
        str(simulated.result["windows"]["train"]),
        "[(300, 16), (300, 16), (6,), (8,)] True",
        str(attributed.result["windows"]["train"]),
    ], process.stderr


def test_clean_knows_every_file_of_a_data_set(simulated: Answer, attributed: Answer) -> None:
    for answer in (simulated, attributed):
        for path in Path(answer.result["dataset"]).iterdir():
            assert made_by_vitalprep(f"datasets/{answer.result['dataset_id']}/{path.name}"), path.name


EVIL = (
    "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>",
    "a](javascript:alert(1)) ![x](https://evil.example/p.png) [b](data:text/html,x)",
    "x | y | z\n\n# heading\n\n- item\n\n| a |\n| - |\n",
    "`code` ``` ~~~ \u202egnp.exe\x1b[31m\x00 &lt;b&gt; <!-- $x$ <https://evil.example>",
    "1. one\n> quote\n---\nlicense: mit\n---\n",
)


@pytest.mark.parametrize("text", EVIL)
def test_what_others_wrote_is_text(simulated: Answer, text: str) -> None:
    plan, output = load_plan(simulated.result["plan"])
    first, *others = plan.config.inputs
    source = first.sources[0].model_copy(update={"track": text})
    spoilt = first.model_copy(update={"name": text, "unit": text, "description": text, "sources": (source,)})
    config = plan.config.model_copy(update={"inputs": (spoilt, *others)})
    agreement = Agreement(name=text, url="https://example.org/terms", obligations=(text,))
    origin = Provenance(
        name=text, description=text, licence=text, licence_name=text, agreement=agreement, attribution=text,
        citation=text, limitations=(text, text),
    )  # fmt: skip
    settled = SettledProvenance(basis="note", source=origin)
    accounting, _, summaries, *_ = account(plan, output)
    usual = Page(card_of(simulated))
    card = dataset_card(Described(plan.model_copy(update={"config": config, "source": settled}), accounting, summaries))
    page = Page(card)
    assert page.tags <= usual.tags | {"ol", "a"}
    terms = ("href", "https://example.org/terms")
    assert page.attributes <= usual.attributes | {terms}, "no other link, no picture, no handler"
    assert [[len(row) for row in rows] for rows in page.tables] == [[len(row) for row in rows] for rows in usual.tables]
    assert page.text.count("\n") < 2 * usual.text.count("\n")
    assert header_of(card.decode())["license"] == "other"
    assert not re.search("[\x00\x1b\u202e]", card.decode())
    headings = [line for line in card.decode().splitlines() if line.startswith("#")]
    assert len(headings) == 13


@pytest.mark.parametrize(
    "text",
    [
        "see https://evil.example/x, HTTP://evil.example and ftp://evil.example",
        "www.evil.example|www.evil.example",
        "`https://evil.example` mailto:a@evil.example xmpp:x",
        "(https://evil.example) *https://evil.example* <https://evil.example>",
        "write to me.you+x@evil.example.",
    ],
)
def test_no_address_that_others_wrote_becomes_a_link(text: str) -> None:
    """As GitHub and the hub link bare addresses: wherever they stand as text, but not in code."""
    rendered = MarkdownIt("commonmark", {"html": True}).render(plain(text))
    assert "<a" not in rendered
    assert not re.search(r"://|www[.]|mailto:|xmpp:|@", re.sub("<code>.*?</code>", "", rendered))
    assert rendered.count("evil.example") == text.count("evil.example")
