"""The harmonized table as Parquet: ``second`` and one float32 column per input, NaN where no source was live.

A table's identity is its values, not the file's bytes: two versions of a Parquet library write the same values
differently. Whoever reads a table computes its digest anew.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vitalprep.contract.document import canonical_json
from vitalprep.contract.receipt import Runs, StoredTable
from vitalprep.runtime.errors import RefusedError, RetryableError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["TableMissing", "from_parquet", "holds_values", "observed_runs", "read_table", "to_parquet", "values_sha256"]

SECOND = "second"
NAN = 0x7FC00000  # the bits that stand for every NaN in the digest


class TableMissing(RetryableError):  # noqa: N818  a state of the store
    """A table is not there: another process may just be harmonizing its case again."""


def values_sha256(values: NDArray[np.float32], names: Sequence[str]) -> str:
    """Return the digest of a (seconds, inputs) table, in 64 hex digits.

    It is the SHA-256 of the names as canonical JSON, the number of seconds as int64, and the columns one after another
    as float32 (both little-endian), where every NaN is 0x7fc00000 and -0.0 is +0.0.
    """
    columns = np.array(values.T, dtype="<f4", order="C") + np.float32(0)  # -0.0 + 0.0 is +0.0
    columns.view("<u4")[np.isnan(columns)] = NAN
    digest = hashlib.sha256(canonical_json(list(names)))
    digest.update(struct.pack("<q", len(values)))
    digest.update(columns.tobytes())
    return digest.hexdigest()


def observed_runs(values: NDArray[np.float32]) -> Runs:
    """Return the runs of seconds of a (seconds, inputs) table in which at least one input has a value.

    Examples
    --------
    >>> observed_runs(np.array([[1, np.nan], [np.nan, 2], [np.nan, np.nan], [3, 4]], dtype=np.float32))
    ((0, 2), (3, 4))
    """
    observed = ~np.isnan(values).all(axis=1)
    edges = np.flatnonzero(np.diff(observed, prepend=False, append=False))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def to_parquet(values: NDArray[np.float32], names: Sequence[str]) -> bytes:
    """Return the Parquet bytes of a (seconds, inputs) table; equal tables give equal bytes."""
    columns = [_column(np.arange(len(values), dtype=np.int32), pa.int32())]
    columns += [_column(column, pa.float32()) for column in values.T]
    sink = pa.BufferOutputStream()
    # Dictionaries do not pay off for measured floats: without them, writing takes half the time and half the space.
    pq.write_table(
        pa.Table.from_arrays(columns, names=[SECOND, *names]),
        sink,
        compression="lz4",
        use_dictionary=False,
        column_encoding={SECOND: "DELTA_BINARY_PACKED"},
    )
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(data: bytes, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the values of a table, shape (seconds, inputs), column-major in memory.

    Raises
    ------
    ValueError
        If it is no Parquet file, or not a table as `to_parquet` writes it.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(columns=[SECOND, *names], use_threads=False)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"it cannot be read as Parquet ({error})") from error
    seconds = _values(table, SECOND, pa.int32(), np.int32)
    if not np.array_equal(seconds, np.arange(len(table), dtype=np.int32)):
        raise ValueError(f"column {SECOND} does not count its rows")
    return np.stack([_values(table, name, pa.float32(), np.float32) for name in names]).T


def _values(table: pa.Table, name: str, kind: pa.DataType, dtype: type[np.generic]) -> NDArray[np.float32]:
    if name not in table.column_names:
        raise ValueError(f"it has no column {name}")
    column = table.column(name).combine_chunks()
    if column.type != kind or column.null_count:
        raise ValueError(f"column {name} is not {kind} without nulls")
    return np.frombuffer(column.buffers()[1] or b"", dtype=dtype, count=len(table))


def holds_values(data: bytes, names: Sequence[str], sha256: str) -> bool:
    """Return whether the bytes of a stored table hold the values of a digest."""
    try:
        return values_sha256(from_parquet(data, names), names) == sha256
    except ValueError:
        return False


def read_table(output: Storage, table: StoredTable, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the values of a stored table, held against its receipt; shape (seconds, inputs).

    Raises
    ------
    TableMissing
        If it is not there.
    RefusedError
        If it is not the table that the receipt describes.
    """
    try:
        data = output.get(table.path)
    except ObjectMissing as error:
        raise TableMissing(
            f"{output.uri_of(table.path)}, the table of case {table.case_id}, is missing.",
            fix="where no other process is writing it, run with --force, which harmonizes again.",
        ) from error
    try:
        if table.values_sha256 is None and hashlib.sha256(data).hexdigest() != table.parquet_sha256:
            raise ValueError("its SHA-256 is another one")
        values = from_parquet(data, names)
        if table.values_sha256 is not None and values_sha256(values, names) != table.values_sha256:
            raise ValueError("its values are other ones")
        if len(values) != table.seconds:
            raise ValueError(f"it has {len(values)} seconds instead of {table.seconds}")
        if table.observed is not None and observed_runs(values) != table.observed:
            raise ValueError("other seconds of it are observed")
    except ValueError as error:
        raise RefusedError(
            f"{output.uri_of(table.path)} is not the table that case {table.case_id}'s receipt describes: {error}.",
            fix="run with --force, which harmonizes again.",
        ) from error
    return values


def _column(values: NDArray[np.float32] | NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    # From buffers, here and above: pa.array(), pa.table() and to_numpy() import pandas if it is installed.
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
