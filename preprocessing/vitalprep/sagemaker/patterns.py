"""The patterns that AWS holds names and tags of training jobs against.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html and ``API_Tag.html``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

__all__ = ["NAME_LENGTH", "cleaned_name", "cleaned_tags", "is_job_name"]

NAME_LENGTH = 63
KEY_LENGTH, VALUE_LENGTH = 128, 256
RESERVED = "aws:"  # no key may begin with it

_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*")


def is_job_name(text: str) -> bool:
    """Return whether SageMaker takes a text as the name of a job."""
    return len(text) <= NAME_LENGTH and _NAME.fullmatch(text) is not None


def cleaned_name(text: str, *, end: str = "") -> str:
    """Return a text as the name of a job; it keeps its `end`, such as a number that makes it new.

    Everything but ASCII letters and digits becomes a hyphen.

    Examples
    --------
    >>> cleaned_name("vitalprep-build_ä~1", end="-7")
    'vitalprep-build-1-7'
    """
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")
    return readable[: NAME_LENGTH - len(end)].rstrip("-") + end


def cleaned_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS takes them: what it refuses becomes ``_``, what is too long is cut.

    Examples
    --------
    >>> cleaned_tags({"aws:run": "manual~2026 é", "run": "AWS:1"})
    [{'Key': 'aws_run', 'Value': 'manual_2026 é'}, {'Key': 'run', 'Value': 'AWS_1'}]
    """
    kept = {_cleaned(key, KEY_LENGTH): _cleaned(value, VALUE_LENGTH) for key, value in tags.items()}
    return [{"Key": key, "Value": value} for key, value in kept.items()]


def _cleaned(text: str, length: int) -> str:
    """Return a text of letters, separators, numbers and ``_.:/=+-@``; letters with their accents are composed first.

    ``aws:`` at the beginning is AWS's own.
    """
    composed = unicodedata.normalize("NFC", text)
    taken = "".join(one if _is_taken(one) else "_" for one in composed)[:length]
    return f"{taken[:3]}_{taken[4:]}" if taken.lower().startswith(RESERVED) else taken


def _is_taken(character: str) -> bool:
    return unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@"
