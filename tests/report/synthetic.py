"""Data sets out of thin air: as many cases as wanted, with every text of them chosen by the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.config import Config
from preprocessing.config_file import load_config
from preprocessing.harmonize.receipt import InputObject, Receipt
from preprocessing.harmonize.series import FeatureQuality
from preprocessing.harmonize.table import to_parquet
from preprocessing.layout import SPLITS
from preprocessing.plan.plan import ExcludedCase, Plan, PlannedCase
from preprocessing.publish.accounting import Account, Accounting
from preprocessing.records.statistics import FeatureStatistics, OriginCounts, bins_of
from preprocessing.records.summary import BuildSummary, CaseOutcome, FileSummary
from preprocessing.report.stage import Stored
from preprocessing.storage import Storage

DIGEST = "0123456789ab"
SECONDS = 9900  # 2.75 h, VitalDB's median
CONFIG = load_config()


def planned_case(number: int, split: str, **given: Any) -> PlannedCase:
    random = np.random.default_rng(number)
    age, sex, height, weight = (
        random.normal(58, 15),
        random.choice([-1, 1]),
        random.normal(162, 9),
        random.normal(61, 11),
    )
    static = (age, float(sex), height, weight, weight / (height / 100) ** 2, float(random.integers(1, 4)))
    fields = {
        "case_id": number,
        "subject_id": 100_000 + number,
        "object": f"raw-data/{number:04d}.vital",
        "size": 15_000_000,
        "etag": f"{number:032x}",
        "input_id": f"{number:012x}",
        "split": split,
        "static": static,
        "static_origin": (0,) * 6,
    }
    return PlannedCase.model_validate(fields | given)


def receipt(case: PlannedCase, config: Config = CONFIG, **given: Any) -> Receipt:
    random = np.random.default_rng(case.case_id)
    features = {
        item.name: FeatureQuality(
            live_seconds={source.track: int(random.integers(0, 9000)) for source in item.sources},
            implausible=int(random.integers(0, 90)),
            before_start=0,
            longest_gap=int(random.integers(0, 900)),
            minimum=item.range[0],
            mean=float(random.uniform(*item.range)),
            maximum=item.range[1],
        )
        for item in config.inputs
    }
    fields = {
        "case_id": case.case_id,
        "status": "ok",
        "input": InputObject(uri=f"s3://bucket/{case.object}", size=case.size, etag=case.etag),
        "input_id": case.input_id,
        "harmonize_digest": DIGEST,
        "seconds": SECONDS,
        "parquet_sha256": f"{case.case_id:064x}",
        "features": features,
        "timings": {"read": 0.01, "parse": 0.09, "harmonize": 0.01, "write": 0.005},
    }
    return Receipt.model_validate(fields | given)


def excluded_receipt(case: PlannedCase, detail: str) -> Receipt:
    fields = {"status": "excluded", "reason": "corrupt", "detail": detail, "seconds": None, "features": {}}
    return receipt(case, **fields, parquet_sha256=None)


def statistics(config: Config, cases: int) -> dict[str, FeatureStatistics]:
    if not cases:
        return {}
    random = np.random.default_rng(cases)
    found = {}
    for item in config.inputs:
        counts = random.integers(0, 100_000, bins_of(item.range) + 2)
        observed = int(counts.sum())
        found[item.name] = FeatureStatistics(
            observed=observed, held=9000, default=4000, clipped=int(counts[0] + counts[-1]),
            total=observed * sum(item.range) / 2, total_of_squares=observed * sum(item.range) ** 2,
            minimum=item.range[0], maximum=item.range[1], histogram=tuple(counts.tolist()), cases=cases,
        )  # fmt: skip
    return found


def stored(
    folder: Path, cases: list[PlannedCase], receipts: dict[int, Receipt], *, config: Config = CONFIG, gone: int = 0
) -> Stored:
    """Put a data set together; every case with an ok receipt has windows and a table."""
    windows = 320
    outcomes = {
        case.case_id: CaseOutcome(case_id=case.case_id, seconds=SECONDS, windows=windows)
        if receipts[case.case_id].status == "ok"
        else CaseOutcome(case_id=case.case_id, reason=receipts[case.case_id].reason)
        for case in cases
    }
    plan = Plan(
        dataset_id=DIGEST,
        harmonize_digest=DIGEST,
        input="s3://bucket",
        config=config,
        cases=tuple(cases),
        excluded=tuple(ExcludedCase(case_id=10**6 + place, reason="raw_object_missing") for place in range(gone)),
        shards=(tuple(case.case_id for case in cases),),
    )
    summaries = {}
    for split in SPLITS:
        own = [case for case in cases if case.split == split]
        written = sum(outcomes[case.case_id].windows > 0 for case in own)
        summaries[split] = BuildSummary(
            dataset_id=DIGEST,
            split=split,
            files=(
                FileSummary(name=f"{split}.tfrecord", windows=written * windows, bytes=1, window_bytes=1, sha256=""),
            ),
            cases=tuple(outcomes[case.case_id] for case in own),
            statistics=statistics(config, written),
            targets={target.name: _origins(written) for target in config.targets},
        )
    bad = sum(item.status != "ok" for item in receipts.values())
    accounting = Accounting(
        dataset_id=DIGEST,
        plan=plan.path,
        requested=len(cases) + gone,
        present=len(cases),
        written=len(cases) - bad,
        excluded={reason: count for reason, count in (("corrupt", bad), ("raw_object_missing", gone)) if count},
        unfinished=(),
        unbuilt=(),
        windows={split: summary.windows for split, summary in summaries.items()},
        success_rate=1 - bad / max(len(cases), 1),
        stage_seconds={},
    )
    return Stored(plan, Account(accounting, outcomes, summaries, receipts), Storage(str(folder), create=True))


def _origins(cases: int) -> OriginCounts:
    return OriginCounts(observed=50 * cases, held=cases, default=49 * cases)


def noisy_table(config: Config, seconds: int = SECONDS) -> bytes:
    """A table as unlike a smooth one as can be: every second another value, a gap now and then."""
    random = np.random.default_rng(seconds)
    columns = [random.uniform(*item.range, size=seconds) for item in config.inputs]
    values = np.array(columns, dtype=np.float32).T
    values[random.random(values.shape) < 0.02] = np.nan
    return to_parquet(values, [item.name for item in config.inputs])
