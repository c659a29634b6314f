"""Refuses clinical tables in which a column is in another unit than its static."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vitalprep.contract.config import Config, Static
from vitalprep.plan.clinical import ClinicalRow, computed_bmi, settle_statics
from vitalprep.runtime.errors import RefusedError

__all__ = ["refuse_wrong_units"]

MOST_OUTSIDE = 0.05  # share of the cases; fewer are single slips
FEWEST_OUTSIDE = 3
MOST_SHOWN = 5
# By likelihood; a factor converts to the static's unit.
_OTHER_UNITS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "height": (("metres", 100), ("millimetres", 0.1), ("feet", 30.48), ("inches", 2.54)),
    "weight": (("pounds", 0.45359237), ("grams", 0.001)),
    "age": (("months", 1 / 12), ("days", 1 / 365.25)),
    "bmi": (("kg/cm2", 10_000),),
}
_HEIGHT_IN_INCHES = 1 / 2.54**2  # of a bmi computed as if it were in cm
_YEARS_OF_BIRTH = (1900, 2100)


def refuse_wrong_units(rows: Mapping[int, ClinicalRow], config: Config) -> None:
    """Refuse a column of which more than 5 % of the cases, and at least 3, lie outside the limits of its static.

    Parameters
    ----------
    rows : mapping of int to ClinicalRow
        The rows of the cases that are to be planned.

    Raises
    ------
    RefusedError
        For the first such column, in the order of the statics.
    """
    outside = {case: settle_statics(row, config).outside_limits for case, row in rows.items()}
    for item in config.statics:
        cases = [case for case, names in outside.items() if item.name in names]
        if item.limits and len(cases) >= FEWEST_OUTSIDE and len(cases) > MOST_OUTSIDE * len(rows):
            raise _refused(item, item.limits, {case: rows[case] for case in cases}, len(rows))


def _refused(item: Static, limits: tuple[float, float], rows: Mapping[int, ClinicalRow], total: int) -> RefusedError:
    given = {case: row.measures[item.name] for case, row in rows.items()}
    computed = all(value is None for value in given.values())  # only a bmi is computed
    values = {
        case: computed_bmi(rows[case].measures) or 0.0 if value is None else value for case, value in given.items()
    }
    looks = _of_computed(limits, values.values()) if computed else _of_column(item, limits, values.values())
    shown = ", ".join(f"case {case} {value:g}" for case, value in list(values.items())[:MOST_SHOWN])
    column, converted = f"column {item.table_column}", f"the column {item.table_column} to {item.unit}"
    if computed:
        column, converted = f"{item.name} (computed from height and weight)", "height to cm and weight to kg"
    return RefusedError(
        f"The clinical table's {column} is not in {item.unit}: {len(values)} of {total} cases lie outside the limits "
        f"{limits[0]:g} to {limits[1]:g} {item.unit} ({shown}{', ...' if len(values) > MOST_SHOWN else ''})"
        f"{f'; it looks like {looks}' if looks else ''}.",
        fix=f"convert {converted}; if the values are right, set statics.{item.name}.limits.",
    )


def _of_column(item: Static, limits: tuple[float, float], values: Collection[float]) -> str | None:
    """Return the units in which all values that lie outside would lie within the limits, the likeliest first."""
    if item.measure == "age" and all(_YEARS_OF_BIRTH[0] <= value <= _YEARS_OF_BIRTH[1] for value in values):
        return "years of birth"
    units = _OTHER_UNITS.get(item.measure or "", ())
    fit = [name for name, factor in units if all(limits[0] <= value * factor <= limits[1] for value in values)]
    return " or ".join(fit) or None


def _of_computed(limits: tuple[float, float], values: Collection[float]) -> str | None:
    in_inches = all(limits[0] <= value * _HEIGHT_IN_INCHES <= limits[1] for value in values)
    return "a height in inches" if in_inches else None
