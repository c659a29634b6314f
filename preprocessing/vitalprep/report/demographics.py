"""Statics of the patients in each split, and standardized differences from train."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import CaseOutcome
from vitalprep.contract.config import BODY, PERSON, Config, Static
from vitalprep.contract.config_file import load_config
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.features.impute import DEFAULT

__all__ = ["Demographic", "Fact", "StaticSummary", "demographics_of", "facts_of", "standardized_difference"]

PARTS = {"age": 24, "height": 26, "weight": 18, "bmi": 20}  # of the static's range: 5 years, 5 cm, 10 kg, 2 kg/m2
OTHER_PARTS = 20


@dataclass(frozen=True)
class Fact:
    """One fact about the patients: a static, or age, sex, height or weight where it is none.

    `values` holds it by case, where the clinical table says it. `in_records` tells statics from the others.
    """

    static: Static
    values: Mapping[int, float]
    in_records: bool


@dataclass(frozen=True)
class StaticSummary:
    """One static over the written cases of a split. Defaults are counted and left out of all other figures.

    `counts` are cases in equal parts of the static's range (for sex and ASA: by value), in the registry's unit; `below`
    and `above` are those beside it.
    """

    known: int
    default: int
    mean: float | None
    deviation: float | None
    quartiles: tuple[float, float, float] | None
    counts: tuple[int, ...]
    below: int
    above: int


@dataclass(frozen=True)
class Demographic:
    """One static in all splits.

    `differences` are standardized mean differences of validation and test from train, and `errors` their standard
    errors; None where a split knows fewer than two values. `in_records` is as in `Fact`.
    """

    static: Static
    splits: Mapping[str, StaticSummary]
    differences: Mapping[str, float | None]
    errors: Mapping[str, float | None]
    in_records: bool = True


def facts_of(plan: Plan) -> list[Fact]:
    """Return the statics in the order of the record, then what else is known of age, sex, height and weight."""
    statics = plan.config.statics
    facts = [
        Fact(
            static=static,
            values={case.case_id: case.static[i] for case in plan.cases if case.static_origin[i] != DEFAULT},
            in_records=True,
        )
        for i, static in enumerate(statics)
    ]
    for name in PERSON:
        if name not in {static.name for static in statics}:
            known = {case.case_id: getattr(case.body, name, None) for case in plan.cases}
            values = {case: value for case, value in known.items() if value is not None}
            if values or plan.config.needed_by(name):
                facts.append(Fact(static=_beside(name, plan.config), values=values, in_records=False))
    return facts


def _beside(name: str, config: Config) -> Static:
    """Return a fact that is no static, with the unit and range of the registry and the configuration's own default."""
    usual = next(static for static in _registry().statics if static.name == name)
    return usual.model_copy(update={"default": config.body_default(name)}) if name in BODY else usual


@cache
def _registry() -> Config:
    return load_config()


def demographics_of(plan: Plan, outcomes: Mapping[int, CaseOutcome]) -> list[Demographic]:
    """Return every fact about the patients over the written cases."""
    written = {
        split: [
            case.case_id for case in plan.cases_of(split) if case.case_id in outcomes and outcomes[case.case_id].windows
        ]
        for split in SPLITS
    }
    result = []
    for fact in facts_of(plan):
        static = fact.static
        values = {
            split: np.array([fact.values[case] for case in cases if case in fact.values])
            for split, cases in written.items()
        }
        pairs = {split: standardized_difference(values["train"], values[split]) for split in SPLITS[1:]}
        result.append(
            Demographic(
                static=static,
                splits={
                    split: _summary(values[split], static, default=len(written[split]) - len(values[split]))
                    for split in SPLITS
                },
                differences={split: difference for split, (difference, _) in pairs.items()},
                errors={split: error for split, (_, error) in pairs.items()},
                in_records=fact.in_records,
            )
        )
    return result


def standardized_difference(
    first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Return the standardized mean difference of two groups, second minus first, and its standard error.

    ``(m2 - m1) / sqrt((s1^2 + s2^2) / 2)`` (Austin, Stat Med 2009; 28:3083-3107, section 3.1); its large-sample error
    ``sqrt((n1 + n2) / (n1 n2) + d^2 / (2 (n1 + n2)))`` (Hedges and Olkin, Statistical Methods for Meta-Analysis, 1985,
    p. 86). None where a group has fewer than two values or both are constant.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) < 2 or len(b) < 2:
        return None, None
    spread = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    if spread == 0:
        return None, None
    difference = float(b.mean() - a.mean()) / spread
    error = math.sqrt((len(a) + len(b)) / (len(a) * len(b)) + difference**2 / (2 * (len(a) + len(b))))
    return difference, error


def _summary(values: NDArray[np.float64], static: Static, *, default: int) -> StaticSummary:
    known = len(values)
    quartiles = np.percentile(values, [25, 50, 75]).tolist() if known else None
    return StaticSummary(
        known=known,
        default=default,
        mean=float(values.mean()) if known else None,
        deviation=float(values.std(ddof=1)) if known > 1 else None,
        quartiles=tuple(quartiles) if quartiles else None,
        counts=tuple(_counts(values, static)),
        below=int(np.count_nonzero(values < static.range[0])),
        above=int(np.count_nonzero(values > static.range[1])),
    )


def _counts(values: NDArray[np.float64], static: Static) -> list[int]:
    low, high = static.range
    if static.measure == "sex":
        return [int(np.count_nonzero(values < 0)), int(np.count_nonzero(values > 0))]
    if static.measure == "asa":
        low, high, parts = low - 0.5, high + 0.5, round(high - low) + 1
    else:
        parts = PARTS.get(static.measure or "", OTHER_PARTS)
    counts, _ = np.histogram(values, bins=parts, range=(low, high))
    return [int(count) for count in counts]
