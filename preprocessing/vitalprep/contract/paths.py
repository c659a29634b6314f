"""Storage paths below an output location (docs/design.md, 5). No other module builds one."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from vitalprep.contract.document import DIGEST_LENGTH
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import normalized_uri

__all__ = [
    "DATASETS",
    "HARMONIZED",
    "LATEST",
    "METADATA",
    "REPORT",
    "RUNS",
    "SAGEMAKER",
    "SPLITS",
    "VERDICT",
    "Digest",
    "PlanPath",
    "SplitName",
    "accounting_path",
    "build_summary_path",
    "dataset_folder",
    "dataset_path",
    "first_host_path",
    "harmonized_folder",
    "harmonized_stem",
    "host_failure_path",
    "is_digest",
    "is_plan",
    "job_folder",
    "made_by_vitalprep",
    "output_of_dataset",
    "output_of_plan",
    "plan_digest_of",
    "plan_path",
    "progress_path",
    "receipt_path",
    "shard_path",
    "stem_of_table",
    "table_path",
    "tfrecord_name",
]

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
HARMONIZED, DATASETS, RUNS = "harmonized", "datasets", "runs"
SAGEMAKER = "sagemaker"  # a folder of each job, in which SageMaker lays its own output, too
LATEST = "datasets/latest.json"
METADATA, REPORT, VERDICT = "preprocessing_metadata.json", "report.html", "validation.json"  # in a data set's folder

_DIGEST = f"[0-9a-f]{{{DIGEST_LENGTH}}}"
_SPLIT = "(train|validation|test)"
_DESCRIPTIONS = (
    "features.json",
    "dataset_info.json",
    "cases.csv",
    "config.yaml",
    REPORT,
    "README.md",
    "croissant.json",
    METADATA,
    VERDICT,
)
_MADE = re.compile(
    rf"{HARMONIZED}/{_DIGEST}/\d{{4,}}-{_DIGEST}(\.json|(-{_DIGEST})?\.parquet)"
    rf"|{RUNS}/{_DIGEST}/(plan-{_DIGEST}(/(shard|progress)-\d{{5}})?|accounting)\.json"
    rf"|{DATASETS}/{_DIGEST}/(vitaldb-{_SPLIT}\.tfrecord-\d{{5}}-of-\d{{5}}|{_SPLIT}\.tfrecord|build-{_SPLIT}\.json"
    rf"|{'|'.join(map(re.escape, _DESCRIPTIONS))})",
    re.ASCII,
)

_TABLE = re.compile(rf"(?P<stem>{HARMONIZED}/{_DIGEST}/\d{{4,}}-{_DIGEST})(-{_DIGEST})?\.parquet", re.ASCII)
_PLAN = re.compile(rf"{RUNS}/{_DIGEST}/plan-{_DIGEST}\.json")

PlanPath = Annotated[str, Field(pattern=f"^{_PLAN.pattern}$")]
"""The path of a plan below the output, in a document."""

Digest = Annotated[str, Field(pattern=f"^{_DIGEST}$")]
"""A digest in a document. The pattern ensures that it cannot point to another folder when used in a path."""


def is_digest(name: str) -> bool:
    """Return whether a name is 12 hex digits, as data sets, plans and harmonized folders are named."""
    return re.fullmatch(_DIGEST, name) is not None


def made_by_vitalprep(path: str) -> bool:
    """Return whether a path below the output is one that a stage writes. Other files are never removed."""
    return _MADE.fullmatch(path) is not None


def harmonized_stem(harmonize_digest: str, case_id: int, input_id: str) -> str:
    """Path of a harmonized case without suffix: ``.json`` is its receipt; its tables begin with it."""
    return f"{harmonized_folder(harmonize_digest)}/{case_id:04d}-{input_id}"


def plan_path(dataset_id: str, plan_digest: str) -> str:
    """Path of an immutable plan."""
    return f"{RUNS}/{dataset_id}/plan-{plan_digest}.json"


def plan_digest_of(path: str) -> str:
    """Return the digest in a plan's path."""
    return path.rpartition("/plan-")[2].removesuffix(".json")


