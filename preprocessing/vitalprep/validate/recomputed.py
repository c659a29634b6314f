"""Holds the records of a file against those that its cases' tables give: computed anew, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.table import TableMissing
from vitalprep.record_files.content import FileFacts, FileTask, parts_of
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage
from vitalprep.tfrecord.reader import RecordReader
from vitalprep.validate.replay import Replays

__all__ = ["Recomputed"]

Problems = list[tuple[str, str]]


class Recomputed:
    """The records that a file has to hold, one after another.

    Parameters
    ----------
    task : FileTask or None
        The file as tables and plan give it. None: nothing is compared.
    reader : RecordReader
        Reads a record that differs, to say where.

    Attributes
    ----------
    replays : Replays
        Windows that were computed again from what was known at their target.
    """

    def __init__(self, task: FileTask | None, output: Storage, reader: RecordReader) -> None:
        self._facts = FileFacts()
        self.replays = Replays()
        self._reader = reader
        self._records = _records(task, output, self._facts, self.replays) if task else iter(())
        self._compares = task is not None
        self._complete = False

    @property
    def facts(self) -> FileFacts | None:
        """What the file's tables say of it; None unless all of them were read."""
        return self._facts if self._complete else None

    def problems(self, index: int, encoded: bytes) -> Problems:
        """Compare the next record. Return the name of the failed check and the place.

        After a problem nothing more is compared.
        """
        if not self._compares:
            return []
        wanted, problems = self._next()
        if problems:
            return problems
        if wanted is None:
            return self._ended(f"record {index} is one more than its tables give")
        (case, start), record = wanted
        if record.tobytes() == encoded:
            return []
        where = f"record {index} is not what the table of case {case} gives from second {start}"
        return self._ended(f"{where}: {self._difference(encoded, record.tobytes())}")

    def rest(self) -> Problems:
        """Return what is missing after the last record."""
        if not self._compares:
            return []
        wanted, problems = self._next()
        if problems or wanted is None:
            return problems or self.replays.problems
        (case, start), _ = wanted
        return self._ended(f"the record of case {case} from second {start} is missing")

    def _next(self) -> tuple[tuple[tuple[int, int], NDArray[np.uint8]] | None, Problems]:
        try:
            wanted = next(self._records, None)
        except (RefusedError, TableMissing) as error:
            self._compares = False
            return None, [("tables", error.message.rstrip("."))]
        self._complete = wanted is None
        return wanted, []

    def _ended(self, problem: str) -> Problems:
        self._compares = False
        return [("recomputed", problem)]

    def _difference(self, encoded: bytes, wanted: bytes) -> str:
        found, right = self._reader.read(encoded), self._reader.read(wanted)
        names = [name for name, value in vars(right).items() if not np.array_equal(getattr(found, name), value)]
        return f"{' and '.join(names)} differ" if names else "it is written in another way"


def _records(
    task: FileTask, output: Storage, facts: FileFacts, replays: Replays
) -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
    """Yield (case, start second) and the encoded record of each window. The array is used again for the next one."""
    space = np.empty(0, dtype=np.uint8)
    for part in parts_of(task, output, facts):
        replays.add(part, task)
        for window in part.order:
            size = part.size(window)
            if size > len(space):
                space = np.empty(size, dtype=np.uint8)
            yield window, part.record(window, space)
