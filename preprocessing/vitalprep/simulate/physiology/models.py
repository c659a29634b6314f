"""Loads the parameters of the published models from `models.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypeAlias

import yaml
from pydantic import TypeAdapter

__all__ = ["Parameters", "parameters"]

Parameters: TypeAlias = Mapping[str, float]


@cache
def parameters(model: str) -> Parameters:
    """Return one model's parameters, documented with units in `models.yaml`; KeyError if there is no such model."""
    numbers = dict(_models()[model])
    numbers.pop("paper")
    return TypeAdapter(dict[str, float]).validate_python(numbers)


@cache
def _models() -> Mapping[str, Mapping[str, float | str]]:
    text = files("vitalprep.simulate.physiology").joinpath("models.yaml").read_text("utf-8")
    return TypeAdapter(dict[str, dict[str, float | str]]).validate_python(yaml.safe_load(text))
