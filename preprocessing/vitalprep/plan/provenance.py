"""Finds where recordings come from: the user states it, or a note beside the recordings says it."""

from __future__ import annotations

import logging
from typing import TypeVar

from vitalprep.contract.config import Config
from vitalprep.contract.document import Document
from vitalprep.contract.provenance import (
    NOTE_NAME,
    SIMULATION_NAME,
    Provenance,
    ProvenanceNote,
    SettledProvenance,
    SimulationNote,
    known_provenance,
)
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage

__all__ = ["noted_provenance", "read_note", "settled_provenance"]

MOST_BYTES = 1 << 20  # all texts at their longest take less, but for other scripts

Note = TypeVar("Note", bound=Document)


def settled_provenance(config: Config, recordings: Storage, clinical: str | None) -> SettledProvenance | None:
    """Return the provenance of recordings, or None if nothing says it.

    Parameters
    ----------
    config : Config
        Its ``source`` goes before everything else.
    recordings : Storage
        The input.
    clinical : str, optional
        URI of a clinical table of its own place: what lies beside it counts where nothing lies beside the recordings.

    Raises
    ------
    RefusedError
        If there is a note and it cannot be read.
    """
    if config.source is not None:
        stated = known_provenance(config.source) if isinstance(config.source, str) else config.source
        return SettledProvenance(basis="configuration", source=stated)
    found = noted_provenance(recordings)
    if found is None and clinical is not None:
        found = _beside(clinical)
    return SettledProvenance(basis="note", source=found) if found else None


def noted_provenance(recordings: Storage) -> Provenance | None:
    """Return the provenance that `source.json` or `simulation.json` in a folder states, or None."""
    note = read_note(recordings)
    if note is not None:
        return note.source
    return known_provenance("simulated") if _is_simulated(recordings) else None


def read_note(recordings: Storage) -> ProvenanceNote | None:
    """Return the note `source.json` beside recordings, written by `vitalprep fetch` or by hand, or None.

    Raises
    ------
    RefusedError
        If there is a note and it cannot be read, or is none for its size.
    """
    return _read(recordings, NOTE_NAME, ProvenanceNote)


def _is_simulated(recordings: Storage) -> bool:
    """Whether `vitalprep simulate` wrote the recordings; a file that only has the name does not count."""
    try:
        return _read(recordings, SIMULATION_NAME, SimulationNote) is not None
    except RefusedError as error:
        log(
            f"{SIMULATION_NAME} is ignored, so the patients do not count as simulated: {error.message}",
            level=logging.WARNING,
        )
        return False


def _read(recordings: Storage, name: str, kind: type[Note]) -> Note | None:
    found = recordings.head(name, optional=True)
    if found is None:
        return None
    uri = recordings.uri_of(name)
    if found.size > MOST_BYTES:
        raise RefusedError(f"{uri} has more than {MOST_BYTES} bytes.", fix="shorten its texts, or remove it.")
    return kind.from_bytes(recordings.get(name, size=found.size), uri=uri)


def _beside(uri: str) -> Provenance | None:
    folder = uri.rpartition("/")[0] or "/"
    try:
        return noted_provenance(Storage(folder))
    except UsageError as error:  # who may read the table need not be allowed to ask what else is there
        log(f"{folder} could not be searched for {NOTE_NAME}: {error.message}", level=logging.WARNING)
        return None
