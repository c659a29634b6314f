"""Recordings of an input that no case uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from vitalprep.contract.document import Schema
from vitalprep.runtime.printable import shortened

__all__ = ["MOST_NAMES", "SHOWN", "WHY", "LeftOut", "Reason", "short_path"]

MOST_NAMES = 100  # of each reason, in the plan
SHOWN = 5  # in a message
LONGEST_SHOWN = 80

Reason = Literal["hidden", "trash", "other_ending", "no_case_number", "other_file", "dangling_link", "odd_key"]
WHY: Mapping[Reason, str] = {
    "hidden": "a folder or name that begins with a dot",
    "trash": "in a trash or system folder",
    "other_ending": "the name does not end in .vital",
    "no_case_number": "the name is no case number, and no cell of the column file names it",
    "other_file": "the case's cell of the column file names another file",
    "dangling_link": "a link that leads nowhere",
    "odd_key": "a path that cannot be read",
}


class LeftOut(Schema):
    """Recordings of the input that no case uses, for one reason: how many, and the first of their paths."""

    reason: Reason
    count: int = Field(ge=1)
    names: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The first names, for a message."""
        names = ", ".join(map(short_path, self.names[:SHOWN]))
        return f"{names} and {self.count - SHOWN} more" if self.count > SHOWN else names

    @property
    def described(self) -> str:
        """Number, reason and first names in one phrase."""
        return f"{self.count} recording{'s' if self.count > 1 else ''} ({WHY[self.reason]}): {self.shown}"


def short_path(path: str) -> str:
    """Return a path for a message."""
    return shortened(path, LONGEST_SHOWN)
