"""Reads the configuration: the defaults of ``master_poc.yaml``, then a user's file, then single values."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, get_args

from pydantic import ValidationError

from vitalprep.contract.config import Config, ConfigError
from vitalprep.contract.document import Schema
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.printable import shortened
from vitalprep.runtime.strict_yaml import yaml_content
from vitalprep.storage import read_uri

__all__ = ["load_config"]

MOST_BYTES = 10**6  # the complete configuration has 20 KB
_USUAL = {"length": "window", "size": "window", "stride": "step", "hop": "step"}  # what others call it
_FIX = "compare with preprocessing/vitalprep/master_poc.yaml, or run `vitalprep config`."
_FIX_OF_STATICS = (
    "compare with preprocessing/vitalprep/master_poc.yaml. A file laid over the defaults adds and changes statics; to "
    "leave one out, delete it from the whole configuration that `vitalprep config` prints, and give that with --config."
)
_REGISTRY = ("schema_version", "units", "ideal_body_weight", "inputs", "statics", "targets")


def load_config(file: str | None = None, settings: Sequence[str] = ()) -> Config:
    """Return the settled configuration.

    Parameters
    ----------
    file : str, optional
        Path or URI of a YAML file laid over the defaults, key by key: entries of a list are matched by name. A file
        with all of the registry (schema_version, units, ideal_body_weight, inputs, statics, targets) is a whole
        configuration: it has no entry but those it lists.
    settings : sequence of str
        ``KEY=VALUE`` with a dotted key, such as ``windowing.step=60``; the value is YAML.

    Raises
    ------
    UsageError
        Naming the key, if one is unknown or stands twice, a range is upside down, a unit has no conversion, ...
    """
    content = _parse(files("vitalprep").joinpath("master_poc.yaml").read_bytes(), "master_poc.yaml")
    if file:
        own = _parse(_read(file), file)
        content = _lay_over(content, own, key="", whole=all(section in own for section in _REGISTRY))
    for setting in settings:
        content = _set(content, setting)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        own_words = cause if isinstance(cause, ConfigError) else None
        key = (own_words and own_words.key) or _dotted(content, first["loc"])
        fix = own_words.fix if own_words else _FIX_OF_STATICS if first["loc"][:1] == ("statics",) else _FIX
        raise UsageError(f"Configuration key {key}: {_plain(first)}.", fix=fix) from error


def _read(file: str) -> bytes:
    try:
        return read_uri(file, most=MOST_BYTES)
    except RefusedError as error:
        raise UsageError(
            f"The configuration {file} cannot be read: {error.message}", fix="check the path after --config."
        ) from error


def _parse(data: bytes, name: str) -> dict[str, Any]:
    content = yaml_content(data, name)
    if not isinstance(content, dict):
        raise UsageError(f"{name} is not a mapping of configuration keys.", fix=_FIX)
    return content


def _name_of(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    name = item.get("name", item.get("track"))
    return name if isinstance(name, str) else None


def _lay_over(base: Any, over: Any, *, key: str, whole: bool = False) -> Any:
    """Merge one value into another: mappings key by key, lists of named entries by name, everything else replaced.

    What is `whole` replaces lists of named entries, too.
    """
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {
            name: _lay_over(base[name], value, key=f"{key}{name}.", whole=whole) if name in base else value
            for name, value in over.items()
        }
    if whole:
        return over
    if isinstance(base, list) and isinstance(over, list) and over and all(_name_of(item) for item in [*base, *over]):
        names = [_name_of(item) for item in over]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"Configuration key {key}{twice} stands twice.", fix="remove one of them.")
        by_name = {_name_of(item): item for item in base}
        for item in over:
            name = _name_of(item)
            by_name[name] = _lay_over(by_name[name], item, key=f"{key}{name}.") if name in by_name else item
        return list(by_name.values())
    return over


def _set(content: dict[str, Any], setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"--set {shortened(setting, 200)!r} is not KEY=VALUE.", fix="write for example --set windowing.step=60."
        )
    value = yaml_content(text, f"--set {key.strip()}: the value")
    result = _replaced(content, key.strip(), value, whole=key.strip())
    assert isinstance(result, dict)
    return result


def _replaced(node: Any, path: str, value: Any, *, whole: str) -> Any:
    """Return a copy of `node` with the value at a dotted path replaced. Names may hold dots, so names are matched."""
    if not path:
        return value
    if isinstance(node, dict):
        entries = {str(name): name for name in node}
    elif isinstance(node, list):
        entries = {name: index for index, item in enumerate(node) if (name := _name_of(item)) is not None}
    else:
        entries = {}
    for name, index in entries.items():
        if path == name or path.startswith(f"{name}."):
            copy = node.copy()
            copy[index] = _replaced(node[index], path[len(name) + 1 :], value, whole=whole)
            return copy
    if isinstance(node, dict) and "." not in path:
        return node | {path: value}  # an optional key that the defaults leave out; an unknown one is refused later
    if isinstance(node, list) and entries and "." not in path and isinstance(value, dict):
        return [*node, {"name": path} | value]  # another entry; a missing key is refused later
    raise UsageError(f"Configuration key {whole!r} is unknown at {path!r}{_meant(path, entries)}.", fix=_FIX)


def _meant(unknown: str, known: Iterable[str]) -> str:
    """Return the key that an unknown one probably stands for, and all keys that are known there."""
    names = list(known)
    if not names:
        return "; no key is known below it"
    wanted = unknown.partition(".")[0]
    usual = [name for name in (_USUAL.get(wanted.casefold()),) if name in names]
    near = usual or difflib.get_close_matches(wanted.casefold(), names, n=1) or _kin(wanted, names)
    return (f"; did you mean {near[0]}? Known" if near else "; known") + f" here: {', '.join(names)}"


def _kin(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the names that contain the wanted one, or are contained in it, without regard to case."""
    low = wanted.casefold()
    return [name for name in names if name.casefold() in low or low in name.casefold()]


def _dotted(content: Any, location: tuple[int | str, ...]) -> str:
    """Return a pydantic location with the names of list entries in place of their indexes."""
    parts: list[str] = []
    node = content
    for part in location:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
        parts.append(str(_name_of(node) or part) if isinstance(part, int) else str(part))
    return ".".join(parts) or "(whole)"


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"this key is unknown{_meant(str(error['loc'][-1]), _keys_beside(error['loc']))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[0].lower() + message[1:].rstrip(".") if message else "is invalid"


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that may stand where an unknown one does."""
    schema: type[Schema] = Config
    for part in location[:-1]:
        if part in schema.model_fields:
            schema = _schema_in(schema.model_fields[str(part)].annotation) or schema
    return list(schema.model_fields)


def _schema_in(annotation: Any) -> type[Schema] | None:
    """Return the first model in a type such as ``tuple[Static, ...]`` or ``BodyDefaults | None``."""
    if inspect.isclass(annotation) and issubclass(annotation, Schema):
        return annotation
    return next((found for part in get_args(annotation) if (found := _schema_in(part))), None)
