"""The verdict on a data set: it counts as published only if the verdict says passed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from vitalprep.contract.config import Validation
from vitalprep.contract.content_id import ContentId
from vitalprep.contract.document import Document, Schema
from vitalprep.contract.paths import LATEST, VERDICT, Digest, SplitName, dataset_path
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage

__all__ = ["Check", "Latest", "Verdict", "is_published", "is_refused", "read_verdict", "withdraw_verdict"]


class Check(Schema):
    """One check: what it proved, or the first places where it fails."""

    name: str
    passed: bool
    detail: str


class Verdict(Document):
    """The result of validating; the thresholds apply to `success_rate` and `windows`.

    `recordings` says whether the recordings are still where they were planned. It is no check: the proof begins at the
    tables. Verdicts of version 1 do not say it. Where a document is damaged, the only check is `documents`, and nothing
    is counted.
    """

    current_version: ClassVar[int] = 2
    dataset_id: Digest
    passed: bool
    checks: tuple[Check, ...]
    windows: dict[SplitName, int]
    files: dict[str, int]
    success_rate: float
    recordings: str | None = Field(default=None, exclude_if=lambda value: value is None)

    def meets(self, limits: Validation) -> bool:
        """Return whether the data set passed and reaches these thresholds."""
        enough = self.success_rate >= limits.min_success_rate and sum(self.windows.values()) >= limits.min_windows
        return self.passed and enough


class Latest(Document):
    """``datasets/latest.json``: the data set that passed last; `content_id` is None where its metadata have none."""

    current_version: ClassVar[int] = 2  # 2: `content_id`; without it, it is written as before
    dataset_id: Digest
    path: str
    content_id: ContentId | None = Field(default=None, exclude_if=lambda value: value is None)


def read_verdict(output: Storage, dataset_id: str) -> Verdict | None:
    """Return the stored verdict, or None if there is none."""
    path = dataset_path(dataset_id, VERDICT)
    return Verdict.from_storage(output, path)


def withdraw_verdict(output: Storage, dataset_id: str) -> None:
    """Remove a verdict that says passed, before anything in the data set's folder is written.

    A failing one stays until `validate` replaces it, because it says that the files are to be built again.
    """
    try:
        verdict = read_verdict(output, dataset_id)
    except RefusedError:  # a damaged one could not be told from a passed one
        passed = True
    else:
        passed = verdict is not None and verdict.passed
    if passed:  # where there is none, nobody needs the right to delete
        output.delete([dataset_path(dataset_id, VERDICT)])


def is_refused(output: Storage, dataset_id: str) -> bool:
    """Return whether a data set was validated and did not pass, so that its files are to be written again."""
    verdict = read_verdict(output, dataset_id)
    return verdict is not None and not verdict.passed


def is_published(output: Storage, dataset_id: str, limits: Validation) -> bool:
    """Return whether a data set passed, reaches the thresholds, and is the latest."""
    verdict = read_verdict(output, dataset_id)
    if verdict is None or not verdict.meets(limits):
        return False
    latest = Latest.from_storage(output, LATEST)
    return latest is not None and latest.dataset_id == dataset_id
