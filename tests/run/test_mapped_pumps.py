"""A rack's numbered pump, from the cell of the clinical table to the records; another cell is another result.

Every patient weighs 80 kg and pump 1 runs at 24 mL/h: 6 mg/kg/h of a drug with 20 mg/mL, 3 of one with 10 mg/mL.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import vitalprep
from tests.inspect.made import write
from tests.pipeline import Answer, data_digests, run_vitalprep
from vitalprep.contract.plan import load_shard

CASES = range(1, 8)
SECONDS = 400
OWN = """
inputs:
  - name: Propofol_INF
    sources:
      - track: Pump/PUMP1_RATE
        unit: mL/h
        conversion: {per_kg_h: {concentration: 20}}
        limits: [0, 2000]
        stale_after: 60
        where: {column: pump1, value: propofol 2%}
      - track: Pump/PUMP1_RATE
        unit: mL/h
        conversion: {per_kg_h: {concentration: 10}}
        limits: [0, 2000]
        stale_after: 60
        where: {column: pump1, value: propofol 1%}
"""
USUAL = "Propofol 2%"


@dataclass(frozen=True)
class Hospital:
    """An input of seven cases whose table is written anew, its configuration and its output."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def run(self, second: str, *, command: str = "run") -> Answer:
        """Run with a cell of case 2; the others hold propofol of 20 mg/mL."""
        rows = [f"{case},{case},50,M,180,80,24.7,2,{second if case == 2 else USUAL}" for case in CASES]
        header = "caseid,subjectid,age,sex,height,weight,bmi,asa,Pump1"
        (self.folder / "input" / "clinical_data.csv").write_text("\n".join([header, *rows]) + "\n")
        config = self.folder / "own.yaml"
        config.write_text(OWN)
        arguments = ("--input", self.folder / "input", "--output", self.output, "--config", config)
        return run_vitalprep(command, *arguments, *(("--workers", "1") if command == "run" else ()))

    def harmonized(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.output.glob("harmonized/*/*")}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("pumps")
    for case in CASES:
        tracks = {
            "Solar8000/HR": ("/min", [60.0 + case] * SECONDS, 1.0),
            "Pump/PUMP1_RATE": ("mL/hr", [24.0] * SECONDS, 1.0),
        }
        write(folder / "input" / f"{case:04d}.vital", tracks)
    return Hospital(folder)


def _doses(dataset: str) -> dict[int, tuple[float, ...]]:
    """The doses in mg/kg/h of all samples in all records, by case."""
    about = vitalprep.describe(dataset)
    column = about.input_names.index("Propofol_INF")
    found: dict[int, set[float]] = {}
    for split in ("train", "validation", "test"):
        for window in vitalprep.read(dataset, split):
            doses = about.denormalize(window.timeseries[:, [column]], ["Propofol_INF"])
            found.setdefault(window.case_id, set()).update(round(float(dose), 5) for dose in doses.ravel())
    return {case: tuple(sorted(doses)) for case, doses in found.items()}


def _unused(hospital: Hospital, dataset_id: str) -> dict[int, tuple[str, ...]]:
    (plan,) = (hospital.output / "runs" / dataset_id).glob("plan-*.json")
    content = json.loads(plan.read_bytes())
    folder = hospital.output / "harmonized" / content["harmonize_digest"]
    receipts = {
        case["case_id"]: json.loads((folder / f"{case['case_id']:04d}-{case['input_id']}.json").read_bytes())
        for case in content["cases"]
    }
    return {case: tuple(one["track"] for one in receipt.get("unused", ())) for case, receipt in receipts.items()}


def test_another_cell_is_another_result_and_the_first_one_is_used_again(hospital: Hospital) -> None:
    first = hospital.run(USUAL)
    assert first.exit_code == 0, first.result
    assert _doses(first.result["dataset"]) == dict.fromkeys(CASES, (6.0,))
    before, records = hospital.harmonized(), data_digests(first.result["dataset"])

    second = hospital.run("propofol 1%")
    assert second.exit_code == 0, second.result
    assert second.result["dataset_id"] != first.result["dataset_id"]
    assert _doses(second.result["dataset"]) == dict.fromkeys(CASES, (6.0,)) | {2: (3.0,)}
    after = hospital.harmonized()
    assert before.items() <= after.items()
    assert {name[:4] for name in after.keys() - before.keys()} == {"0002"}

    third = hospital.run(" PROPOFOL 2% ")
    assert third.result["dataset_id"] == first.result["dataset_id"]
    assert hospital.harmonized() == after, "the first receipt is used again"
    assert data_digests(third.result["dataset"]) == records

    for path in (hospital.folder / "input").glob("*.vital"):
        os.utime(path, (0, 0))  # a copy, by its etag
    fourth = hospital.run("propofol 1%")
    assert fourth.result["dataset_id"] == second.result["dataset_id"]
    assert hospital.harmonized() == after, "the copies are recognized, with the cell that each case has now"

    for answer in (first, second):
        proof = run_vitalprep("validate", answer.result["dataset"])
        assert proof.exit_code == 0, proof.result


def test_a_pump_whose_cell_is_empty_is_an_unused_track(hospital: Hospital) -> None:
    answer = hospital.run("")
    assert answer.exit_code == 0, answer.result
    assert _doses(answer.result["dataset"]) == dict.fromkeys(CASES, (6.0,)) | {2: (0.0,)}
    assert _unused(hospital, answer.result["dataset_id"]) == dict.fromkeys(CASES, ()) | {2: ("Pump/PUMP1_RATE",)}


def test_a_shard_takes_the_mapped_cells_with_it(hospital: Hospital) -> None:
    answer = hospital.run("propofol 1%", command="plan")
    shard, _ = load_shard(answer.result["plan"], 0)
    assert dict(shard.by_id[2].cells) == {"pump1": "propofol 1%"}
    empty, _ = load_shard(hospital.run("", command="plan").result["plan"], 0)
    assert "mapped_cells" not in empty.by_id[2].content()


@pytest.mark.parametrize("command", ["run", "plan", "check"])
def test_a_drug_that_the_configuration_does_not_map_is_refused(hospital: Hospital, command: str) -> None:
    answer = hospital.run("ketamine", command=command)
    assert answer.exit_code == 65
    said = json.dumps(answer.result)
    assert "line 3 (case 2): pump1 'ketamine' is no text that the configuration maps" in said
    assert "Known: 'propofol 2%', 'propofol 1%'." in said
