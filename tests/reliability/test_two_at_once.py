"""Two concurrent processes on the same work: both succeed, with the same bytes, and no reader sees a partial object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from tests.reliability.kills import Undisturbed
from tests.reliability.places import LocalPlace, Place, S3Place, upload
from tests.reliability.processes import on_linux
from tests.reliability.two_at_once import Pair

pytestmark = pytest.mark.skipif(not on_linux(), reason="needs Linux's /proc to see what processes do")


@pytest.fixture(scope="module")
def local(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pair]:
    """Pairs in a folder."""
    folder = tmp_path_factory.mktemp("local")
    return _pairs(LocalPlace(str(recordings), str(folder / "out")), folder)


@pytest.fixture(scope="module")
def over_s3(
    recordings: Path, s3_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Pair]:
    """Pairs over S3."""
    source = upload(recordings, s3_environment, "pairs/raw")
    place = S3Place(source, f"s3://{BUCKET}/pairs/out", environment=s3_environment)
    return _pairs(place, tmp_path_factory.mktemp("s3"))


def _pairs(place: Place, logs: Path) -> Callable[[], Pair]:
    undisturbed = Undisturbed.run(place, workers=1, logs=logs)
    return lambda: Pair(place, undisturbed, logs, seed=5)


def _assert_as_one(pair: Pair, scenario: str) -> None:
    pair.do(scenario)
    row = pair.row("two at once")
    assert row.passed, row
    assert pair.looked_at, "somebody read while they wrote"


# `make soak` does all of SCENARIOS, in both places.
LOCAL = ("the same shard twice", "a retry while the first is frozen", "a late build beside validate")
OVER_S3 = ("two whole runs",)


@pytest.mark.parametrize("scenario", LOCAL)
def test_two_at_once(local: Callable[[], Pair], scenario: str) -> None:
    _assert_as_one(local(), scenario)


@pytest.mark.parametrize("scenario", OVER_S3)
def test_two_at_once_over_s3(over_s3: Callable[[], Pair], scenario: str) -> None:
    _assert_as_one(over_s3(), scenario)
