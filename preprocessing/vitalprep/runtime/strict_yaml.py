"""Safe, strict and size-limited YAML loading. Errors never quote the text: the user may have named a wrong file."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from vitalprep.runtime.errors import UsageError

__all__ = ["yaml_content"]

MOST_VALUES = 100_000  # aliases expanded; the largest configuration has some hundreds

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_OF_YAML = re.compile(r"'(<[a-z ]+>|\\?.)'")  # a token type, or one character
_ILL_FITTING = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)  # raised by PyYAML for `!!int x`


def yaml_content(data: bytes | str, name: str) -> Any:
    """Parse a YAML text.

    Raises
    ------
    UsageError
        If the text is not valid YAML, or has a custom tag, a duplicate key or more than 100,000 values. The message
        names line and column.
    """
    try:
        return yaml.load(data, Loader=_StrictLoader)  # noqa: S506  a SafeLoader subclass
    except yaml.MarkedYAMLError as error:
        problem, mark = str(error.problem or error.context), error.problem_mark or error.context_mark
        what = _without_text(problem) + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")
    except yaml.reader.ReaderError as error:
        what = f"character {error.position} is not allowed in YAML"
    except RecursionError:
        what = "its nesting is too deep"
    except _ILL_FITTING:
        what = "a number, date or tag has an invalid value"
    raise UsageError(
        f"{name} is not valid YAML: {what}.", fix="correct that place; quote values that are meant as text."
    )


class _StrictLoader(yaml.SafeLoader):
    """Refuses duplicate keys (PyYAML keeps the last one silently) and excessive alias expansion."""

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._values: dict[int, int] = {}  # number of values in each node, by the node's id()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias and id(node) not in self._values:
            raise yaml.MarkedYAMLError(problem="an alias refers to itself", problem_mark=_mark(node))
        if not is_alias:
            self._values[id(node)] = 1 + sum(self._values[id(child)] for child in _children(node))
        if self._values[id(node)] > MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_VALUES:,} values", problem_mark=_mark(node))
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise UsageError(f"A configuration key is a list or a mapping (line {line}).", fix="use text as key.")
            if key in seen:
                raise UsageError(f"Duplicate configuration key {key!r} (line {line}).", fix="remove one of them.")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _mark(node: yaml.Node | None) -> Any:
    return node.start_mark if node else None


def _without_text(problem: str) -> str:
    """Return PyYAML's message without its quotations from the text."""
    kept = _QUOTED.sub(lambda found: found[0] if _OF_YAML.fullmatch(found[0]) else "", problem)
    return " ".join(kept.split())
