"""One row of the soak test's result table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one section of the soak came to.

    Attributes
    ----------
    section, what : str
        The part of the soak, and what was done.
    faults, survived : int
        Faults injected, and those after which everything that is promised held.
    redone : int, optional
        Cases that were begun again; None where none can be.
    bytes_equal : bool, optional
        Whether every data set has the SHA-256 list of the undisturbed run; None where none is made.
    detail : str
        Figures for a reader who wants to judge it.
    problems : tuple of str
        What was promised and did not hold; empty is what is asked for.
    """

    section: str
    what: str
    faults: int
    survived: int
    redone: int | None = None
    bytes_equal: bool | None = None
    detail: str = ""
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every promise held."""
        return not self.problems and self.survived == self.faults and self.bytes_equal is not False

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"passed": self.passed}
