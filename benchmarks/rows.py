"""One line of the table: what was measured, what it came to, and what it should come to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Row"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured figure and its target.

    Attributes
    ----------
    name, measure : str
        The part of the product, and what the figure is.
    value : float
        As measured; `unit` is empty for a ratio.
    target : float, optional
        None where the figure is for information.
    better : str
        ``lower``: at most the target is asked; ``higher``: at least.
    detail : str
        What the figure was made from, for a reader who wants to judge it.
    """

    name: str
    measure: str
    value: float
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    unit: str = ""
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"met": self.met}
