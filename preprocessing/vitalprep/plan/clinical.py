"""The clinical table: VitalDB's columns, and any other column that a static names; statics are settled from it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vitalprep.contract import float32
from vitalprep.contract.case_list import HIGHEST_CASE
from vitalprep.contract.config import PERSON, Config, Static
from vitalprep.contract.plan import Person
from vitalprep.plan.mapped_cells import MappedColumn, cells_of
from vitalprep.plan.readings import KINDS, STANDARD, Reading, files_of, value_of, whole_number
from vitalprep.plan.strict_csv import CsvTable
from vitalprep.runtime.errors import RefusedError

__all__ = [
    "COLUMNS",
    "DEFAULTED",
    "OBSERVED",
    "ClinicalRow",
    "Statics",
    "clinical_rows",
    "computed_bmi",
    "is_accepted",
    "named_files",
    "read_clinical_table",
    "settle_statics",
]

OBSERVED, DEFAULTED = 0, 2  # origin codes of docs/design.md, 4; a static is never held
_IDS = ("caseid", "subjectid")
FILES = "file"  # column of the recordings' paths
MOST_BYTES = 256 * 10**6  # VitalDB's table of 6,388 cases has 2 MB
MOST_ROWS = 2_000_000
_FIX_SIZE = "keep the rows of the cases and the columns that are read; check that it is the clinical table."
COLUMNS = (*_IDS, "sex", "age", "height", "weight", "bmi", "asa")


@dataclass(frozen=True)
class ClinicalRow:
    """One case's row: its subject, and what the table says of it (None where it says nothing).

    `measures` holds a value for each reading, by name: sex as -1 (female) or 1 (male), numbers in the table's unit.
    `files` are the paths that the column `file` names, relative to the input, in the cell's order. `cells` are those
    that say which sources apply, by column.
    """

    subject_id: int
    measures: dict[str, float | None]
    files: tuple[str, ...] = ()
    cells: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statics:
    """The statics of a case in record order, with their origins (0 from the table or computed, 2 default).

    `outside_limits` names the statics whose value was dropped by their limits. `body` is what is known of age, sex,
    height and weight where not all of them are statics.
    """

    values: tuple[float, ...]
    origins: tuple[int, ...]
    outside_limits: tuple[str, ...] = ()
    body: Person | None = None


def read_clinical_table(
    data: bytes,
    uri: str,
    wanted: Container[int],
    readings: Sequence[Reading] = STANDARD,
    mapped: Sequence[MappedColumn] = (),
) -> dict[int, ClinicalRow]:
    """Read the rows of the wanted cases from a CSV: any column order, and extra columns.

    Raises
    ------
    RefusedError
        If it is no such table, a needed column is missing, a wanted case stands twice, or one of its cells cannot be
        read.
    """
    rows: dict[int, ClinicalRow] = {}
    for case_id, row in clinical_rows(data, uri, wanted, readings, mapped):
        if isinstance(row, RefusedError):
            raise row
        assert case_id is not None  # what can be read has a number
        rows[case_id] = row
    return rows


def named_files(data: bytes, uri: str) -> dict[int, tuple[str, ...]]:
    """Return the paths that the column `file` names, by case; none for a case whose cell is empty.

    Raises
    ------
    RefusedError
        See `read_clinical_table`: where there is a column `file`, the case and the file of every row must be readable.
    """
    table = _opened(data, uri)
    _refuse_missing(table.columns, uri)
    if FILES not in table.columns:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    for line, cells in table:
        place = f"{uri}, line {line}"
        case_id = whole_number(cells["caseid"], place, "caseid")
        files = files_of(cells[FILES], f"{place} (case {case_id})")
        if files and found.get(case_id):
            raise RefusedError(f"{place}: case {case_id} stands twice.", fix="remove one of the rows.")
        if files and not 1 <= case_id <= HIGHEST_CASE:
            raise RefusedError(f"{place}: caseid {case_id} is outside 1-{HIGHEST_CASE}.", fix="correct the cell.")
        if files or case_id not in found:
            found[case_id] = files
    return found


def clinical_rows(
    data: bytes,
    uri: str,
    wanted: Container[int],
    readings: Sequence[Reading] = STANDARD,
    mapped: Sequence[MappedColumn] = (),
) -> Iterator[tuple[int | None, ClinicalRow | RefusedError]]:
    """Yield the rows of the wanted cases, and what is wrong with one in its place; None where its case is not known.

    Raises
    ------
    RefusedError
        If it is no such table, has more than 256 MB or 2,000,000 rows, or a needed column is missing. A row that is not
        well formed ends the reading, whichever case's it is: what follows it may belong to other cells.
    """
    table = _opened(data, uri)
    _refuse_missing(table.columns, uri, readings, mapped)
    seen: set[int] = set()
    for number, (line, cells) in enumerate(table, start=1):
        place = f"{uri}, line {line}"
        if number > MOST_ROWS:
            raise RefusedError(f"{place}: the table has more than {MOST_ROWS:,} rows.", fix=_FIX_SIZE)
        case_id: int | None = None
        try:
            case_id = whole_number(cells["caseid"], place, "caseid")
            if case_id not in wanted:
                continue
            if case_id in seen:
                raise RefusedError(f"{place}: case {case_id} stands twice.", fix="remove one of the rows.")
            seen.add(case_id)
            yield case_id, _row(cells, f"{place} (case {case_id})", readings, mapped)
        except RefusedError as error:
            yield case_id, error


def _opened(data: bytes, uri: str) -> CsvTable:
    if len(data) > MOST_BYTES:
        raise RefusedError(f"{uri} has more than {MOST_BYTES / 1e6:g} MB.", fix=_FIX_SIZE)
    return CsvTable(data, uri, _IDS)


def _refuse_missing(
    columns: Sequence[str], uri: str, readings: Sequence[Reading] = (), mapped: Sequence[MappedColumn] = ()
) -> None:
    ids = [repr(name) for name in _IDS if name not in columns]
    if ids:
        raise RefusedError(
            f"{uri} lacks the column {' and the column '.join(ids)}.",
            fix="give VitalDB's clinical table, or one of your own with a row a case: caseid, subjectid and the "
            "columns that the configuration reads.",
        )
    missing = [item for item in readings if item.needed_by and item.column not in columns]
    needed = [(item.column, item.needed_by) for item in missing]
    needed += [(one.column, one.needed_by) for one in mapped if one.column not in columns]
    if not needed:
        return
    said = "; ".join(f"{column!r}, which {key} reads" for column, key in needed)
    static = next((item for item in missing if item.needed_by == f"statics.{item.name}"), None)
    other = (
        f", name another with {static.needed_by}.column, or plan without this static (edit the whole configuration "
        "that `vitalprep config` prints, and give it with --config)"
        if static
        else ""
    )
    raise RefusedError(
        f"{uri} lacks the column{'s' if len(needed) > 1 else ''} {said}.",
        fix=f"add the column to the table (its cells may be empty){other}.",
    )


def _row(
    cells: Mapping[str, str], place: str, readings: Sequence[Reading], mapped: Sequence[MappedColumn]
) -> ClinicalRow:
    measures = {item.name: _known(cells.get(item.column), place, item) for item in readings}
    subject = whole_number(cells["subjectid"], place, "subjectid")
    return ClinicalRow(subject, measures, files_of(cells.get(FILES), place), cells_of(cells, place, mapped))


def _known(text: str | None, place: str, reading: Reading) -> float | None:
    try:
        return value_of(text, place, reading)
    except RefusedError:
        if reading.needed_by:
            raise
        return None  # as in a table without the column


def is_accepted(column: str, text: str) -> bool:
    """Return whether a cell of one of VitalDB's columns (`COLUMNS`) can be read as its column wants it."""
    try:
        if column in KINDS:
            value_of(text, column, Reading(column, column, KINDS[column], None))
        else:
            whole_number(text, column, column)
    except RefusedError:
        return False
    return True


