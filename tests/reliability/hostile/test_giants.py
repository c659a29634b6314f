"""Very large files need little memory and time, and give the true values or a reason."""

from __future__ import annotations

import sys

import pytest

from tests.reliability.hostile.giants import GIANTS, LONGEST_TIME, MOST_MEMORY, measured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
SIZE = 64 << 20
ALL_SAMPLES = 256 << 20  # what these giants decompress to is given by how many samples are read
SLOWER_MACHINES = 6


def test_giants_of_64_mib() -> None:
    """One would be killed after so many seconds of a core. The nightly mode reads a GiB of each."""
    names = [name for name in GIANTS if not name.startswith("as_many_")]
    found = measured(names, SIZE, longest=SLOWER_MACHINES * LONGEST_TIME)
    assert {giant.name: giant.outcome for giant in found} == {name: GIANTS[name][1] for name in names}
    assert max(giant.peak_rss for giant in found) < MOST_MEMORY


def test_the_most_that_is_held_in_memory() -> None:
    (found,) = measured(["as_many_tracks_and_samples_as_are_read"], ALL_SAMPLES, longest=SLOWER_MACHINES * LONGEST_TIME)
    assert found.outcome == "ok", found.detail
    assert found.peak_rss < MOST_MEMORY
