"""The check `causal`: windows whose filling knew what came later are found, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.receipt import StoredTable
from vitalprep.features.samples import samples_of
from vitalprep.record_files.content import BuildCase, FileTask, Part
from vitalprep.record_files.output_files import OutputFile
from vitalprep.validate.replay import Replays

CAUSAL, KNOWING = load_config(), load_config(settings=["imputation.causal=false"])
HR, SPO2 = (next(place for place, item in enumerate(CAUSAL.inputs) if item.name == name) for name in ("HR", "SPO2"))
CASE = 7
STATIC = BuildCase(
    case_id=CASE,
    subject_id=CASE,
    table=StoredTable(CASE, "harmonized/0007.parquet", 2000, None),
    static=(50.0, 1.0, 170.0, 70.0, 24.2, 2.0),
    static_origin=(0,) * 6,
)


def _table() -> np.ndarray:
    """2,000 s: SpO2 throughout, heart rate with a gap from second 100 to 1,500, longer than its hold of 600 s."""
    table = np.full((2000, len(CAUSAL.inputs)), np.nan, dtype=np.float32)
    table[:, SPO2] = 97
    table[:100, HR] = 80
    table[1500:, HR] = 90
    return table


def _replayed(filled_by: Config, config: Config, starts: tuple[int, ...]) -> Replays:
    """Replay windows whose samples `filled_by` made, as `validate` does for a data set of `config`."""
    samples = samples_of(_table(), STATIC.static, STATIC.static_origin, filled_by)
    part = Part([(CASE, start) for start in starts], {CASE: samples}, {})
    file = OutputFile("vitaldb-train.tfrecord-00000-of-00001", ())
    replays = Replays()
    replays.add(part, FileTask(file, "datasets/x", {CASE: STATIC}, config, "out"))
    return replays


@pytest.mark.parametrize(
    ("start", "wrong"),
    [
        (0, False),  # ends while the value is still held
        (420, True),  # ends at second 719, and a value of second 99 is held to 699
        (1170, True),  # lies inside of the gap
        (1500, False),  # behind the gap
    ],
)
def test_a_window_that_knew_the_end_of_a_gap_is_found(start: int, wrong: bool) -> None:
    found = _replayed(KNOWING, CAUSAL, (start,))
    assert found.count == 1
    assert [check for check, _ in found.problems] == ["causal"] * wrong
    assert all(f"case {CASE} from second {start}" in place for _, place in found.problems)


def test_causal_windows_are_replayed() -> None:
    found = _replayed(CAUSAL, CAUSAL, (0, 420, 1170, 1500))
    assert (found.count, found.problems) == (4, [])


def test_nothing_is_replayed_where_imputation_may_know_the_future() -> None:
    assert _replayed(KNOWING, KNOWING, (420,)).count == 0