def settle_statics(row: ClinicalRow, config: Config) -> Statics:
    """Return a case's statics: the table's, a computed bmi, or the default (rulings 7 and 10).

    What lies outside a static's limits is dropped: the default stands for it, and no bmi is computed from it.
    """
    measures = dict(row.measures)
    outside = {item.name for item in config.statics if _is_outside(measures[item.name], item)}
    measures |= dict.fromkeys(outside)
    for item in config.statics:
        known = measures[item.name] is not None or item.name in outside
        if item.measure == "bmi" and not known:
            computed = computed_bmi(measures)
            if _is_outside(computed, item):
                outside.add(item.name)
            else:
                measures[item.name] = computed
    values, origins = [], []
    for item in config.statics:
        value = measures[item.name]
        values.append(item.default if value is None else value)
        origins.append(DEFAULTED if value is None else OBSERVED)
    names = [item.name for item in config.statics]
    beside = {name: measures[name] for name in PERSON if name not in names}
    return Statics(
        values=tuple(values),
        origins=tuple(origins),
        outside_limits=tuple(name for name in names if name in outside),
        body=Person.model_validate(beside) if beside else None,
    )


def computed_bmi(measures: Mapping[str, float | None]) -> float | None:
    """Return weight (kg) / height (m) squared; None where one is not known or float32 cannot hold it."""
    height, weight = measures["height"], measures["weight"]
    return float32.held(weight / (height / 100) ** 2) if height is not None and weight is not None else None


def _is_outside(value: float | None, static: Static) -> bool:
    return value is not None and static.limits is not None and not static.limits[0] <= value <= static.limits[1]
