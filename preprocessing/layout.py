"""Where everything lies below an output location (DESIGN 5): the one place that knows a storage path."""

from __future__ import annotations

from typing import Literal

from preprocessing.errors import UsageError
from preprocessing.storage import normalized_uri

__all__ = [
    "LATEST",
    "SPLITS",
    "SplitName",
    "accounting_path",
    "build_summary_path",
    "dataset_path",
    "harmonized_stem",
    "output_of_dataset",
    "output_of_plan",
    "plan_path",
    "tfrecord_name",
]

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
LATEST = "datasets/latest.json"


def harmonized_stem(harmonize_digest: str, case_id: int, input_id: str) -> str:
    """Path of a harmonized case without its ending: ``.parquet`` is the table, ``.json`` its receipt."""
    return f"harmonized/{harmonize_digest}/{case_id:04d}-{input_id}"


def plan_path(dataset_id: str, plan_digest: str) -> str:
    """Path of an immutable plan."""
    return f"runs/{dataset_id}/plan-{plan_digest}.json"


def accounting_path(dataset_id: str) -> str:
    """Path of the run's accounting."""
    return f"runs/{dataset_id}/accounting.json"


def dataset_path(dataset_id: str, name: str) -> str:
    """Path of one file of a data set."""
    return f"datasets/{dataset_id}/{name}"


def build_summary_path(dataset_id: str, split: str) -> str:
    """Path of the counts and digests of a split's files."""
    return dataset_path(dataset_id, f"build-{split}.json")


def tfrecord_name(split: str, index: int, count: int, *, layout: str) -> str:
    """Name of an output file: TFDS's template for shards, the plain split for ``layout: single``."""
    return f"{split}.tfrecord" if layout == "single" else f"vitaldb-{split}.tfrecord-{index:05d}-of-{count:05d}"


def output_of_plan(plan_uri: str) -> tuple[str, str]:
    """Split a plan's URI into the output location and the path below it.

    Raises
    ------
    UsageError
        If it does not look like ``<output>/runs/<dataset_id>/plan-<digest>.json``.
    """
    parts = normalized_uri(plan_uri).rsplit("/", 3)
    if len(parts) != 4 or parts[1] != "runs" or not parts[3].startswith("plan-") or not parts[3].endswith(".json"):
        raise UsageError(
            f"{plan_uri!r} is not the URI of a plan.",
            mend="give <output>/runs/<dataset_id>/plan-<digest>.json, as `vitalprep plan` prints it.",
        )
    return parts[0] or "/", "/".join(parts[1:])


def output_of_dataset(dataset_uri: str) -> tuple[str, str]:
    """Split a data set's URI into the output location and the dataset id.

    Raises
    ------
    UsageError
        If it does not look like ``<output>/datasets/<dataset_id>``.
    """
    parts = normalized_uri(dataset_uri).rsplit("/", 2)
    if len(parts) != 3 or parts[1] != "datasets":
        raise UsageError(
            f"{dataset_uri!r} is not the URI of a data set.",
            mend="give <output>/datasets/<dataset_id>, as `vitalprep run` prints it.",
        )
    return parts[0] or "/", parts[2]
