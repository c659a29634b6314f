"""From where on the report points something out, each threshold with its source."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """From where on something is pointed out.

    Attributes
    ----------
    few_subjects, no_conclusion : int
        Fewest subjects of a split. Our choice: of 20, a share of one half is known to within 22 points (95 %); fewer
        than 5 say nothing of patients at large.
    case_share : float
        Greatest share of a split's windows that one case may give. Our choice: five such cases are the whole split.
    observed_share : float
        Least share of observed seconds. Our choice: under it, a feature is what it is filled with, exceptions apart.
    default_share : float
        Greatest share of seconds or windows that are the default. Our choice: "most".
    clipped_share : float
        Greatest share of observed or held seconds outside of the normalization range. Our choice: a range of 5th to
        95th percentile would lose more, so the range does not fit the data.
    level : float
        The chance that one warning or more of a difference between the splits is a play of chance, all comparisons
        taken together (`holm`).
    fewest_subjects : int
        With fewer in a group, no difference is called more than chance. Our choice.
    difference : float
        Greatest standardized mean difference: 0.1 (Austin, Stat Med 2009; 28:3083-3107, section 3.1).
    distance : float
        Greatest distance of Kolmogorov and Smirnov. Our choice, that of the demographics: two normal distributions of
        equal spread are 0.1 apart if their means differ by a quarter of it.
    share_difference : float
        Greatest difference of shares, of what is observed or of a source. Our choice.
    large : float
        Differences, distances or differences of shares over it are noted also where chance cannot be excluded.
    """

    few_subjects: int = 20
    no_conclusion: int = 5
    case_share: float = 0.2
    observed_share: float = 0.01
    default_share: float = 0.5
    clipped_share: float = 0.05
    level: float = 0.05
    fewest_subjects: int = 10
    difference: float = 0.1
    distance: float = 0.1
    share_difference: float = 0.1
    large: float = 0.25
