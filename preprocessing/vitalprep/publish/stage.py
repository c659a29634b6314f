"""The publish stage: the files that describe a data set, from what the stages before it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.content_id import FEATURES, content_id, files_of
from vitalprep.contract.identity import salt_of
from vitalprep.contract.paths import METADATA, REPORT, SPLITS, SplitName, build_summary_path, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.record import record_shape
from vitalprep.contract.verdict import withdraw_verdict
from vitalprep.contract.warning import DataWarning
from vitalprep.publish.card.card import dataset_card
from vitalprep.publish.card.described import Described
from vitalprep.publish.croissant import croissant_json
from vitalprep.publish.metadata import CONFIG_NAME, cases_csv, config_yaml, metadata_of
from vitalprep.publish.tfds_files import dataset_info_json, features_json
from vitalprep.storage import Storage

__all__ = ["content_of", "publish"]

DESCRIPTION = "Windows of surgical recordings ({}) at 1 Hz with observed, held and default masks, made by vitalprep."


def publish(plan: Plan, output: Storage, found: Account, warnings: Sequence[DataWarning], report: bytes) -> None:
    """Write the files that describe a data set. It counts as published only once `validate` has passed it.

    A verdict from before is withdrawn first, so that a data set of which half is new never counts as proved.

    Parameters
    ----------
    found : Account
        What became of its cases; it was judged good enough.
    warnings : sequence of DataWarning
        What the report points out.
    report : bytes
        The page ``report.html``. It tells how long the cases took, which another run of the same data set does not
        repeat; so ``croissant.json`` does not list it.
    """
    accounting, outcomes, summaries = found.accounting, found.outcomes, found.summaries
    content = content_of(plan, summaries)
    described = Described(plan, accounting, summaries, warnings, content)
    description = DESCRIPTION.format(described.source.name)
    files = {
        FEATURES: features_json(record_shape(plan.config)),
        "dataset_info.json": dataset_info_json(summaries, description=description, output=plan.config.output),
        "cases.csv": cases_csv(plan, outcomes, salt_of(plan)),
        METADATA: metadata_of(plan, found, warnings, content).to_bytes(),
        CONFIG_NAME: config_yaml(plan),
        "README.md": dataset_card(described),
    }
    built = {path.rpartition("/")[2]: output.get(path) for path in _summaries(plan)}
    files["croissant.json"] = croissant_json(described, description, built | files)  # lists the others
    files[REPORT] = report
    withdraw_verdict(output, plan.dataset_id)
    for name, data in files.items():
        output.put(dataset_path(plan.dataset_id, name), data)


def content_of(plan: Plan, summaries: Mapping[SplitName, BuildSummary]) -> str:
    """Return the content id of a plan's data set from the files that were built."""
    return content_id(features_json(record_shape(plan.config)), files_of(summaries.values()))


def _summaries(plan: Plan) -> list[str]:
    return [build_summary_path(plan.dataset_id, split) for split in SPLITS]