def is_plan(path: str) -> bool:
    """Return whether a path below the output is that of a whole plan."""
    return _PLAN.fullmatch(path) is not None


def shard_path(plan: str, index: int) -> str:
    """Path of one shard's part of a plan, from the plan's path."""
    return f"{plan.removesuffix('.json')}/shard-{index:05d}.json"


def progress_path(plan: str, index: int) -> str:
    """Path of one shard's progress (heartbeat), from the plan's path."""
    return f"{plan.removesuffix('.json')}/progress-{index:05d}.json"


def accounting_path(dataset_id: str) -> str:
    """Path of the run's accounting."""
    return f"{RUNS}/{dataset_id}/accounting.json"


def table_path(stem: str, values_sha256: str | None) -> str:
    """Path of a harmonized case's table, from its `harmonized_stem` and the digest of its values (`contract.table`).

    Tables of vitalprep 0.1.0 have no such digest: None.
    """
    return f"{stem}.parquet" if values_sha256 is None else f"{stem}-{values_sha256[:DIGEST_LENGTH]}.parquet"


def stem_of_table(path: str) -> str | None:
    """Return the `harmonized_stem` of the case whose table lies at a path; None where no table does."""
    found = _TABLE.fullmatch(path)
    return found["stem"] if found else None


def receipt_path(stem: str) -> str:
    """Path of a case's receipt, from its `harmonized_stem`."""
    return f"{stem}.json"


def harmonized_folder(harmonize_digest: str) -> str:
    """Path of the folder of tables and receipts with one harmonization configuration."""
    return f"{HARMONIZED}/{harmonize_digest}"


def dataset_folder(dataset_id: str) -> str:
    """Path of a data set's folder."""
    return f"{DATASETS}/{dataset_id}"


def dataset_path(dataset_id: str, name: str) -> str:
    """Path of one file of a data set."""
    return f"{dataset_folder(dataset_id)}/{name}"


def build_summary_path(dataset_id: str, split: str) -> str:
    """Path of a split's build summary."""
    return dataset_path(dataset_id, f"build-{split}.json")


def job_folder(job: str, place: str = "") -> str:
    """Path of a SageMaker job's folder.

    Parameters
    ----------
    place : str
        Region and account of the job, where they are known: names are unique there only.
    """
    return f"{SAGEMAKER}/{job}/{place}" if place else f"{SAGEMAKER}/{job}"


def host_failure_path(job: str, place: str, host: str) -> str:
    """Path of the reason why a host of a SageMaker job failed."""
    return f"{job_folder(job, place)}/failure-{host}.json"


def first_host_path(job: str, place: str) -> str:
    """Path of the sign of life of a SageMaker job's first host."""
    return f"{job_folder(job, place)}/first-host.json"


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
    path = "/".join(parts[1:])
    if not is_plan(path):
        raise UsageError(
            f"{plan_uri!r} is not the URI of a plan.",
            fix="give <output>/runs/<dataset_id>/plan-<digest>.json, as `vitalprep plan` prints it.",
        )
    return parts[0] or "/", path


def output_of_dataset(dataset_uri: str) -> tuple[str, str]:
    """Split a data set's URI into the output location and the dataset id.

    Raises
    ------
    UsageError
        If it does not look like ``<output>/datasets/<dataset_id>``.
    """
    parts = normalized_uri(dataset_uri).rsplit("/", 2)
    if len(parts) != 3 or parts[1] != DATASETS or not is_digest(parts[2]):
        raise UsageError(
            f"{dataset_uri!r} is not the URI of a data set.",
            fix="give <output>/datasets/<dataset_id>, as `vitalprep run` prints it.",
        )
    return parts[0] or "/", parts[2]
