"""How much of each source was rejected, over many cases."""

from __future__ import annotations

from typing import NamedTuple

from vitalprep.contract.receipt import FeatureQuality, Receipt, Rejected

__all__ = ["Rejections", "SourceRejections", "add_rejections"]


class SourceRejections(NamedTuple):
    """What was rejected of a source.

    Attributes
    ----------
    rejected : Rejected
    records : int or None
        All its records; None if a receipt did not count them.
    used : int
        Seconds in which its value was used.
    """

    rejected: Rejected = Rejected()
    records: int | None = 0
    used: int = 0

    @property
    def share(self) -> float | None:
        """Share of the records that were rejected."""
        return self.rejected.records / self.records if self.records else None

    @property
    def share_without_pulse(self) -> float | None:
        """Share of the seconds without a pulse in these and those in which the source was used."""
        seconds = self.rejected.no_pulse + self.used
        return self.rejected.no_pulse / seconds if seconds else None


Rejections = dict[str, dict[str, SourceRejections]]
"""Input -> track -> what was rejected of it."""


def add_rejections(sums: Rejections, receipt: Receipt) -> None:
    """Add a case's rejections to the sums."""
    for name, quality in receipt.features.items():
        of_input = sums.setdefault(name, {})
        for track in quality.live_seconds:
            of_input[track] = _plus(of_input.get(track, SourceRejections()), quality, track)


def _plus(sums: SourceRejections, quality: FeatureQuality, track: str) -> SourceRejections:
    own, rejected = quality.records.get(track), quality.rejected.get(track)
    return SourceRejections(
        sums.rejected + rejected if rejected else sums.rejected,
        None if own is None or sums.records is None else sums.records + own,
        sums.used + quality.live_seconds[track],
    )
