"""The publish stage: account for every case, judge the result, and describe the data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from preprocessing.console import log
from preprocessing.errors import RefusedError
from preprocessing.layout import SPLITS, SplitName, accounting_path, dataset_path
from preprocessing.plan.case_list import short_case_list
from preprocessing.plan.plan import Plan
from preprocessing.publish.accounting import Accounting, account, store_accounting
from preprocessing.publish.card.card import dataset_card
from preprocessing.publish.card.described import Described
from preprocessing.publish.croissant import croissant_json
from preprocessing.publish.metadata import CONFIG_NAME, cases_csv, config_yaml, metadata_json
from preprocessing.publish.tfds_files import dataset_info_json, features_json
from preprocessing.records.stage import record_shape, salt_of
from preprocessing.records.summary import BuildSummary
from preprocessing.report.stage import Stored, report_html
from preprocessing.report.warnings import warnings_of
from preprocessing.storage import Storage

__all__ = ["publish"]

DESCRIPTION = "Windows of surgical recordings ({}) at 1 Hz with observed, held and default masks, made by vitalprep."


def publish(plan: Plan, output: Storage) -> Accounting:
    """Write the accounting, judge it, and write the files that describe the data set.

    The accounting is written in any case. The data set counts as published only once `validate` has passed it.

    Raises
    ------
    RefusedError
        If cases are unfinished, the success rate or the number of windows is too low, or a split is empty.
    """
    found = account(plan, output)
    accounting, outcomes, summaries, _ = found
    store_accounting(accounting, output)
    log(
        f"{accounting.written} of {accounting.requested} cases written",
        written=accounting.written,
        requested=accounting.requested,
        excluded=accounting.excluded,
        success_rate=accounting.success_rate,
    )
    _judge(plan, accounting, summaries, output)
    warnings = warnings_of(plan, found)
    for warning in warnings:
        if warning.level == "warning":
            log(warning.message, level=logging.WARNING, code=warning.code)
    described = Described(plan, accounting, summaries)
    description = DESCRIPTION.format(described.source.name)
    files = {
        "features.json": features_json(record_shape(plan.config)),
        "dataset_info.json": dataset_info_json(summaries, description=description, output=plan.config.output),
        "cases.csv": cases_csv(plan, outcomes, salt_of(plan)),
        "preprocessing_metadata.json": metadata_json(plan, accounting, summaries, warnings),
        CONFIG_NAME: config_yaml(plan),
        "README.md": dataset_card(described),
    }
    files["croissant.json"] = croissant_json(described, description, files)  # lists the others
    # Not listed there: it tells how long the cases took, which another run of the same data set will not repeat.
    files["report.html"] = report_html(Stored(plan, found, output), warnings)
    for name, data in files.items():
        output.put(dataset_path(plan.dataset_id, name), data)
    return accounting


def _judge(plan: Plan, accounting: Accounting, summaries: Mapping[SplitName, BuildSummary], output: Storage) -> None:
    where = output.uri_of(accounting_path(plan.dataset_id))
    limits = plan.config.validation
    if accounting.success_rate < limits.min_success_rate:
        raise RefusedError(
            f"Only {accounting.success_rate:.1%} of {accounting.present} cases could be used, less than the "
            f"{limits.min_success_rate:.0%} demanded; excluded: {_counts(accounting)}. Nothing is published; "
            f"see {where}.",
            mend="look at the receipts of the excluded cases, or lower validation.min_success_rate.",
        )
    if accounting.unbuilt:
        raise RefusedError(
            f"The {' and '.join(accounting.unbuilt)} split is not built. {_lost(plan, accounting)}See {where}.",
            mend="retry the failed harmonize shard or build with what follows it (in Airflow: clear with downstream).",
        )
    if not accounting.adds_up:
        raise RefusedError(
            f"The accounting does not add up: {accounting.requested} cases requested, {accounting.written} written, "
            f"excluded: {_counts(accounting)}. See {where}.",
            mend="plan and run again with --force; if it stays, report it.",
        )
    empty = [split for split in SPLITS if not summaries[split].windows]
    if empty and not plan.config.split.allow_empty:
        raise RefusedError(
            f"The {' and '.join(empty)} split has no window; excluded: {_counts(accounting)}. See {where}.",
            mend="give more or longer cases, or --set split.allow_empty=true.",
        )
    windows = sum(accounting.windows.values())
    if windows < limits.min_windows or not windows:
        raise RefusedError(
            f"The data set has {windows} windows, less than the {max(limits.min_windows, 1)} demanded. See {where}.",
            mend="give more cases, or lower validation.min_windows.",
        )


def _lost(plan: Plan, accounting: Accounting) -> str:
    if not accounting.unfinished:
        return ""
    shards = ", ".join(map(str, plan.shards_of(accounting.unfinished)))
    return f"Cases {short_case_list(accounting.unfinished)} are not harmonized (shards {shards}). "


def _counts(accounting: Accounting) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in accounting.excluded.items()) or "none"
