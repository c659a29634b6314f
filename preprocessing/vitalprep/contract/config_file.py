"""Reading the configuration: the defaults of ``master_poc.yaml``, a user's file over them, single values over both."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, get_args

from pydantic import ValidationError

from vitalprep.contract.config import Config
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.strict_yaml import yaml_content
from vitalprep.storage import read_uri

__all__ = ["load_config"]

_USUAL = {"length": "window", "size": "window", "stride": "step", "hop": "step"}  # what others call it
_FIX = "compare with preprocessing/vitalprep/master_poc.yaml, or run `vitalprep config`."


def load_config(file: str | None = None, settings: Sequence[str] = ()) -> Config:
    """Return the settled configuration.

    Parameters
    ----------
    file : str, optional
        Path or URI of a YAML file laid over the defaults, key by key.
    settings : sequence of str
        ``KEY=VALUE`` with a dotted key, such as ``windowing.step=60``; the value is YAML.

    Raises
    ------
    UsageError
        Naming the key, if one is unknown or stands twice, a range is upside down, a unit has no conversion, ...
    """
    content = _parse(files("vitalprep").joinpath("master_poc.yaml").read_bytes(), "master_poc.yaml")
    if file:
        content = _lay_over(content, _parse(_read(file), file), key="")
    for setting in settings:
        content = _set(content, setting)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"Configuration key {_dotted(content, first['loc'])}: {_plain(first)}{_neighbours(content, first)}.",
            fix=_FIX,
        ) from error


def _read(file: str) -> bytes:
    try:
        return read_uri(file)
    except RefusedError as error:
        raise UsageError(f"The configuration {file} cannot be read.", fix="check the path after --config.") from error


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


def _lay_over(base: Any, over: Any, *, key: str) -> Any:
    """Lay one value over another: mappings key by key, lists of named entries by name, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {
            name: _lay_over(base[name], value, key=f"{key}{name}.") if name in base else value
            for name, value in over.items()
        }
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
        raise UsageError(f"--set {setting!r} is not KEY=VALUE.", fix="write for example --set windowing.step=60.")
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
    raise UsageError(f"Configuration key {whole!r} is unknown at {path!r}{_meant(path, entries)}.", fix=_FIX)


def _meant(unknown: str, known: Iterable[str]) -> str:
    """Return which keys an unknown one may stand for, the likeliest first."""
    names = list(known)
    if not names:
        return "; nothing is known below it"
    wanted = unknown.partition(".")[0]
    usual = [name for name in (_USUAL.get(wanted.casefold()),) if name in names]
    near = usual or difflib.get_close_matches(wanted.casefold(), names, n=1) or _kin(wanted, names)
    return (f"; did you mean {near[0]}? Known" if near else "; known") + f" here: {', '.join(names)}"


def _kin(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the names that hold the wanted one, or are held by it, in any case."""
    low = wanted.casefold()
    return [name for name in names if name.casefold() in low or low in name.casefold()]


def _neighbours(content: Any, error: Any) -> str:
    """Return what is known where a key is unknown: the keys that the defaults have there, and those of the model."""
    if error["type"] != "extra_forbidden":
        return ""
    *place, unknown = error["loc"]
    return _meant(str(unknown), _fields_at(Config, place))


def _fields_at(model: Any, place: Sequence[int | str]) -> list[str]:
    """Return the keys of the model at a place in the configuration."""
    for part in place:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
        model = next((kind for kind in _kinds(model) if hasattr(kind, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and what it is made of: of ``tuple[Input, ...]`` also ``Input``."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


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
        return "this key is unknown"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[0].lower() + message[1:].rstrip(".") if message else "is invalid"
