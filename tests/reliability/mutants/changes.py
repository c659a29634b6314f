"""Changes of one stored file: of a bit, of a field, of what it holds, or of the file as a whole."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vitalprep.runtime.errors import ReasonCode
from vitalprep.tfrecord.framing import framed, records

__all__ = ["Mutant", "drawn"]

HEX = re.compile("[0-9a-f]{12,}")
FAMILIES: tuple[tuple[str, ...], ...] = (
    ("train", "validation", "test"),
    ("ok", "excluded"),
    get_args(ReasonCode),
    ("none", "gzip"),
    ("sharded", "single"),
    ("first", "sum"),
    ("configuration", "note", "assumed"),
    ("real", "simulated"),
    ("running", "done", "stopped", "failed"),
)

Draw = random.Random
Change = Callable[[Draw, bytes], tuple[str, bytes]]


@dataclass(frozen=True)
class Mutant:
    """One file of an output, changed.

    Attributes
    ----------
    change : str
        What was changed, and where in the file.
    data : bytes or None
        None if the file was deleted.
    """

    path: str
    change: str
    data: bytes | None

    def __str__(self) -> str:
        return f"{self.path}: {self.change}"


def drawn(draw: Draw, path: str, data: bytes, others: Sequence[tuple[str, bytes]]) -> Mutant:
    """Return a mutant of a file; `others` are files of its kind, with what is to be said of them."""
    whole: dict[str, float] = {"exchange": 3 if others else 0, "truncate": 1, "empty": 0.3, "delete": 0.7}
    kinds = {"bit": 5.0, "content": 8.0} | whole
    kind = draw.choices(list(kinds), list(kinds.values()))[0]
    if kind == "delete":
        return Mutant(path, "deleted", None)
    if kind == "empty":
        return Mutant(path, "emptied", b"")
    if kind == "exchange":
        name, other = draw.choice(others)
        return Mutant(path, f"exchanged for {name}", other)
    if kind == "truncate":
        length = draw.randrange(len(data)) if data else 0
        return Mutant(path, f"cut to {length} of {len(data)} bytes", data[:length])
    change = _CONTENT.get(path.rpartition(".")[2] if ".tfrecord" not in path else "tfrecord", _line)
    return Mutant(path, *(change if kind == "content" else _bit)(draw, data))


def _bit(draw: Draw, data: bytes) -> tuple[str, bytes]:
    if not data:
        return "a byte added", b"\0"
    place, bit = draw.randrange(len(data)), draw.randrange(8)
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return f"bit {bit} of byte {place}", bytes(changed)


def _line(draw: Draw, data: bytes) -> tuple[str, bytes]:
    """Change a line of a text."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return "a line added", b"\n"
    index, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.choice(("dropped", "twice", "exchanged", "digit"))
    if kind == "dropped":
        del lines[index]
    elif kind == "twice":
        lines.insert(index, lines[index])
    elif kind == "exchanged":
        lines[index], lines[other] = lines[other], lines[index]
    else:
        digits = list(re.finditer(rb"\d", data))
        if digits:
            place = draw.choice(digits).start()
            digit = b"%d" % ((data[place] - 48 + draw.randrange(1, 10)) % 10)
            return f"digit at byte {place}: {digit.decode()}", data[:place] + digit + data[place + 1 :]
    return f"line {index} {kind}", b"".join(lines)


def _table(draw: Draw, data: bytes) -> tuple[str, bytes]:
    """Write a table anew: with another value, without a row, with exchanged columns, or with the same values."""
    table = pq.ParquetFile(io.BytesIO(data)).read()
    names = table.column_names
    columns = [np.array(table.column(name).to_numpy()) for name in names]
    kind = draw.choice(("value", "value", "missing", "row", "columns", "name", "same"))
    column, row = draw.randrange(1, len(names)), draw.randrange(len(table))
    what = f"{kind} of {names[column]} at second {row}"
    if kind == "value":
        value = columns[column][row]
        columns[column][row] = value + draw.choice((-1, 1, 0.01)) if np.isfinite(value) else draw.uniform(0, 100)
    elif kind == "missing":
        columns[column][row] = np.nan
    elif kind == "row":
        columns = [np.delete(values, row) for values in columns]
    elif kind == "columns":
        columns[column], columns[1] = columns[1], columns[column]
    elif kind == "name":
        names[column], names[1] = names[1], names[column]
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), sink)
    return f"written anew, {what}", sink.getvalue()


