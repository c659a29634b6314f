"""Sources that depend on a cell of the clinical table: how they are named, laid over each other, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.identity import harmonize_digest
from vitalprep.contract.overlay import lay_over, name_of
from vitalprep.runtime.errors import UsageError


def pump(number: int, value: str, *, more: str = "", column: str | None = None) -> str:
    """A source on a numbered pump, as one line of YAML; doses are in mg/mL."""
    return (
        f"{{track: Pump/PUMP{number}_RATE, unit: mL/h, conversion: {{per_kg_h: {{concentration: 20}}}}, "
        f"limits: [0, 2000], stale_after: 60, where: {{column: {column or f'pump{number}'}, value: {value}}}{more}}}"
    )


def propofol(*sources: str, combine: str = "sum", more: str = "") -> str:
    return f"inputs: [{{name: Propofol_INF, combine: {combine}, sources: [{', '.join(sources)}]}}]{more}"


def _loaded(tmp_path: Path, *texts: str) -> Config:
    """Return the configuration of some files, each laid over the one before."""
    path = tmp_path / "own.yaml"
    path.write_text(texts[0])
    return load_config(str(path), texts[1:])


def _names(config: Config) -> list[str]:
    return [source.name for item in config.inputs if item.name == "Propofol_INF" for source in item.sources]


def test_one_track_has_a_source_for_each_text(tmp_path: Path) -> None:
    config = _loaded(tmp_path, propofol(pump(1, " Propofol 2%"), pump(1, "propofol 1%", column="' PUMP1'")))
    assert _names(config)[1:] == [
        "Pump/PUMP1_RATE where pump1 is propofol 2%",
        "Pump/PUMP1_RATE where pump1 is propofol 1%",
    ]
    printed = next(item for item in config.features() if item["name"] == "Propofol_INF")
    assert printed["sources"][1]["where"] == {"column": "pump1", "value": "propofol 2%"}


def test_a_source_is_addressed_by_its_track_and_its_cell(tmp_path: Path) -> None:
    key = "inputs.Propofol_INF.sources.Pump/PUMP1_RATE where pump1 is propofol.stale_after"
    config = _loaded(tmp_path, propofol(pump(1, "propofol")), f"{key}=5")
    assert config.inputs[7].sources[1].stale_after == 5


def test_a_source_is_removed_by_its_track_and_its_cell() -> None:
    base = yaml.safe_load(propofol(pump(1, "propofol"), pump(1, "ketamine")))
    source = "{track: Pump/PUMP1_RATE, remove: true, where: {column: PUMP1, value: Propofol}}"
    merged = lay_over(base, yaml.safe_load(propofol(source)))
    assert [name_of(entry) for entry in merged["inputs"][0]["sources"]] == ["Pump/PUMP1_RATE where pump1 is ketamine"]
    with pytest.raises(UsageError, match=r"no such entry; did you mean Pump/PUMP1_RATE where pump1 is "):
        lay_over(base, yaml.safe_load(propofol("{track: Pump/PUMP1_RATE, remove: true}")))


def test_case_and_blanks_do_not_change_the_digest(tmp_path: Path) -> None:
    first = _loaded(tmp_path, propofol(pump(1, "propofol")))
    assert harmonize_digest(_loaded(tmp_path, propofol(pump(1, "' PropofoL '", column="PUMP1")))) == harmonize_digest(
        first
    )
    others = [propofol(pump(1, "propofol 20")), propofol(pump(1, "propofol", column="pump2"))]
    digests = {harmonize_digest(config) for config in (load_config(), first, *(_loaded(tmp_path, o) for o in others))}
    assert len(digests) == 4


def test_what_is_ignored_changes_no_table(tmp_path: Path) -> None:
    first, second = (
        _loaded(tmp_path, propofol(pump(1, "propofol"), more=more)) for more in ("", "\nignored_cells: [NaCl 0.9%]")
    )
    assert second.ignored_cells == ("nacl 0.9%",)
    assert harmonize_digest(first) == harmonize_digest(second)
    assert "ignored_cells" not in first.content()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (propofol(pump(1, "propofol"), pump(1, "Propofol")), ("sources", "stands twice")),
        (
            propofol(pump(1, "propofol"), "{track: Pump/PUMP1_RATE, unit: mL/h, conversion: {factor: 1}, "
                     "limits: [0, 9], stale_after: 60}"),
            ("Pump/PUMP1_RATE", "with and without where"),
        ),
        (propofol(pump(1, "a"), pump(1, "b", column="drug")), ("Pump/PUMP1_RATE", "pump1, drug")),
        (propofol(pump(1, "propofol"), pump(2, "propofol"), combine="first"), ("Propofol_INF.combine", "pump1, pump2")),
        (propofol(pump(1, "propofol", column="caseid")), ("where.column", "'caseid'")),
        (propofol(pump(1, "''")), ("where.value", "says nothing")),
        (propofol(pump(1, "NA")), ("where.value", "says nothing")),
        (propofol(pump(1, "propofol"), more="\nignored_cells: [PROPOFOL]"), ("ignored_cells", "maps 'propofol'")),
        ("ignored_cells: ['']", ("ignored_cells", "says nothing")),
        (
            propofol("{track: Orchestra/PPF20_RATE, where: {column: pump1}}"),
            ("where.value",),
        ),
    ],
)  # fmt: skip
def test_what_is_ambiguous_or_incomplete_is_refused(tmp_path: Path, own: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        _loaded(tmp_path, own)
    for word in words:
        assert word in str(refused.value)


def test_one_text_of_a_track_feeds_one_input(tmp_path: Path) -> None:
    remifentanil = f"inputs: [{{name: Remifentanil_INF, sources: [{pump(1, 'propofol')}]}}, "
    own = remifentanil + propofol(pump(1, "propofol")).removeprefix("inputs: [")
    with pytest.raises(UsageError, match="stands twice where pump1 is 'propofol'"):
        _loaded(tmp_path, own)
