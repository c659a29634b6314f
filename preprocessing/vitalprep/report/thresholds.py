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
        Smallest number of subjects in a split without a warning. Our choice: with 20 subjects the 95 % confidence
        interval of a share of one half is 22 points to either side. Fewer than 5 allow no conclusion about patients.
    case_share : float
        Largest share of a split's windows from one case. Our choice: five such cases make up the whole split.
    observed_share : float
        Smallest share of observed seconds. Our choice: below it, nearly all values of a feature are imputed.
    default_share : float
        Largest share of seconds or windows that hold the default. Our choice: one half.
    clipped_share : float
        Largest share of observed or held seconds outside the normalization range. Our choice: even a range from the
        5th to the 95th percentile would clip only twice as many, so the range does not fit the data.
    unobserved_share : float
        Largest share of a split's windows without an observed second of a vital sign. Our choice: one in twenty.
    level : float
        Family-wise error rate: the probability that chance alone causes one or more warnings about differences between
        the splits, over all comparisons together (`holm`).
    fewest_subjects : int
        Smallest group for which differences are tested. Our choice.
    difference : float
        Largest standardized mean difference: 0.1 (Austin, Stat Med 2009; 28:3083-3107, section 3.1).
    distance : float
        Largest Kolmogorov-Smirnov distance. Our choice, equal to that of the demographics: two normal distributions of
        equal spread have a distance of 0.1 if their means differ by a quarter of the standard deviation.
    share_difference : float
        Largest difference in the share of observed seconds, or in the share of a source. Our choice.
    large : float
        Differences above this are noted even where chance cannot be excluded.
    """

    few_subjects: int = 20
    no_conclusion: int = 5
    case_share: float = 0.2
    observed_share: float = 0.01
    default_share: float = 0.5
    clipped_share: float = 0.05
    unobserved_share: float = 0.05
    level: float = 0.05
    fewest_subjects: int = 10
    difference: float = 0.1
    distance: float = 0.1
    share_difference: float = 0.1
    large: float = 0.25
