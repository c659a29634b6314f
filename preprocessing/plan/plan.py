"""The plan: which cases, which subject in which split, which case in which shard."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal

from pydantic import Field

from preprocessing.config import Config
from preprocessing.documents import Document, Model, digest
from preprocessing.layout import SplitName, harmonized_stem, output_of_plan, plan_path
from preprocessing.plan.case_list import short_case_list
from preprocessing.storage import Storage

__all__ = ["ExcludedCase", "Plan", "PlannedCase", "load_plan", "store_plan"]


class PlannedCase(Model):
    """One case that is there and has a clinical row. `object` is its path below the plan's input."""

    case_id: int
    subject_id: int
    object: str
    size: int
    etag: str
    input_id: str
    split: SplitName
    static: tuple[float, ...]
    static_origin: tuple[int, ...]


class ExcludedCase(Model):
    """One requested case that cannot be planned."""

    case_id: int
    reason: Literal["raw_object_missing", "no_clinical_row"]


class Plan(Document):
    """An immutable plan. It holds no output location, so that it can be moved with its output."""

    dataset_id: str
    harmonize_digest: str
    input: str
    config: Config
    salt_check: str | None = Field(default=None)
    cases: tuple[PlannedCase, ...]
    excluded: tuple[ExcludedCase, ...]
    shards: tuple[tuple[int, ...], ...]

    @cached_property
    def by_id(self) -> dict[int, PlannedCase]:
        """The planned cases by number."""
        return {case.case_id: case for case in self.cases}

    @cached_property
    def digest(self) -> str:
        """The plan's own digest, which names it."""
        return digest(self.content())

    @property
    def path(self) -> str:
        """Where the plan lies below the output."""
        return plan_path(self.dataset_id, self.digest)

    def stem(self, case_id: int) -> str:
        """Path of a case's harmonized table and receipt, without ending."""
        return harmonized_stem(self.harmonize_digest, case_id, self.by_id[case_id].input_id)

    def cases_of(self, split: str) -> list[PlannedCase]:
        """The planned cases of one split, by number."""
        return [case for case in self.cases if case.split == split]

    def shards_of(self, cases: Iterable[int]) -> list[int]:
        """The shards that hold some cases."""
        wanted = set(cases)
        return [index for index, shard in enumerate(self.shards) if wanted & set(shard)]

    def shard_label(self, index: int) -> str:
        """A shard's cases and size for people."""
        cases = self.shards[index]
        size = sum(self.by_id[case].size for case in cases)
        return f"cases {_shortened(short_case_list(cases))} ({len(cases)} cases, {size / 1e6:.1f} MB)"


def store_plan(plan: Plan, output: Storage) -> str:
    """Write a plan where its digest says, and return its URI."""
    output.create(plan.path, plan.to_bytes())
    return output.uri_of(plan.path)


def load_plan(plan_uri: str) -> tuple[Plan, Storage]:
    """Read a plan and open the output that it lies in."""
    output_uri, path = output_of_plan(plan_uri)
    output = Storage(output_uri)
    return Plan.from_bytes(output.get(path), uri=output.uri_of(path)), output


def _shortened(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
