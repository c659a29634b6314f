"""Reads the configuration: the defaults of ``master_poc.yaml``, then profiles, a user's file, and single values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, get_args

from pydantic import ValidationError

from vitalprep.contract.config import Config, ConfigError
from vitalprep.contract.document import Schema
from vitalprep.contract.overlay import lay_over, meant, name_of
from vitalprep.contract.profiles import profile_content
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.printable import shortened
from vitalprep.runtime.strict_yaml import yaml_content
from vitalprep.storage import read_uri

__all__ = ["load_config"]

MOST_BYTES = 10**6  # the complete configuration has 20 KB
_FIX = "compare with preprocessing/vitalprep/master_poc.yaml, or run `vitalprep config`."
_FIX_OF_STATICS = (
    "compare with preprocessing/vitalprep/master_poc.yaml. A file laid over the defaults adds and changes statics; to "
    "leave one out, write {name: ..., remove: true}."
)
_REGISTRY = ("schema_version", "units", "ideal_body_weight", "inputs", "statics", "targets")


def load_config(file: str | None = None, settings: Sequence[str] = (), profiles: Sequence[str] = ()) -> Config:
    """Return the settled configuration.

    Parameters
    ----------
    file : str, optional
        Path or URI of a YAML file laid over the defaults and profiles (see `lay_over`). A file with all of the registry
        (schema_version, units, ideal_body_weight, inputs, statics, targets) is a whole configuration: it has no entry
        but those it lists.
    settings : sequence of str
        ``KEY=VALUE`` with a dotted key, such as ``windowing.step=60``; the value is YAML.
    profiles : sequence of str
        Names of packaged profiles of devices, laid over the defaults before the file.

    Raises
    ------
    UsageError
        Naming the key, if one is unknown or stands twice, a range is upside down, a unit has no conversion, ...
    """
    content = _parse(files("vitalprep").joinpath("master_poc.yaml").read_bytes(), "master_poc.yaml")
    for profile in dict.fromkeys(profiles):
        content = lay_over(content, profile_content(profile))
    if file:
        own = _parse(_read(file), file)
        content = lay_over(content, own, whole=_is_whole(own, file, profiles))
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


def _is_whole(own: dict[str, Any], file: str, profiles: Sequence[str]) -> bool:
    """Return whether a user's file is a whole configuration, over which no profile can be laid."""
    whole = all(section in own for section in _REGISTRY)
    if whole and profiles:
        raise UsageError(
            f"{file} is a whole configuration: it has no source but those it lists, so a profile would be ignored.",
            fix="leave --profile out, or give a file with only those keys that differ.",
        )
    return whole


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
        entries = {name: index for index, item in enumerate(node) if (name := name_of(item)) is not None}
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
    raise UsageError(f"Configuration key {whole!r} is unknown at {path!r}{meant(path, entries)}.", fix=_FIX)


def _dotted(content: Any, location: tuple[int | str, ...]) -> str:
    """Return a pydantic location with the names of list entries in place of their indexes."""
    parts: list[str] = []
    node = content
    for part in location:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
        parts.append(str(name_of(node) or part) if isinstance(part, int) else str(part))
    return ".".join(parts) or "(whole)"


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"this key is unknown{meant(str(error['loc'][-1]), _keys_beside(error['loc']))}"
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
