"""The harmonized table as a Parquet file that anybody can open."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vitalprep.contract.table import from_parquet, to_parquet

tables = arrays(np.float32, st.tuples(st.integers(0, 30), st.just(3)), elements=st.floats(width=32))


@settings(max_examples=50, deadline=None)
@given(values=tables)
def test_a_table_comes_back_bit_for_bit_and_equal_tables_are_equal_bytes(values: np.ndarray) -> None:
    data = to_parquet(values, ["HR", "BIS", "TV"])
    assert to_parquet(np.asfortranarray(values), ["HR", "BIS", "TV"]) == data
    found = from_parquet(data, ["HR", "BIS", "TV"])
    assert found.dtype == np.float32
    assert found.tobytes() == values.tobytes()
    np.testing.assert_array_equal(from_parquet(data, ["TV", "HR"]), values[:, [2, 0]])


def test_columns_as_designed() -> None:
    values = np.array([[1.5, np.nan], [2.5, 3.5]], dtype=np.float32)
    table = pq.read_table(pa.BufferReader(to_parquet(values, ["HR", "BIS"])))
    assert table.schema.equals(pa.schema([("second", pa.int32()), ("HR", pa.float32()), ("BIS", pa.float32())]))
    assert table["second"].to_pylist() == [0, 1]
    assert table["HR"].to_pylist() == [1.5, 2.5]
    assert np.isnan(table["BIS"].to_pylist()[0])
    assert table["BIS"].null_count == 0  # NaN, not null
