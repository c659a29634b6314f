"""The harmonized table as Parquet: ``second`` and one float32 column per input, NaN where no source was live."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["from_parquet", "read_table", "to_parquet"]


def to_parquet(values: NDArray[np.float32], names: Sequence[str]) -> bytes:
    """Return the Parquet bytes of a (seconds, inputs) table; equal tables give equal bytes."""
    columns = [_column(np.arange(len(values), dtype=np.int32), pa.int32())]
    columns += [_column(column, pa.float32()) for column in values.T]
    sink = pa.BufferOutputStream()
    # Dictionaries do not pay off for measured floats: without them, writing takes half the time and half the space.
    pq.write_table(
        pa.Table.from_arrays(columns, names=["second", *names]),
        sink,
        compression="lz4",
        use_dictionary=False,
        column_encoding={"second": "DELTA_BINARY_PACKED"},
    )
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(data: bytes, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the values of a table, shape (seconds, inputs), column-major in memory."""
    table = pq.ParquetFile(pa.BufferReader(data)).read(columns=list(names), use_threads=False)
    buffers = [table.column(name).combine_chunks().buffers()[1] for name in names]
    return np.stack([np.frombuffer(buffer, dtype=np.float32, count=len(table)) for buffer in buffers]).T


def read_table(output: Storage, path: str, sha256: str, case_id: int, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the values of a case's stored table, checked against the SHA-256 in its receipt.

    Raises
    ------
    RefusedError
        If the table is missing or does not match its receipt.
    """
    try:
        data = output.get(path)
    except ObjectMissing:
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RefusedError(
            f"{output.uri_of(path)} is missing or does not match the receipt of case {case_id}.",
            fix="remove its receipt (the .json next to it) and harmonize again, or plan with --force.",
        )
    return from_parquet(data, names)


def _column(values: NDArray[np.float32] | NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    # From buffers, here and above: pa.array(), pa.table() and to_numpy() import pandas if it is installed.
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
