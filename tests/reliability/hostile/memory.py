"""Peak memory of this process."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["peak_rss"]


def peak_rss() -> int:
    """Return the peak of its resident bytes. (`ru_maxrss` would be at least that of the process that started it.)"""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