def _records(draw: Draw, data: bytes) -> tuple[str, bytes]:
    """Write a TFRecord file anew with other records, in valid frames."""
    found = list(map(bytes, records([data]))) or [b""]
    index, other = draw.randrange(len(found)), draw.randrange(len(found))
    kind = draw.choice(("dropped", "twice", "exchanged", "changed", "changed"))
    if kind == "dropped":
        del found[index]
    elif kind == "twice":
        found.insert(other, found[index])
    elif kind == "exchanged":
        found[index], found[other] = found[other], found[index]
    else:
        what, found[index] = _bit(draw, found[index])
        kind += f" in {what}"
    return f"record {index} {kind}", b"".join(map(framed, found))


def _field(draw: Draw, data: bytes) -> tuple[str, bytes]:
    """Change a field of a JSON document: its value to another of its kind, or the fields beside it."""
    content = json.loads(data)
    leaves = list(_leaves(content))
    if not leaves:
        return _bit(draw, data)
    holder, key, place = draw.choice(leaves)
    kind = draw.choices(("value", "removed", "added", "null", "exchanged"), (10, 2, 1, 1, 3))[0]
    said = f"{place} {kind}"
    if kind == "value":
        holder[key] = _another(draw, holder[key], [item[key_] for item, key_, _ in leaves])
        said += f": {str(holder[key])[:60]}"
    elif kind == "removed":
        del holder[key]
    elif kind == "null":
        holder[key] = None
    elif kind == "added":
        if isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder["another"] = holder[key]
    else:
        alike = [item for item in leaves if item[1] == key and item[2] != place] or leaves
        holder2, key2, place2 = draw.choice(alike)
        holder[key], holder2[key2] = holder2[key2], holder[key]
        said += f" with {place2}"
    return said, _as_before(content, data)


def _leaves(content: Any, place: str = "") -> list[tuple[Any, Any, str]]:
    """Return (holder, key, place) of every value, also of lists and objects, which can be removed as a whole."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    found = []
    for key, value in pairs:
        here = f"{place}.{key}" if place else str(key)
        found.append((content, key, here))
        found += _leaves(value, here)
    return found


def _another(draw: Draw, value: Any, all_values: list[Any]) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice((value + 1, value - 1, 0 if value else 1, -value - 1, value * 10 + 1, 2**63))
    if isinstance(value, float):
        return draw.choice((value + 1, value / 2 - 0.1, -value - 1, 0.0 if value else 0.5, value * 1.001 + 1e-9))
    if isinstance(value, str):
        return _another_text(draw, value, all_values)
    if isinstance(value, list):
        return draw.choice((value[1:], value[:-1], value[::-1], [*value, *value[:1]], []))
    if isinstance(value, dict):
        return dict(list(value.items())[1:])
    return draw.choice((0, 1, 0.5, "x", "train", {}, []))


def _another_text(draw: Draw, value: str, all_values: list[Any]) -> str:
    for family in FAMILIES:
        if value in family and draw.random() < 0.8:
            return draw.choice([member for member in family if member != value])
    if HEX.fullmatch(value) and draw.random() < 0.7:
        place = draw.randrange(len(value))
        return value[:place] + draw.choice("0123456789abcdef".replace(value[place], "")) + value[place + 1 :]
    texts = [text for text in all_values if isinstance(text, str) and text != value]
    return draw.choice((value + "x", value[:-1], value.swapcase() + " ", "", draw.choice(texts) if texts else "y"))


def _as_before(content: Any, data: bytes) -> bytes:
    """Write JSON in the form that it had, so that nothing but the field differs."""
    if b"\n " in data:
        return (json.dumps(content, indent=2) + "\n").encode()
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"


_CONTENT: Mapping[str, Change] = {"json": _field, "parquet": _table, "tfrecord": _records}
