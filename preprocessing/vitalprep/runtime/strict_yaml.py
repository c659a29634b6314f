"""YAML of a user: safe, strict and bounded, and repeated in no error, because any file may be named by mistake."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from vitalprep.runtime.errors import UsageError

__all__ = ["yaml_content"]

MOST_VALUES = 100_000  # with what aliases repeat; the largest configuration has some hundred

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_OF_YAML = re.compile(r"'(<[a-z ]+>|\\?.)'")  # a kind of token, or one character
_ILL_FITTING = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)  # as PyYAML meets !!int x


def yaml_content(data: bytes | str, name: str) -> Any:
    """Return what a YAML text says.

    Raises
    ------
    UsageError
        Naming the place, if it is none, has a tag, a key twice, or more than 100,000 values.
    """
    try:
        return yaml.load(data, Loader=_StrictLoader)  # noqa: S506  a SafeLoader subclass
    except yaml.MarkedYAMLError as error:
        problem, mark = str(error.problem or error.context), error.problem_mark or error.context_mark
        what = _without_text(problem) + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")
    except yaml.reader.ReaderError as error:
        what = f"a character that YAML does not allow (at {error.position})"
    except RecursionError:
        what = "it nests too deeply"
    except _ILL_FITTING:
        what = "a number, date or tag does not fit its value"
    raise UsageError(f"{name} is not YAML: {what}.", fix="correct it at the place named; quote a text.")


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key standing twice, where PyYAML would keep the last one, and what aliases blow up."""

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._values: dict[int, int] = {}  # in each node, by id

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias and id(node) not in self._values:
            raise yaml.MarkedYAMLError(problem="an alias stands in what it names", problem_mark=_mark(node))
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
                raise UsageError(f"A configuration key is a list or a mapping (line {line}).", fix="name it by text.")
            if key in seen:
                raise UsageError(f"Configuration key {key!r} stands twice (line {line}).", fix="remove one of them.")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _mark(node: yaml.Node | None) -> Any:
    return node.start_mark if node else None


def _without_text(problem: str) -> str:
    """Return PyYAML's words without what it quotes of the text."""
    kept = _QUOTED.sub(lambda found: found[0] if _OF_YAML.fullmatch(found[0]) else "", problem)
    return " ".join(kept.split())
