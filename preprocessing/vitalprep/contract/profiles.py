"""Packaged profiles of devices: which track of which monitor feeds which input, as overlays of the configuration."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from vitalprep.contract.overlay import meant
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.strict_yaml import yaml_content

__all__ = ["known_tracks", "profile_content", "profile_names", "profile_options", "profile_sources", "profiles_of"]


@cache
def profile_names() -> tuple[str, ...]:
    """Return the names of the packaged profiles.

    Examples
    --------
    >>> profile_names()
    ('carescape', 'draeger', 'intellivue')
    """
    found = (entry.name for entry in files("vitalprep.profiles").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def profile_content(name: str) -> dict[str, Any]:
    """Return a profile: an overlay of the configuration, which adds sources to inputs.

    Raises
    ------
    UsageError
        If there is no profile of that name.
    """
    if name not in profile_names():
        raise UsageError(
            f"There is no profile {name!r}{meant(name, profile_names())}.",
            fix="use one of these.",
        )
    content = yaml_content(files("vitalprep.profiles").joinpath(f"{name}.yaml").read_bytes(), f"the profile {name}")
    assert isinstance(content, dict)  # packaged with the code
    return content


def profile_sources(name: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return a profile's sources in order, each with the name of the input that it feeds."""
    return tuple((item["name"], source) for item in profile_content(name)["inputs"] for source in item["sources"])


@cache
def known_tracks() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return every track that a packaged profile lists: (profile, input) pairs by ``Device/NAME``.

    Examples
    --------
    >>> known_tracks()["Intellivue/PLETH_SAT_O2"]
    (('intellivue', 'SPO2'),)
    """
    known: dict[str, tuple[tuple[str, str], ...]] = {}
    for profile in profile_names():
        for item, source in profile_sources(profile):
            known[source["track"]] = (*known.get(source["track"], ()), (profile, item))
    return MappingProxyType(known)


def profiles_of(tracks: Iterable[str], inputs: Container[str]) -> dict[str, list[tuple[str, str]]]:
    """Return which packaged profiles list any of some tracks for any of some inputs: (input, track) by profile.

    Examples
    --------
    >>> profiles_of(["Bx50/HR", "Bx50/TEMP", "Infinity/HR", "Bx50/BIS"], ["HR"])
    {'carescape': [('HR', 'Bx50/HR')], 'draeger': [('HR', 'Infinity/HR')]}
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for track in tracks:
        for profile, item in known_tracks().get(track, ()):
            if item in inputs:
                found.setdefault(profile, []).append((item, track))
    return found


def profile_options() -> str:
    """Return how a command names the packaged profiles.

    Examples
    --------
    >>> profile_options()
    '--profile carescape|draeger|intellivue'
    """
    return f"--profile {'|'.join(profile_names())}"
