"""Append mode: the published data set that a plan continues, and the splits that its subjects keep."""

from __future__ import annotations

from vitalprep.contract.accounting import plan_of_dataset
from vitalprep.contract.config import Config
from vitalprep.contract.data_set_uri import data_set_uri
from vitalprep.contract.identity import CODE_VERSIONS
from vitalprep.contract.metadata import read_metadata
from vitalprep.contract.paths import SPLITS, output_of_dataset
from vitalprep.contract.plan import Append, EarlierCase, Plan
from vitalprep.contract.verdict import read_verdict
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage, normalized_uri

__all__ = ["continuing", "load_parent", "refuse_another_config"]


def load_parent(dataset_uri: str, output_uri: str) -> Plan:
    """Return the plan of the published data set that is to be continued in the same output.

    Raises
    ------
    UsageError
        If it lies in another output, or its URI is none.
    RefusedError
        If validate has not passed it, other versions of the code made it, or its plan is no longer there.
    """
    dataset_uri = data_set_uri(dataset_uri)
    where, dataset_id = output_of_dataset(dataset_uri)
    if where != normalized_uri(output_uri):
        raise UsageError(
            f"{dataset_uri} does not lie in the output {output_uri}.",
            fix="append in the output that holds the data set: its finished cases and its lineage are there.",
        )
    output = Storage(where)
    verdict = read_verdict(output, dataset_id)
    if verdict is None or not verdict.passed:
        raise RefusedError(
            f"{dataset_uri} is not published: it has {'no' if verdict is None else 'a failing'} verdict.",
            fix="append to a data set that `vitalprep validate` has passed.",
        )
    _refuse_other_versions(output, dataset_uri, dataset_id)
    plan = plan_of_dataset(output, dataset_id)
    if plan is None:
        raise RefusedError(
            f"{dataset_uri} cannot be continued: its plan below {output.uri_of('runs')} is gone.",
            fix="restore the folder runs/ of its output; only the plan knows the split of each subject.",
        )
    return plan


def _refuse_other_versions(output: Storage, dataset_uri: str, dataset_id: str) -> None:
    metadata = read_metadata(output, dataset_id)
    if metadata is not None and metadata.code_versions != CODE_VERSIONS:
        raise RefusedError(
            f"{dataset_uri} cannot be continued: another version of harmonize or build made its records.",
            fix="build a new data set of all cases anew, without --append-to.",
        )


def continuing(parent: Plan) -> Append:
    """Return what an appended data set takes over: the ancestors, their cases, and the split of every subject."""
    held = sorted(parent.split_of_subject.items())
    earlier = {case.case_id: case for case in (parent.append.cases if parent.append else ())}
    earlier |= {case.case_id: EarlierCase(case.case_id, case.subject_id, case.split) for case in parent.cases}
    return Append(
        parents=(*parent.parents, parent.dataset_id),
        **{name: tuple(subject for subject, split in held if split == name) for name in SPLITS},
        cases=tuple(earlier[case] for case in sorted(earlier)),
    )


def refuse_another_config(parent: Plan, config: Config) -> None:
    """Raise `UsageError` if a configuration differs from the parent's in a key that records depend on."""
    before, now = parent.config.content(), config.content()
    for section in before | now:
        if section in ("validation", "source") or before.get(section) == now.get(section):
            continue
        key = section
        if isinstance(before.get(section), dict) and isinstance(now.get(section), dict):
            old, new = before[section], now[section]
            key += "." + next(name for name in new | old if new.get(name) != old.get(name))
        raise UsageError(
            f"Configuration key {key} differs from that of {parent.dataset_id}; an appended data set keeps its "
            "parent's configuration.",
            fix="leave out --config and --set to take the parent's configuration, or give the same values.",
        )
