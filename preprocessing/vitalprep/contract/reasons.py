"""What each reason for excluding a case means, and what can be done about it, for report and card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["REASONS", "ReasonWords"]


class ReasonWords(NamedTuple):
    """A reason in words.

    Attributes
    ----------
    meaning : str
        A phrase without a full stop.
    fix : str
        Whole sentences.
    """

    meaning: str
    fix: str


REASONS: Mapping[str, ReasonWords] = {
    "raw_object_missing": ReasonWords(
        "no recording was there", "Put the recording into the input, or leave its number out."
    ),
    "no_clinical_row": ReasonWords("the clinical table has no row of the case", "Add its row to the clinical table."),
    "not_vital": ReasonWords(
        "the file is no .vital recording",
        "Fetch the recording again; the file is something else under this name.",
    ),
    "truncated": ReasonWords(
        "the file ends before the recording does",
        "Fetch the recording again. If the file at its source is no longer, reading.salvage uses it up to its last "
        "whole packet.",
    ),
    "corrupt": ReasonWords(
        "the file is damaged",
        "Fetch the recording again. If the file at its source is the same, there is no fix.",
    ),
    "too_large": ReasonWords(
        "the file is larger than a recording can be", "If it is a recording, raise reading.max_decompressed_bytes."
    ),
    "too_long": ReasonWords(
        "the recording lasts longer than allowed",
        "If it is one recording, raise reading.max_days. If its clock was wrong for a while, there is no fix.",
    ),
    "clock_set_back": ReasonWords(
        "the recorder's clock was set back, and the same moments were recorded twice",
        "If it does not matter which of two records of a moment is used, set reading.clock_set_back to merge.",
    ),
    "unit_mismatch": ReasonWords(
        "a signal stands in a unit that is not known, and no other source has it",
        "If the unit is another spelling of a known one, add it to units in the configuration.",
    ),
    "no_signal": ReasonWords(
        "none of the inputs was recorded",
        "See which tracks the recording has (vitalprep inspect), and map them to the inputs.",
    ),
    "too_short": ReasonWords(
        "the recording is shorter than one window and its target", "The only fix is a shorter window."
    ),
    "no_window": ReasonWords(
        "every window had too few observed values",
        "Nothing, or too little, was observed in its windows: see which tracks it has (vitalprep inspect), or demand "
        "less in windowing.",
    ),
}
