"""The publish stage: account for every case, judge the result, and describe the data set."""

from __future__ import annotations

import logging

from preprocessing.console import log
from preprocessing.layout import dataset_path
from preprocessing.plan.plan import Plan
from preprocessing.publish.accounting import Accounting, account, store_accounting
from preprocessing.publish.card.card import dataset_card
from preprocessing.publish.card.described import Described
from preprocessing.publish.croissant import croissant_json
from preprocessing.publish.judgement import judge
from preprocessing.publish.metadata import CONFIG_NAME, cases_csv, config_yaml, metadata_json
from preprocessing.publish.tfds_files import dataset_info_json, features_json
from preprocessing.records.stage import record_shape, salt_of
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
    judge(plan, accounting, output)
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
