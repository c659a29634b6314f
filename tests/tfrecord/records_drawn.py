"""Hypothesis strategies for records, and conversion to the input of the reference encoder."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vitalprep.contract.record import Record, RecordShape

FULL = RecordShape(window=300, inputs=16, statics=6, targets=8)
SMALL = RecordShape(window=3, inputs=2, statics=2, targets=1)
NUMBERS = ("case_id", "start_second", "subject_id")
SERIES = ("static", "target", "timeseries")
# Where a varint grows by a byte, and the ends of what an id can be.
WIDTHS = sorted({0, 1, 2**63 - 1, *(2 ** (7 * width) + step for width in range(1, 9) for step in (-1, 0, 1))})

ids = st.sampled_from(WIDTHS) | st.integers(0, 2**63 - 1)


def _floats(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, shape, elements=st.floats(-1, 1, width=32))


def _origins(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, shape, elements=st.integers(0, 2))


def drawn(shape: RecordShape) -> st.SearchStrategy[Record]:
    return st.builds(
        Record,
        case_id=ids,
        subject_id=ids,
        start_second=ids,
        static=_floats(shape.statics),
        static_origin=_origins(shape.statics),
        target=_floats(shape.targets),
        target_origin=_origins(shape.targets),
        timeseries=_floats(shape.window, shape.inputs),
        timeseries_origin=_origins(shape.window, shape.inputs),
    )


def made(shape: RecordShape, seed: int = 1, **numbers: int) -> Record:
    random = np.random.default_rng(seed)
    shapes = {"static": shape.statics, "target": shape.targets, "timeseries": (shape.window, shape.inputs)}
    fields = {name: random.uniform(-1, 1, size).astype(np.float32) for name, size in shapes.items()}
    fields |= {f"{name}_origin": random.integers(0, 3, size).astype(np.uint8) for name, size in shapes.items()}
    return Record(**{"case_id": 17, "subject_id": 5955, "start_second": 300, **numbers}, **fields)


def features_of(record: Record) -> dict[str, list[int] | list[float] | bytes]:
    """Row-major, as in the record table of docs/design.md, 4."""
    features: dict[str, list[int] | list[float] | bytes] = {name: [getattr(record, name)] for name in NUMBERS}
    for name in SERIES:
        features[name] = [float(value) for value in getattr(record, name).ravel(order="C")]
        features[f"{name}_origin"] = bytes(getattr(record, f"{name}_origin").ravel(order="C").tolist())
    return features


def assert_equal(found: Record, wanted: Record) -> None:
    for name in NUMBERS:
        assert getattr(found, name) == getattr(wanted, name)
    for name in (*SERIES, *(f"{name}_origin" for name in SERIES)):
        one, other = getattr(found, name), getattr(wanted, name)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.tobytes() == other.tobytes()
