"""A data set's name for people: it stands beside the id and decides nothing."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

__all__ = ["LONGEST_NAME", "Name", "settled_name"]

LONGEST_NAME = 100  # characters


def settled_name(text: str) -> str:
    r"""Return a name without spaces around it.

    Raises
    ------
    ValueError
        If it is empty, longer than 100 characters, or holds a line break, a control character or another character
        that is not displayed.

    Examples
    --------
    >>> settled_name("  pilot, adults only ")
    'pilot, adults only'
    """
    name = text.strip()
    if not name:
        raise ValueError("it is empty")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"it has {len(name)} characters; at most {LONGEST_NAME} are allowed")
    hidden = next((one for one in name if unicodedata.category(one) in _HIDDEN), None)
    if hidden is not None:
        raise ValueError(f"it holds U+{ord(hidden):04X}, which is not displayed")
    return name


# Control, format (also what turns the direction of writing), surrogate, private, unassigned; line and paragraph ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

Name = Annotated[str, AfterValidator(settled_name)]
"""A name in a document or in a request."""
