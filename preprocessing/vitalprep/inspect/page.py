"""Draws what recordings hold as a page."""

from __future__ import annotations

from collections.abc import Sequence

from vitalprep.inspect.inspection import UNREADABLE, Inspection
from vitalprep.inspect.steps import Step
from vitalprep.inspect.tracks import Track
from vitalprep.inspect.uses import device_of, feeds, remarks, span, uses_of
from vitalprep.report.page import rendered
from vitalprep.vital.headers import shown

__all__ = ["inspection_html"]

MOST_ROWS = 1000  # of one table


def inspection_html(found: Inspection, steps: Sequence[Step]) -> bytes:
    """Return the page of an inspection."""
    return rendered(
        "inspect.html.j2",
        found=found,
        steps=steps,
        uses=uses_of(found.tracks),
        unreadable=sum(one.reason == UNREADABLE for one in found.unusable),
        with_profile=_with_profile(found.tracks),
        device_of=device_of,
        feeds=feeds,
        remarks=remarks,
        shown=shown,
        span=span,
        most=MOST_ROWS,
    )


def _with_profile(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Return, by input, the tracks that would feed it with a profile."""
    found: dict[str, list[Track]] = {}
    for track in tracks:
        for name in dict.fromkeys(one.input for one in track.known if not track.refused):
            found.setdefault(name, []).append(track)
    return found
