"""The line that says of a patient what kind of case it is, and too little to find the person."""

from __future__ import annotations

import pytest

from tests.report.synthetic import planned_case
from vitalprep.contract.config import Static
from vitalprep.contract.config_file import load_config
from vitalprep.report.person import person_of


def test_the_six_statics_are_told_coarsely() -> None:
    case = planned_case(1, "train", static=(93.0, -1.0, 161.9, 58.2, 22.2, 3.0), static_origin=(0, 0, 0, 0, 0, 2))
    assert person_of(case, load_config().statics) == (
        "age 90 or older, female, height about 160 cm, weight about 60 kg, BMI 22, asa unknown"
    )


@pytest.mark.parametrize(
    ("unit", "bounds", "value", "said"),
    [
        ("g/dL", (5, 20), 12.64, "hb about 13 g/dL"),
        ("g/dL", (5, 20), 5, "hb about 5 g/dL"),
        ("g/dL", (5, 20), 3.2, "hb 5 g/dL or less"),
        ("g/dL", (5, 20), 24.7, "hb 20 g/dL or more"),
        ("1", (0, 1), 1, "hb about 1"),
        ("1", (0, 1), 0.234, "hb about 0.2"),
        ("mmol/L", (100, 170), 141.7, "hb about 140 mmol/L"),
        ("ug/L", (-1, 3), -0.26, "hb about 0 ug/L"),
        ("1", (0, 40_000), 12_345, "hb about 10000"),
    ],
)
def test_any_other_number_is_rounded_by_its_range(
    unit: str, bounds: tuple[float, float], value: float, said: str
) -> None:
    static = Static(name="hb", unit=unit, range=bounds, default=13)
    case = planned_case(1, "train", static=(value,), static_origin=(0,))
    assert person_of(case, (static,)) == said
    assert person_of(planned_case(1, "train", static=(13.0,), static_origin=(2,)), (static,)) == "hb unknown"
