"""The publish stage: account for every case, judge the result, and describe the data set."""

from __future__ import annotations

import logging

from vitalprep.account.judgement import judge
from vitalprep.contract.accounting import Account, Accounting, account, store_accounting
from vitalprep.contract.identity import salt_of
from vitalprep.contract.paths import SPLITS, build_summary_path, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.verdict import read_verdict
from vitalprep.publish.card.card import dataset_card
from vitalprep.publish.card.described import Described
from vitalprep.publish.croissant import croissant_json
from vitalprep.publish.metadata import CONFIG_NAME, cases_csv, config_yaml, metadata_json
from vitalprep.publish.tfds_files import dataset_info_json, features_json
from vitalprep.report.report import Stored, report_html
from vitalprep.report.warnings import warnings_of
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, VitalprepError
from vitalprep.storage import Storage
from vitalprep.tfrecord.example import record_shape

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
    try:
        judge(plan, accounting, output)
    except RefusedError:
        _show_refused(plan, found, output)
        raise
    warnings = warnings_of(plan, found)
    for warning in warnings:
        if warning.level == "warning":
            log(warning.message, level=logging.WARNING, code=warning.code)
    described = Described(plan, accounting, summaries, warnings)
    description = DESCRIPTION.format(described.source.name)
    files = {
        "features.json": features_json(record_shape(plan.config)),
        "dataset_info.json": dataset_info_json(summaries, description=description, output=plan.config.output),
        "cases.csv": cases_csv(plan, outcomes, salt_of(plan)),
        "preprocessing_metadata.json": metadata_json(plan, accounting, summaries, warnings),
        CONFIG_NAME: config_yaml(plan),
        "README.md": dataset_card(described),
    }
    built = {path.rpartition("/")[2]: output.get(path) for path in _summaries(plan)}
    files["croissant.json"] = croissant_json(described, description, built | files)  # lists the others
    # Not listed there: it tells how long the cases took, which another run of the same data set will not repeat.
    files["report.html"] = report_html(Stored(plan, found, output), warnings)
    for name, data in files.items():
        output.put(dataset_path(plan.dataset_id, name), data)
    return accounting


def _show_refused(plan: Plan, found: Account, output: Storage) -> None:
    """Write the report of a data set that is not to be published, which shows what became of its cases.

    Not in the place of a published one's: that the thresholds were raised since changes nothing of it.
    """
    verdict = read_verdict(output, plan.dataset_id)
    if found.accounting.unbuilt or not found.accounting.adds_up or (verdict and verdict.passed):
        return
    try:
        page = report_html(Stored(plan, found, output), warnings_of(plan, found))
        output.put(dataset_path(plan.dataset_id, "report.html"), page)
    except VitalprepError as error:  # the refusal itself is what the user has to see
        log(f"the report could not be written: {error}", level=logging.WARNING)


def _summaries(plan: Plan) -> list[str]:
    return [build_summary_path(plan.dataset_id, split) for split in SPLITS]
