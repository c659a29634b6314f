"""Recognizes copies of recordings that were harmonized before: an object's etag changes when it is copied."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.paths import harmonized_folder
from vitalprep.contract.plan import Stamp, stamp_of
from vitalprep.contract.receipt import InputObject, Receipt
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import ObjectChanged, ObjectMissing, Storage, StoredObject

__all__ = ["HarmonizedBefore"]

READERS = 16  # concurrent reads of receipts and recordings


class HarmonizedBefore:
    """The recordings that the receipts of an output name, for one harmonization configuration.

    Parameters
    ----------
    output : Storage
    harmonize_digest : str
        Only these receipts are looked at; others cannot be used again anyway.
    """

    def __init__(self, output: Storage, harmonize_digest: str) -> None:
        self._output = output
        self._paths: dict[int, list[str]] = defaultdict(list)
        for stored in output.list(harmonized_folder(harmonize_digest)):
            name = PurePosixPath(stored.path)
            case = name.stem.partition("-")[0]
            if name.suffix == ".json" and case.isascii() and case.isdigit():
                self._paths[int(case)].append(stored.path)

    def known_as(
        self, recordings: Mapping[int, tuple[StoredObject, ...]], source: Storage, input_ids: Mapping[int, str]
    ) -> dict[int, Stamp]:
        """Return the stamp under which each copied recording is known, by case.

        A recording is read only if its stamp is unknown while a receipt of the same case and size has a SHA-256. If it
        may not be read, as by a planner that only lists the input, it counts as new input, with a warning.

        Parameters
        ----------
        recordings : mapping of int to tuple of StoredObject
            The listed recordings of `source`, by case: the files of each, in order.
        input_ids : mapping of int to str
            The input id that each case has by its own stamp. A case with a receipt under it is no copy.
        """
        asked = [(case, files) for case, files in recordings.items() if self._may_be_copy(case, input_ids[case])]
        denied: list[tuple[int, str]] = []
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(lambda one: self._stamp(one[0], one[1], source, denied), asked)
            known = {case: stamp for (case, _), stamp in zip(asked, found, strict=True) if stamp is not None}
        if known:
            log(f"{len(known)} recordings are copies of ones harmonized before", recognized=len(known))
        if denied:
            cases = short_case_list(sorted(case for case, _ in denied))
            log(
                f"cases {cases} may be copies of recordings that were harmonized before. They could not be read to "
                f"tell, so they count as new: {denied[0][1]}",
                level=logging.WARNING,
                cases=cases,
            )
        return known

    def _may_be_copy(self, case: int, input_id: str) -> bool:
        paths = self._paths.get(case, ())
        return bool(paths) and not any(path.endswith(f"-{input_id}.json") for path in paths)

    def _stamp(
        self, case: int, files: tuple[StoredObject, ...], source: Storage, denied: list[tuple[int, str]]
    ) -> Stamp | None:
        sizes, own = [file.size for file in files], stamp_of(files)
        inputs = [item for item in self._inputs(case) if [file.size for file in item.files] == sizes]
        if any(item.stamp == own for item in inputs):
            return None
        hashed = {
            tuple(file.sha256 for file in item.files): item.stamp
            for item in inputs
            if all(file.sha256 is not None for file in item.files)
        }
        if not hashed:
            return None
        try:
            hashes = tuple(
                source.arriving(file.path, etag=file.etag or None, size=file.size, hashed=True).sha256()
                for file in files
            )
        except (ObjectChanged, ObjectMissing):  # harmonize says so
            return None
        except UsageError as error:
            denied.append((case, error.message))
            return None
        return hashed.get(hashes)

    def _inputs(self, case: int) -> Iterator[InputObject]:
        for path in sorted(self._paths[case]):
            try:
                yield Receipt.from_bytes(self._output.get(path), uri=self._output.uri_of(path)).input
            except (ObjectMissing, RefusedError):  # a damaged one recognizes nothing; who needs it refuses it
                continue
