"""Harmonizing one case, against the gunzip that nobody can do without, and against the `vitaldb` package."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import medians
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.table import to_parquet
from vitalprep.features.conversion import Body
from vitalprep.features.grid import harmonize
from vitalprep.vital.recording import read_vital

__all__ = ["rows"]

Item = TypeVar("Item")

ROUNDS = 5
FACTOR = 0.5  # stands for each source's conversion
BODY = Body(sex=1.0, height=170.0, weight=70.0)
TARGETS = {"interleaved": 1.5, "packed": 1.3}


def rows(recordings: Recordings) -> Iterator[Row]:
    """Bytes in memory to a table ready for its receipt; the median of the cases of each layout."""
    from isal import igzip

    config = load_config()
    for layout, target in TARGETS.items():
        files = recordings.of_layout(packed=layout == "packed")
        contents = [path.read_bytes() for path in files]
        ours, gunzip, theirs = medians(
            ROUNDS,
            partial(_each, partial(_ours, config), contents),
            partial(_each, igzip.decompress, contents),
            partial(_each, partial(_with_vitaldb, config), files),
        )
        megabytes = sum(map(len, contents)) / len(contents) / 1e6
        detail = f"{ours / len(files):.3f} s a case of {megabytes:.1f} MB; {len(files)} cases, {ROUNDS} rounds"
        yield Row(
            name=f"harmonize, {layout}", measure="time / isal gunzip", value=ours / gunzip, target=target, detail=detail
        )
        yield Row(
            name=f"harmonize, {layout}",
            measure="vitaldb + pandas / ours",
            value=theirs / ours,
            target=5,
            better="higher",
            detail=f"vitaldb {theirs / len(files):.3f} s a case",
        )


def _each(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    for item in items:
        work(item)


def _ours(config: Config, data: bytes) -> str:
    recording = read_vital(data, reading=config.reading)
    series = harmonize(recording, config, BODY)
    parquet = to_parquet(series.values, [item.name for item in config.inputs])
    return hashlib.sha256(parquet).hexdigest()


def _with_vitaldb(config: Config, path: Path) -> str:
    """The package's own best way: only the tracks that are wanted, one value a second, the rest in pandas.

    Limits, the order of sources and how long a value stays live are as ours; doses take one factor a source.
    """
    import numpy as np
    import pandas as pd  # noqa: TID251
    import vitaldb

    tracks = [source.track for item in config.inputs for source in item.sources]
    frame = vitaldb.VitalFile(str(path), tracks).to_pandas(tracks, 1)
    table = {}
    for item in config.inputs:
        column = pd.Series(np.nan, index=frame.index)
        for source in item.sources:
            values = frame[source.track].where(frame[source.track].between(*source.limits))
            column = column.combine_first(values.ffill(limit=source.stale_after) * FACTOR)
        table[item.name] = column.astype("float32")
    sink = io.BytesIO()
    pd.DataFrame(table).to_parquet(sink, compression="lz4")
    return hashlib.sha256(sink.getvalue()).hexdigest()
