"""Reads a CSV strictly, row by row: commas, UTF-8, well-formed quotes, as many cells in each row as in the header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.printable import shortened

__all__ = ["CsvTable"]

LONGEST_LINE = 1_000_000
LONGEST_SHOWN = 60
_CELL = re.compile(r'(?:"(?:[^"]|"")*+"|[^",\r\n]*+)(?=,|\Z)')
_QUOTED = re.compile(r'"(?:[^"]|"")*+"')
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_FIX_TEXT = "save the table as CSV UTF-8."


class CsvTable:
    """The rows of a CSV by column.

    Lines end with LF, CRLF or CR; a byte order mark is accepted. Rows of nothing but separators and blanks are skipped.

    Parameters
    ----------
    data : bytes
        Content of the file.
    uri : str
        Where it is, for messages.
    known : tuple of str
        Columns that the header must have; they tell which separator it is written with.

    Attributes
    ----------
    columns : tuple of str
        Names in lower case, without blanks around them. Unnamed columns are left out.

    Raises
    ------
    RefusedError
        While the header or a row is read: if it is not well formed, with its line and the fix.
    """

    def __init__(self, data: bytes, uri: str, known: tuple[str, ...]) -> None:
        self._data = data
        self._uri = uri
        self._lines = _Lines(data, uri)
        self._records = self._content_records()
        line, header = next(self._records, (1, []))
        self._names = [name.strip().lower() for name in header]
        self.columns = tuple(filter(None, self._names))
        self._refuse_header(line, header, known)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield for each row the line in which it starts, and its cells by column."""
        for line, cells in self._records:
            if len(cells) != len(self._names):
                raise self._wrong_count(line, cells)
            yield line, dict(zip(self._names, cells, strict=True))

    def _content_records(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._lines, strict=True)
        while True:
            line = self._lines.next_record()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self._malformed(line, f"{error}") from error
            except UnicodeDecodeError as error:
                raise self._wrong_code() from error
            if cells is None:
                return
            if '"' in self._lines.text and _fault(self._lines.text) is not None:
                raise self._malformed(line, "a quote stands where none may stand")
            if any(cell.strip() for cell in cells):
                yield line, cells

    def _refused(self, line: int, what: str, fix: str) -> RefusedError:
        return RefusedError(f"{self._uri}, line {line}: {what}.", fix=fix)

    def _malformed(self, line: int, error: str) -> RefusedError:
        text = self._lines.text
        if "field limit" in error:
            return self._refused(
                line,
                f"a cell of this row has more than {csv.field_size_limit():,} characters",
                "shorten the cell, or close its quote.",
            )
        start = _fault(text)
        if start is None:
            return self._refused(line, f"the row is not CSV ({error})", "save the table as CSV UTF-8 with commas.")
        opened = line + _line_ends(text[:start])
        quoted = _QUOTED.match(text, start)
        if quoted:
            return self._refused(
                line + _line_ends(text[: quoted.end()]),
                f"text follows the quote that closes a cell; the cell's quote opens in line {opened}",
                "close the quote at the cell's end, and double quotes inside a quoted cell.",
            )
        if text.startswith('"', start):
            return self._refused(
                opened, "the quote that opens in this line is never closed", "close the quote, or remove it."
            )
        cell = shortened(text[start:].splitlines()[0], LONGEST_SHOWN)
        return self._refused(
            opened,
            f"a quote stands inside a cell that does not begin with one: {cell!r}",
            "remove the quote (and any blank before it), or quote the whole cell and double the quotes inside.",
        )

    def _wrong_code(self) -> RefusedError:
        try:
            self._data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = self._data[: error.start]
            line = 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
            return self._refused(
                line,
                f"it is not UTF-8 text (byte {error.start} is 0x{self._data[error.start]:02x}), but perhaps Latin-1 or "
                "another code page",
                _FIX_TEXT,
            )
        raise AssertionError("what a decoder refuses in blocks, it refuses as a whole")

    def _refuse_header(self, line: int, header: list[str], known: tuple[str, ...]) -> None:
        separator = _SEPARATOR_LINE.fullmatch(",".join(header))
        if separator and separator[1] not in _SEPARATORS:
            raise self._refused(line, f"{','.join(header)!r} is a spreadsheet's note and no header", "remove the line.")
        for sign, name in _SEPARATORS.items():
            parts = [part.strip(' "').lower() for cell in header for part in cell.split(sign)]
            if (separator and separator[1] == sign) or (
                sign in "".join(header) and any(column in parts and column not in self.columns for column in known)
            ):
                raise self._refused(line, f"columns are separated by {name}", "save it with commas as CSV UTF-8.")
        if len(header) == 1 and all(column in header[0].lower() for column in known):
            if '"' not in self._lines.text:
                raise self._refused(line, "columns are not separated by commas", "save it with commas as CSV UTF-8.")
            raise self._refused(
                line,
                "the whole line is one quoted cell",
                "remove the quotes around the lines, and save it as CSV UTF-8.",
            )
        repeated = next((name for name, count in Counter(self.columns).items() if count > 1), None)
        if repeated:
            places = [index for index, name in enumerate(self._names) if name == repeated]
            said = " and ".join(f"column {index + 1} is {header[index]!r}" for index in places)
            raise self._refused(
                line, f"the column {repeated!r} is there twice: {said}", "remove or rename all but one of them."
            )

    def _wrong_count(self, line: int, cells: list[str]) -> RefusedError:
        count, wanted = len(cells), len(self._names)
        what = f"the row has {count} {'cell' if count == 1 else 'cells'}, the header has {wanted}"
        for sign, name in _SEPARATORS.items():
            if ",".join(cells).count(sign) == wanted - 1:
                return self._refused(line, f"{what}: columns are separated by {name}", "save it with commas.")
        if count > wanted:
            return self._refused(
                line,
                f"{what}: a decimal comma or a comma in a text, without quotes, or a comma too many",
                "write numbers with a decimal point (170.5, not 170,5), and text with a comma in double quotes.",
            )
        return self._refused(line, what, "write a comma for each column, also for empty cells; keep a row in one line.")


