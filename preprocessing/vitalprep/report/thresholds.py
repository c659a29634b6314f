"""Thresholds for warnings, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds for warnings.

    Attributes
    ----------
    few_subjects, no_conclusion : int
        Minimum number of subjects of a split. Our choice: with 20, a share of one half is known to within 22 percentage
        points (95 %); fewer than 5 say nothing about patients in general.
    case_share : float
        Greatest share of a split's windows that one case may give. Our choice: five such cases are the whole split.
    observed_share : float
        Minimum share of observed seconds. Our choice: below it, a feature consists almost only of filled values.
    default_share : float
        Greatest share of seconds or windows that are the default. Our choice: "most".
    clipped_share : float
        Greatest share of observed or held seconds outside the normalization range. Our choice: a range of 5th to
        95th percentile would lose more, so the range does not fit the data.
    level : float
        Family-wise error rate: the probability of one or more false warnings over all comparisons between the splits
        (`holm`).
    fewest_subjects : int
        With fewer subjects in a group, no difference counts as significant. Our choice.
    difference : float
        Greatest standardized mean difference: 0.1 (Austin, Stat Med 2009; 28:3083-3107, section 3.1).
    distance : float
        Greatest Kolmogorov-Smirnov distance. Our choice, as for the demographics: two normal distributions of equal
        standard deviation are 0.1 apart if their means differ by a quarter of it.
    share_difference : float
        Greatest difference of observed shares or of a source's shares. Our choice.
    large : float
        Differences, distances or differences of shares above it give a note even if they are not significant.
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
