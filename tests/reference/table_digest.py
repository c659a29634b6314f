"""The digest of a harmonized table's values, written from docs/design.md, ruling 28, value by value."""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct

import pyarrow.parquet as pq


def values_digest(parquet: bytes) -> str:
    """Return the 64 hex digits for the bytes of a Parquet table whose first column is ``second``."""
    table = pq.read_table(io.BytesIO(parquet))
    names = [name for name in table.column_names if name != "second"]
    text = "[" + ",".join(json.dumps(name) for name in names) + "]"
    message = bytearray(text.encode() + table.num_rows.to_bytes(8, "little", signed=True))
    for name in names:
        for value in table.column(name).to_pylist():
            if math.isnan(value):
                message += bytes([0x00, 0x00, 0xC0, 0x7F])
            else:
                message += struct.pack("<f", 0.0 if value == 0 else value)
    return hashlib.sha256(message).hexdigest()