class _Lines:
    """The lines of a text, with the number of the last and the text of the record that is being read."""

    def __init__(self, data: bytes, uri: str) -> None:
        mark = next((code for mark, code in _MARKS.items() if data.startswith(mark)), None)
        if mark:
            raise RefusedError(f"{uri}, line 1: it is {mark}, not UTF-8 text.", fix=_FIX_TEXT)
        whole = io.BytesIO(data)
        whole.seek(len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        self._text = io.TextIOWrapper(whole, encoding="utf-8", newline="")  # decodes block by block
        self._uri = uri
        self._number = 0
        self._record: list[str] = []

    def next_record(self) -> int:
        """Forget the record before, and return the number of the line that follows."""
        self._record = []
        return self._number + 1

    @property
    def text(self) -> str:
        """The record so far, without the line end after it."""
        return "".join(self._record).rstrip("\r\n")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self._number += 1
        place = f"{self._uri}, line {self._number}"
        if "\0" in line:
            raise RefusedError(f"{place}: it has a NUL byte: it is UTF-16 without a mark, or no text.", fix=_FIX_TEXT)
        if len(line) == LONGEST_LINE:
            raise RefusedError(
                f"{place}: it has {LONGEST_LINE:,} characters or more.", fix="check that it is the clinical table."
            )
        self._record.append(line)
        return line


def _fault(text: str) -> int | None:
    """Return where the first cell of a record begins that is not well formed, or None."""
    place = 0
    while cell := _CELL.match(text, place):
        if cell.end() == len(text):
            return None
        place = cell.end() + 1
    return place


def _line_ends(text: str) -> int:
    return len(_LINE_END.findall(text))
