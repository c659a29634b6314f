"""What AWS's own service models say about the texts in a request: their lengths and patterns.

botocore checks names and types before it sends a request, and leaves these to the service.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import botocore.session

__all__ = ["target_of", "unfitting"]

SERVICES = {
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "Batch": "batch",
}

CLASSES = {"L": ("a-zA-Z", "a"), "N": ("0-9", "0"), "Z": (" ", " ")}


def target_of(path: str) -> str:
    """Return the path of a REST-JSON call in the form of the header that JSON 1.1 has: service and operation."""
    batch = _model("batch")
    return next(
        f"Batch.{name}" for name in batch.operation_names if batch.operation_model(name).http["requestUri"] == path
    )


def unfitting(target: str, request: dict[str, Any]) -> str | None:
    """Return what a service would refuse in a request, by the header ``X-Amz-Target``; None if it takes it."""
    service, operation = target.rsplit(".", 1)
    for path, text, limits in _texts(_model(SERVICES[service]).operation_model(operation).input_shape, request, ""):
        least, most = limits.get("min", 0), limits.get("max", sys.maxsize)
        if not least <= len(text) <= most:
            return f"Value {text!r} at {path!r} failed to satisfy constraint: {least} to {most} characters"
        if "pattern" in limits and not _matches(limits["pattern"], text):
            return f"Value {text!r} at {path!r} failed to satisfy constraint: must match {limits['pattern']}"
    return None


def _texts(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each text of a request: its path, itself, its limits."""
    if shape.type_name == "structure":
        for name, content in value.items():
            if name in shape.members:
                yield from _texts(shape.members[name], content, f"{path}.{name}")
    elif shape.type_name == "list":
        for content in value:
            yield from _texts(shape.member, content, f"{path}[]")
    elif shape.type_name == "map":
        for key, content in value.items():
            yield from _texts(shape.key, key, f"{path}.{key}")
            yield from _texts(shape.value, content, f"{path}.{key}")
    elif shape.type_name == "string":
        yield path, value, shape.metadata


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _matches(pattern: str, text: str) -> bool:
    """Match a pattern of Java, which has classes that Python's patterns lack, by one character for each class."""
    for group, (characters, one) in CLASSES.items():
        pattern = pattern.replace(rf"\p{{{group}}}", characters)
        text = "".join(one if not c.isascii() and unicodedata.category(c)[0] == group else c for c in text)
    return re.fullmatch(pattern, text) is not None
