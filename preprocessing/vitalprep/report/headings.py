"""What the report says above the warnings of each kind."""

from __future__ import annotations

from collections.abc import Mapping

from vitalprep.contract.warning import Code, Level
from vitalprep.report.thresholds import Thresholds

__all__ = ["headings"]


def headings(level: Level, limits: Thresholds) -> Mapping[Code, str]:
    """Return the text above the warnings, or the notes, of each kind, in the order of the report."""
    sure = level == "warning"
    share = _percent(limits.share_difference if sure else limits.large)
    chance = "The difference is statistically significant" if sure else "Chance cannot be excluded"
    return {
        "case_without_vital": "Cases without one observed vital sign: the records hold defaults. See which tracks the "
        "recordings have (vitalprep inspect).",
        "windows_without_vital": f"More than {_percent(limits.unobserved_share)} % of the windows of a split have no "
        "observed second of a vital sign. Shares:",
        "known_track_unused": "Tracks that a packaged profile lists for an input, but the configuration does not name. "
        "Their values are not used.",
        "two_devices": "Tracks that two devices of one name recorded with different values in the same second. The "
        "later record was used.",
        "clock_set_back": "Cases whose clock was set back, and whose records were merged by time.",
        "salvaged": "Cases from an unfinished file, used up to its last whole packet.",
        "few_subjects": f"Splits with fewer than {limits.few_subjects} subjects. The number of windows does not make "
        f"up for it. Fewer than {limits.no_conclusion} subjects allow no conclusion. Subjects:",
        "cases_dominate": f"Cases that each supply more than {_percent(limits.case_share)} % of a split's windows; "
        "together:",
        "near_duplicate": "Cases that are nearly the same recording.",
        "static_all_default": "Statics that are missing in every case of a split: the records hold the default. Check "
        "the clinical table.",
        "recordings_left_out": "Recordings of the input that no case uses:",
        "static_outside_limits": "Statics with values outside the configuration's limits. The values are dropped, and "
        "the records hold the default. Check the clinical table. Shares of the cases:",
        "input_mostly_default": "Inputs that hold the default in most seconds of a split, because nothing was "
        "recorded. Only timeseries_origin tells the default from a measured value. For a pump it may mean that the "
        "drug was not given. Shares of default:",
        "rarely_observed": f"Inputs observed in less than {_percent(limits.observed_share)} % of the seconds of a "
        "split. Most of their values there are old ones, carried forward. Shares observed:",
        "mostly_default": "Targets that hold the default in most windows of a split. A model that always predicts the "
        "default scores well there. Weight or select windows by target_origin, and report errors on observed targets "
        "alone. Shares of default:",
        "often_clipped": f"Inputs with more than {_percent(limits.clipped_share)} % of their observed and held seconds "
        "outside the normalization range. The records hold the bound instead.",
        "splits_differ": "Statics of the patients whose mean differs by more than "
        f"{limits.difference if sure else limits.large:g} standard deviations from train. {chance}.",
        "distributions_differ": "Inputs whose distribution differs from train, with a distance over "
        f"{limits.distance if sure else limits.large:g}. {chance}.",
        "coverage_differs": f"Inputs whose observed share differs by more than {share} percentage points from train. "
        f"{chance}. Shares observed:",
        "sources_differ": f"Sources whose share of their input's values differs by more than {share} percentage "
        f"points from train. {chance}. Shares:",
        "origin_tells_future": "",
    }


def _percent(share: float) -> str:
    return f"{100 * share:g}"
