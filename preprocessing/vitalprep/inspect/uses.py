"""Sorts tracks by what becomes of them: used, used with a profile, refused for their unit, or left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitalprep.inspect.tracks import Track
from vitalprep.report.words import NOTHING, count
from vitalprep.vital.headers import shown

__all__ = ["Use", "device_of", "feeds", "remarks", "span", "uses_of"]

WHOLE = 10**9  # numbers beyond have an exponent


@dataclass(frozen=True)
class Use:
    """Tracks of one kind of use. `name` identifies it in a page."""

    name: str
    title: str
    tracks: tuple[Track, ...]

    @property
    def devices(self) -> dict[str, tuple[Track, ...]]:
        """The tracks by device, in the order in which the devices first appear."""
        found: dict[str, list[Track]] = {}
        for track in self.tracks:
            found.setdefault(track.device, []).append(track)
        return {device: tuple(tracks) for device, tracks in found.items()}


def uses_of(tracks: Sequence[Track]) -> tuple[Use, ...]:
    """Return the uses that a track has: the configuration's, each profile's, refused units, and those left over."""
    used, refused, others = [], [], []
    profiles: dict[str, list[Track]] = {}
    for track in tracks:
        if track.is_used and not _is_refused(track):
            used.append(track)
        elif track.refused:
            refused.append(track)
        elif track.known:
            profiles.setdefault(" or ".join(f"--profile {one.profile}" for one in track.known), []).append(track)
        else:
            others.append(track)
    found = [
        Use("used", "Used by this configuration", tuple(used)),
        *(
            Use(f"profile-{number}", f"Not used; {options} would use them", tuple(profiles[options]))
            for number, options in enumerate(sorted(profiles), start=1)
        ),
        Use("refused", "Not used: their unit is not accepted", tuple(refused)),
        Use("left", "Left over: neither this configuration nor a profile names them", tuple(others)),
    ]
    return tuple(use for use in found if use.tracks)


def _is_refused(track: Track) -> bool:
    """Return whether no unit of a track is accepted."""
    return bool(track.units) and {one.unit for one in track.refused}.issuperset(track.units)


def feeds(track: Track) -> str:
    """Return the inputs that a track feeds, would feed with a profile, or would feed in another unit."""
    said = []
    if track.input:
        said.append(track.input if track.place == 1 else f"{track.input} (source {track.place})")
    said += [f"{one.input} where column {one.column} is {one.value}" for one in track.conditional]
    if track.pulse_of:
        said.append(f"pulse of {', '.join(track.pulse_of)}")
    said.extend(dict.fromkeys(one.input for one in track.known))
    return ", ".join(said)


def remarks(track: Track) -> Iterator[str]:
    """Yield what a person should know of a track: refused units, and values that are dropped."""
    if track.refused:
        units = ", ".join(f"'{shown(one.unit)}' ({_recordings(one.recordings)})" for one in track.refused)
        yield f"unit refused: {units}, not {track.wanted_unit}"
    if track.outside_limits:
        plural = "" if track.outside_limits == 1 else "s"
        yield f"{count(track.outside_limits)} value{plural} outside its limits"
    if track.not_finite:
        yield f"{count(track.not_finite)} of {count(track.records)} records without a number"


def _recordings(number: int) -> str:
    return f"{count(number)} recording{'' if number == 1 else 's'}"


def device_of(name: str) -> str:
    """Return a device's name for a person."""
    return shown(name) or "(no device)"


def span(low: float | None, high: float | None) -> str:
    """Return a range of values, or the one value.

    Examples
    --------
    >>> span(62.04, 118), span(75, 75), span(-0.0, 250_000)
    ('62.04 to 118', '75', '0 to 250,000')
    """
    if low is None or high is None:
        return NOTHING
    begin, end = _number(low), _number(high)
    return begin if begin == end else f"{begin} to {end}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 10_000 <= abs(value) < WHOLE else f"{value + 0.0:.4g}"  # no minus before 0
