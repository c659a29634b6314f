"""``preprocessing_metadata.json`` and ``cases.csv``: what the data set is, and what became of every case."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import yaml

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import BuildSummary, CaseOutcome
from vitalprep.contract.config import Config
from vitalprep.contract.document import canonical_json
from vitalprep.contract.identity import CODE_VERSIONS, recorded_subject
from vitalprep.contract.measured import gaps_in_words, measured_of
from vitalprep.contract.metadata import (
    CaseCounts,
    Feature,
    InputFeature,
    Metadata,
    Shapes,
    SplitCounts,
    TargetColumn,
)
from vitalprep.contract.plan import Plan
from vitalprep.contract.record import record_shape
from vitalprep.contract.warning import DataWarning
from vitalprep.runtime.printable import FORMULA
from vitalprep.runtime.version import __version__

__all__ = ["CONFIG_NAME", "cases_csv", "config_yaml", "metadata_of"]

CONFIG_NAME = "config.yaml"

CASE_COLUMNS = (
    "case_id",
    "subject_id",
    "split",
    "outcome",
    "reason",
    "seconds",
    "windows",
    "windows_unobserved",
    "windows_dropped",
    "object",
)


def cases_csv(plan: Plan, outcomes: dict[int, CaseOutcome], salt: str | None) -> bytes:
    """Return one row for each requested case, by number: windows written, or the reason for none."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CASE_COLUMNS)
    lines: dict[int, list[Any]] = {
        case.case_id: [case.case_id, "", "", "excluded", case.reason, "", 0, 0, 0, ""] for case in plan.excluded
    }
    for case in plan.cases:
        outcome = outcomes[case.case_id]
        lines[case.case_id] = [
            case.case_id,
            recorded_subject(case.subject_id, salt),
            case.split,
            "excluded" if outcome.reason else "written",
            outcome.reason or "",
            "" if outcome.seconds is None else outcome.seconds,
            outcome.windows,
            outcome.unobserved,
            outcome.dropped,
            _cell(";".join(file.object for file in case.files)),
        ]
    rows.writerows(lines[case] for case in sorted(lines))
    return text.getvalue().encode()


def _cell(path: str) -> str:
    """Return a path that a spreadsheet does not evaluate as a formula."""
    return f"./{path}" if path.startswith(FORMULA) else path


def metadata_of(plan: Plan, account: Account, warnings: Sequence[DataWarning], content: str) -> Metadata:
    """Return counts, shapes, ranges, feature order, statistics, warnings, versions, digests and the settled config.

    Of a clinical table that does not lie beside the recordings it has the digest; the plan has its location, too.

    Parameters
    ----------
    content : str
        The content id.
    """
    config, accounting = plan.config, account.accounting
    shape = record_shape(config)
    return Metadata(
        dataset_id=plan.dataset_id,
        content_id=content,
        name=plan.name,
        harmonize_digest=plan.harmonize_digest,
        parents=plan.parents,
        versions={"vitalprep": __version__, **CODE_VERSIONS},
        cases=CaseCounts(
            requested=accounting.requested,
            present=accounting.present,
            written=accounting.written,
            excluded=accounting.excluded,
            success_rate=accounting.success_rate,
        ),
        shapes=Shapes(
            timeseries=(shape.window, shape.inputs),
            static=(shape.statics,),
            target=(shape.targets,),
        ),
        origin_codes={"0": "observed", "1": "held (last observation carried forward)", "2": "default"},
        inputs=tuple(
            InputFeature(name=item.name, unit=item.unit, range=item.range, default=item.default, hold=item.hold)
            for item in config.inputs
        ),
        statics=tuple(
            Feature(name=item.name, unit=item.unit, range=item.range, default=item.default) for item in config.statics
        ),
        targets=tuple(TargetColumn(name=item.name, input=item.input) for item in config.targets),
        splits={split: _split(plan, summary) for split, summary in account.summaries.items()},
        warnings=tuple(warnings),
        gaps=gaps_in_words(config),
        rejected=_rejected(account),
        source=_sorted(plan.settled_provenance.content()),
        clinical_table={"sha256": plan.clinical.sha256} if plan.clinical else None,
        config=_config_content(config),
    )


def config_yaml(plan: Plan) -> bytes:
    """Return the configuration as ``--config`` reads it, with every key, so that later defaults do not change it."""
    text = yaml.safe_dump(_config_content(plan.config), sort_keys=True, allow_unicode=False, width=110)
    return f"# The configuration of data set {plan.dataset_id}, whole, for --config.\n{text}".encode()


def _config_content(config: Config) -> dict[str, Any]:
    """Return the configuration without the thresholds of validation: they judge a data set and do not shape it."""
    content: dict[str, Any] = _sorted({key: value for key, value in config.content().items() if key != "validation"})
    return content


def _sorted(content: Any) -> Any:
    """Return JSON content with sorted keys, as in a stored plan."""
    return json.loads(canonical_json(content))


def _split(plan: Plan, summary: BuildSummary) -> SplitCounts:
    written = {case.case_id for case in summary.cases if case.windows}
    measured = measured_of(plan.config, [summary])
    return SplitCounts(
        cases=len(written),
        subjects=len({plan.by_id[case].subject_id for case in written}),
        windows=summary.windows,
        windows_unobserved=measured.unobserved,
        windows_dropped=measured.dropped,
        windows_without_vital=measured.without_vital,
        files=summary.files,
        statistics={name: statistics.described() for name, statistics in summary.statistics.items()},
        targets={name: counts.model_dump() for name, counts in measured.targets.items()},
    )


def _rejected(account: Account) -> dict[str, dict[str, dict[str, int]]]:
    """Return the rejected records of those sources that have any, by what they were rejected for."""
    of_inputs = {
        name: {track: found.rejected.model_dump() for track, found in tracks.items() if found.rejected.any}
        for name, tracks in account.rejections.items()
    }
    return {name: tracks for name, tracks in of_inputs.items() if tracks}
