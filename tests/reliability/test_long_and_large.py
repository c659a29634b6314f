"""With many cases, no process grows or leaks files (short form of `long_and_large`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.long_and_large import many, row, watched
from tests.reliability.processes import on_linux

pytestmark = pytest.mark.skipif(not on_linux(), reason="needs Linux's /proc to see what processes hold")


def test_many_cases_leave_every_process_as_large_as_it_was(tmp_path: Path) -> None:
    source = many(tmp_path / "many", 120, hours=0.1, workers=1)
    made, published = watched(source, tmp_path / "made", every=0.01, workers=1)
    assert row("120 small cases", made, published, source=source).passed, made.problems
    assert made.compared >= 2, "parent and worker lived long enough to be compared"
    assert made.most["files"] > 5, "open files were seen"
    assert published.result["requested"] == 120
