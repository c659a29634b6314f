"""The possible outcomes of a file. A separate module, because it is imported before the reader may be."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "OUTCOMES"]

OUTCOMES = ("ok", "not_vital", "truncated", "corrupt", "too_large", "too_long", "no_signal", "unit_mismatch")
MAX_BYTES = 1 << 20  # the limit for what the mutants decompress to
