"""The configuration overlay to edit: tracks that are there and that the configuration does not use."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import yaml

from vitalprep.contract.config import Config
from vitalprep.contract.profiles import profile_sources
from vitalprep.features.grid import accepted
from vitalprep.inspect.inspection import Inspection
from vitalprep.inspect.tracks import Track
from vitalprep.inspect.uses import span
from vitalprep.runtime.printable import printable
from vitalprep.vital.headers import shown

__all__ = ["overlay_to_edit"]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*", re.ASCII)
STALE_AFTER = 10  # s, as for any monitor
INTERVALS = 3  # that a value may be old, of a track that is recorded more rarely
_HEAD = """\
# Tracks of these recordings that the configuration does not use. Edit this file, then give it with --config, together
# with the same --profile as here, if any.
schema_version: 1
"""
_ENTRIES = """
# Packaged profiles list these tracks. Compare unit and range with what you expect; sources of one input are tried in
# order, after those that the configuration has.
"""
_REFUSED = """
# Units that the configuration does not accept. Where one is only another spelling, remove the # in front of its line.
# Where it is another unit, change the source instead: give it this unit and a conversion.
"""
_OTHERS = """
# No profile lists these tracks in this unit. To use one, copy its line below the input that it is to feed, write its
# limits (what the device can show, in the file's unit) in place of LOW and HIGH, and add a conversion if the input has
# another unit:
#   - name: HR
#     sources:
#       - {track: ..., unit: ..., limits: [10, 300], stale_after: 10}
"""


def overlay_to_edit(found: Inspection, config: Config) -> str:
    """Return a configuration overlay as YAML.

    A track that a packaged profile lists is an entry, unless its unit is not accepted. All other numeric tracks are
    comments, with unit and observed range.
    """
    total = found.usable
    unused = [track for track in found.tracks if not track.is_used]
    entries, doubtful = _entries(unused, config)
    text = _HEAD
    if entries:
        text += _ENTRIES + "inputs:\n"
        for name, sources in entries.items():
            text += f"  - name: {_quoted(name)}\n    sources:\n"
            text += "".join(f"      - {_flow(source)}{_observed(track, total)}\n" for source, track in sources)
    spellings, other_units = _refused(found.tracks, config)
    if spellings or other_units:
        text += _REFUSED + "".join(f"# {line}\n" for line in other_units)
        text += "".join(f"{line}\n" for line in ("# units:", *(f"#   {line}" for line in spellings)) if spellings)
    others = [track for track in unused if not track.known or track.track in doubtful]
    if others:
        text += _OTHERS + "".join(
            f"# - {_flow(_suggested(track, config))}{_observed(track, total)}\n" for track in others
        )
    return text


def _entries(
    unused: Sequence[Track], config: Config
) -> tuple[dict[str, list[tuple[dict[str, Any], Track]]], frozenset[str]]:
    """Return the sources of packaged profiles by input, in the profiles' order, and tracks with another unit."""
    there = {track.track: track for track in unused}
    found: dict[str, list[tuple[dict[str, Any], Track]]] = {item.name: [] for item in config.inputs}
    placed: set[str] = set()
    doubtful: set[str] = set()
    for profile in dict.fromkeys(known.profile for track in unused for known in track.known):
        for item, source in profile_sources(profile):
            track = there.get(source["track"])
            if track is None or item not in found or track.track in placed:
                continue
            placed.add(track.track)
            if source["unit"] in config.units and not track.refused:
                found[item].append((source, track))
            else:
                doubtful.add(track.track)
    return {item: sources for item, sources in found.items() if sources}, frozenset(doubtful)


def _suggested(track: Track, config: Config) -> dict[str, Any]:
    """Return a source for a track, as far as it can be told without knowing what it measures."""
    written = track.units[0]
    unit = _known_as(written, config) or written
    stale_after = max(STALE_AFTER, math.ceil(INTERVALS * (track.interval or 0)))
    return {"track": track.track, "unit": unit.strip() or "UNIT", "limits": ["LOW", "HIGH"], "stale_after": stale_after}


def _refused(tracks: Sequence[Track], config: Config) -> tuple[list[str], list[str]]:
    """Return a line for each unit that was met in an unknown spelling, and one for each track in another unit."""
    spellings_of: list[str] = []
    other_units: list[str] = []
    refused: dict[str, list[tuple[str, str]]] = {}
    for track in tracks:
        for one in track.refused:
            refused.setdefault(str(track.wanted_unit), []).append((one.unit.strip(), track.track))
    for unit, met in refused.items():
        others = [(spelling, name) for spelling, name in met if _known_as(spelling, config)]
        met = [one for one in met if one not in others]
        if met:
            spellings = dict.fromkeys([*config.units.get(unit, ()), *(spelling for spelling, _ in met)])
            names = ", ".join(dict.fromkeys(shown(name) for _, name in met))
            spellings_of.append(f"{_quoted(unit)}: [{', '.join(map(_quoted, spellings))}]   # {names}")
        for spelling, name in others:
            said = f"{shown(name)} is in {_quoted(spelling)}, not {_quoted(unit)}"
            other_units.append(f"{said}: give its source this unit and a conversion")
    return spellings_of, other_units


def _known_as(spelling: str, config: Config) -> str | None:
    """Return the unit of the configuration that a spelling stands for."""
    return next((name for name, spellings in config.units.items() if spelling and accepted(spelling, spellings)), None)


def _observed(track: Track, total: int) -> str:
    """Return a comment with what was observed of a track."""
    written = ", ".join(shown(unit) or "none" for unit in track.units)
    said = f"unit in the files: {written}; {track.records:,} records in {track.recordings} of {total} recordings"
    if track.interval is not None:
        said += f", every {track.interval:.3g} s"
    if track.minimum is not None:
        said += f"; {span(track.minimum, track.maximum)}, 90 % within {span(track.p5, track.p95)}"
    return f"   # {printable(said)}"


def _flow(source: dict[str, Any]) -> str:
    """Return a source as one line of YAML."""
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in source.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _flow(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _quoted(value)
    return "true" if value is True else str(value)


def _quoted(text: str) -> str:
    """Return a text as one line of YAML: in quotes, unless it is a plain name."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', width=math.inf, allow_unicode=True).strip()
