"""Which source a plan's recordings come from: what the user states, or what lies beside the recordings."""

from __future__ import annotations

import logging

from preprocessing.config import Config
from preprocessing.console import log
from preprocessing.errors import UsageError
from preprocessing.source import (
    NOTE_NAME,
    SIMULATION_NAME,
    RecordingSource,
    SettledSource,
    SourceNote,
    known_source,
)
from preprocessing.storage import ObjectMissing, Storage

__all__ = ["noted_source", "settled_source"]


def settled_source(config: Config, recordings: Storage, clinical: str | None) -> SettledSource | None:
    """Return the source of recordings, or None where nothing says it.

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
        stated = known_source(config.source) if isinstance(config.source, str) else config.source
        return SettledSource(basis="configuration", source=stated)
    found = noted_source(recordings)
    if found is None and clinical is not None:
        found = _beside(clinical)
    return SettledSource(basis="note", source=found) if found else None


def noted_source(recordings: Storage) -> RecordingSource | None:
    """Return what a note of `vitalprep fetch`, or the options of `vitalprep simulate`, say of a folder."""
    try:
        note = recordings.get(NOTE_NAME)
    except ObjectMissing:
        return known_source("simulated") if recordings.head(SIMULATION_NAME) else None
    return SourceNote.from_bytes(note, uri=recordings.uri_of(NOTE_NAME)).source


def _beside(uri: str) -> RecordingSource | None:
    folder = uri.rpartition("/")[0] or "/"
    try:
        return noted_source(Storage(folder))
    except UsageError as error:  # who may read the table need not be allowed to ask what else is there
        log(f"no {NOTE_NAME} could be looked for in {folder}: {error.message}", level=logging.WARNING)
        return None
