"""Combines the tracks of several recordings: units, number of records, interval and range of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vitalprep.contract.config import Config
from vitalprep.contract.document import Schema
from vitalprep.contract.profiles import profile_sources, profiles_of
from vitalprep.features.grid import accepted
from vitalprep.inspect.reading import Inspected, TrackFacts

__all__ = ["Conditional", "Known", "RefusedUnit", "Track", "combined_tracks"]

LOW, HIGH = 0.05, 0.95


class RefusedUnit(Schema):
    """A unit that the configuration does not accept of a track, and the number of recordings that have it."""

    unit: str
    recordings: int


class Known(Schema):
    """A packaged profile that lists a track, and the input that the track feeds there."""

    profile: str
    input: str


class Conditional(Schema):
    """An input that a track feeds in the cases whose cell of the clinical table's `column` holds `value`."""

    input: str
    column: str
    value: str


class Track(Schema):
    """A numeric track, over all recordings that were read.

    Attributes
    ----------
    track : str
        ``Device/NAME``.
    units : tuple of str
        As written in the files.
    recordings : int
        How many have it.
    records, not_finite : int
        Number of records, and of those whose value is no number.
    outside_limits : int
        Number of values that the limits of the configuration's source drop.
    interval : float or None
        Median over the recordings of the median number of seconds between consecutive records.
    minimum, p5, p95, maximum : float or None
        In the files' unit, without regard to limits. p5 and p95 are percentiles of all records.
    input : str or None
        The input of the configuration that lists the track as a source, in every case.
    place : int or None
        The source's place in the input's order, from 1.
    conditional : tuple of Conditional
        The inputs that the track feeds in some cases each. Without a clinical table it is not known in which.
    pulse_of : tuple of str
        Inputs whose pulse test reads the track.
    refused : tuple of RefusedUnit
        Where the track is not used because of its unit, or would not be with a profile.
    wanted_unit : str or None
        The unit that the configuration or the profile states for the source.
    known : tuple of Known
        Packaged profiles that would use the track, where the configuration does not.
    """

    track: str
    units: tuple[str, ...]
    recordings: int
    records: int
    not_finite: int
    outside_limits: int
    interval: float | None
    minimum: float | None
    p5: float | None
    p95: float | None
    maximum: float | None
    input: str | None = None
    place: int | None = None
    conditional: tuple[Conditional, ...] = ()
    pulse_of: tuple[str, ...] = ()
    refused: tuple[RefusedUnit, ...] = ()
    wanted_unit: str | None = None
    known: tuple[Known, ...] = ()

    @property
    def device(self) -> str:
        """The device's name; empty for a track without one."""
        return self.track.partition("/")[0]

    @property
    def name(self) -> str:
        """The name without the device."""
        return self.track.partition("/")[2]

    @property
    def is_used(self) -> bool:
        """Whether the configuration names it."""
        return self.input is not None or bool(self.conditional or self.pulse_of)


def combined_tracks(recordings: Iterable[Inspected], config: Config) -> tuple[Track, ...]:
    """Return the tracks of all recordings: those that feed inputs in the inputs' order, then the others by name."""
    found: dict[str, list[TrackFacts]] = {}
    for recording in recordings:
        for facts in recording.tracks:
            found.setdefault(facts.track, []).append(facts)
    order = {item.name: number for number, item in enumerate(config.inputs)}
    last = len(order)
    tracks = (_combined(name, facts, config) for name, facts in found.items())
    return tuple(sorted(tracks, key=lambda track: (order.get(track.input or "", last), track.place or 0, track.track)))


def _combined(name: str, facts: Sequence[TrackFacts], config: Config) -> Track:
    units = dict.fromkeys(unit for one in facts for unit in one.units)
    p5, p95 = _percentiles(facts)
    return Track(
        track=name,
        units=tuple(units),
        recordings=len(facts),
        records=sum(one.records for one in facts),
        not_finite=sum(one.records - one.finite for one in facts),
        outside_limits=sum(one.outside for one in facts),
        interval=_median([one.interval for one in facts if one.interval is not None]),
        minimum=min((one.minimum for one in facts if one.minimum is not None), default=None),
        p5=p5,
        p95=p95,
        maximum=max((one.maximum for one in facts if one.maximum is not None), default=None),
        **_use(name, facts, config),
    )


def _use(name: str, facts: Sequence[TrackFacts], config: Config) -> dict[str, Any]:
    """Return what a configuration makes of a track."""
    sources = [(item.name, place, one) for item in config.inputs for place, one in enumerate(item.sources, start=1)]
    own = [entry for entry in sources if entry[2].track == name]
    beats = [entry for entry in sources if entry[2].pulse and name in (entry[2].pulse.high, entry[2].pulse.low)]
    if not own and not beats:
        return _known(name, facts, config)
    feeds, place, source = (own or beats)[0]
    always = bool(own) and source.where is None
    return {
        "input": feeds if always else None,
        "place": place if always else None,
        "conditional": tuple(
            Conditional(input=entry[0], column=entry[2].where.column, value=entry[2].where.value)
            for entry in own
            if entry[2].where
        ),
        "pulse_of": tuple(dict.fromkeys(entry[0] for entry in beats)),
        "refused": _refused(facts, config.accepted_units(source)),
        "wanted_unit": source.unit,
    }


def _known(name: str, facts: Sequence[TrackFacts], config: Config) -> dict[str, Any]:
    """Return what packaged profiles would make of a track that a configuration does not name."""
    inputs = {item.name for item in config.inputs}
    listed = profiles_of([name], inputs)
    known = [Known(profile=profile, input=item) for profile, pairs in listed.items() for item, _ in pairs]
    if not known:
        return {}
    source = next(source for _, source in profile_sources(known[0].profile) if source["track"] == name)
    refused = _refused(facts, config.units.get(source["unit"], ()))
    return {"known": tuple(known), "refused": refused, "wanted_unit": source["unit"]}


def _refused(facts: Sequence[TrackFacts], spellings: tuple[str, ...]) -> tuple[RefusedUnit, ...]:
    counts: dict[str, int] = {}
    for one in facts:
        for unit in dict.fromkeys(one.units):
            if not accepted(unit, spellings):
                counts[unit] = counts.get(unit, 0) + 1
    return tuple(RefusedUnit(unit=unit, recordings=count) for unit, count in counts.items())


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _percentiles(facts: Sequence[TrackFacts]) -> tuple[float | None, float | None]:
    """Return the 5th and 95th percentile of all finite values: the smallest that has such a share at or below it."""
    there = [one for one in facts if one.finite]
    if not there:
        return None, None
    values = np.concatenate([one.points for one in there])
    weights = np.concatenate([np.full(len(one.points), one.finite / len(one.points)) for one in there])
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weights[order])
    shares /= shares[-1]
    low, high = (
        float(values[order][min(int(np.searchsorted(shares, share - 1e-12)), len(values) - 1)]) for share in (LOW, HIGH)
    )
    return low, high
