"""Data sets out of thin air: as many cases as wanted, with every text of them chosen by the test."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.reference.table_digest import values_digest
from vitalprep.contract.accounting import Account, Accounting
from vitalprep.contract.build_summary import (
    SIZE,
    BuildSummary,
    CaseOutcome,
    FeatureStatistics,
    FileSummary,
    OriginCounts,
)
from vitalprep.contract.config import Config, Input
from vitalprep.contract.config_file import load_config
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.paths import SPLITS, receipt_path
from vitalprep.contract.plan import ExcludedCase, Plan, PlannedCase
from vitalprep.contract.receipt import FeatureQuality, InputObject, Receipt, UnitConflict
from vitalprep.contract.table import to_parquet
from vitalprep.features.statistics import bins_of
from vitalprep.features.windows import window_starts
from vitalprep.report.examples import chosen_examples
from vitalprep.report.report import Stored
from vitalprep.runtime.errors import ReasonCode
from vitalprep.storage import Storage

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
        "values_sha256": f"{case.case_id:064x}",
        "features": features,
        "timings": {"read": 0.01, "parse": 0.09, "harmonize": 0.01, "write": 0.005},
    }
    return Receipt.model_validate(fields | given)


def excluded_receipt(case: PlannedCase, detail: str, reason: ReasonCode = "corrupt") -> Receipt:
    fields = {"status": "excluded", "reason": reason, "detail": detail, "seconds": None, "features": {}}
    return receipt(case, **fields, values_sha256=None)


def statistics(config: Config, cases: int) -> dict[str, FeatureStatistics]:
    if not cases:
        return {}
    random = np.random.default_rng(cases)
    found = {}
    for item in config.inputs:
        places = (np.arange(bins_of(item.range)) + 0.5) / bins_of(item.range)
        shape = places**4 * (1 - places) ** 5
        counts = random.poisson(9000 * cases * np.array([0.002, *shape / shape.sum(), 0.002]))
        observed = int(counts.sum())
        found[item.name] = FeatureStatistics(
            observed=observed, held=observed // 50, default=observed // 9, clipped=int(counts[0] + counts[-1]),
            total=observed * sum(item.range) / 2, total_of_squares=observed * sum(item.range) ** 2 / 3.5,
            minimum=item.range[0], maximum=item.range[1], histogram=tuple(counts.tolist()), cases=cases,
        )  # fmt: skip
    return found


def sketch(number: int, *, of_another: float = 0.0) -> str:
    """A sketch like no other number's, or with a share of its hashes replaced."""
    hashes = np.random.default_rng(number).integers(0, 2**24, SIZE, dtype=np.uint32)
    replaced = round(of_another * SIZE)
    hashes[:replaced] = np.random.default_rng([number, replaced]).integers(0, 2**24, replaced, dtype=np.uint32)
    return base64.b64encode(np.sort(hashes).astype(">u4").tobytes()).decode()


def stored(
    folder: Path,
    cases: list[PlannedCase],
    receipts: dict[int, Receipt],
    *,
    config: Config = CONFIG,
    gone: int = 0,
    sketches: Mapping[int, str] | None = None,
) -> Stored:
    """Put a data set together; every case with an ok receipt has windows and a table."""
    outcomes = {case.case_id: _outcome(receipts[case.case_id], config) for case in cases}
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
        windows = sum(outcomes[case.case_id].windows for case in own)
        summaries[split] = BuildSummary(
            dataset_id=DIGEST,
            split=split,
            files=(FileSummary(name=f"{split}.tfrecord", windows=windows, bytes=1, window_bytes=1, sha256=""),),
            cases=tuple(outcomes[case.case_id] for case in own),
            statistics=statistics(config, written),
            targets={target.name: _origins(windows) for target in config.targets},
            sketches={case.case_id: (sketches or {})[case.case_id] for case in own if case.case_id in (sketches or {})},
        )
    excluded = Counter(item.reason for item in receipts.values() if item.reason)
    bad = excluded.total()
    if gone:
        excluded["raw_object_missing"] += gone
    accounting = Accounting(
        dataset_id=DIGEST,
        plan=plan.path,
        requested=len(cases) + gone,
        present=len(cases),
        written=len(cases) - bad,
        excluded=dict(excluded),
        unfinished=(),
        unbuilt=(),
        windows={split: summary.windows for split, summary in summaries.items()},
        success_rate=1 - bad / max(len(cases), 1),
        stage_seconds={},
    )
    finished = {case: FinishedCase.of(receipt) for case, receipt in receipts.items()}
    return Stored(plan, Account(accounting, outcomes, summaries, finished), Storage(str(folder), create=True))


def _outcome(receipt: Receipt, config: Config) -> CaseOutcome:
    if receipt.reason:
        return CaseOutcome(case_id=receipt.case_id, reason=receipt.reason)
    windows = len(window_starts(receipt.seconds or 0, config.windowing))
    return CaseOutcome(case_id=receipt.case_id, seconds=receipt.seconds, windows=windows)


def _origins(windows: int) -> OriginCounts:
    held, default = windows // 100, windows * 49 // 100
    return OriginCounts(observed=windows - held - default, held=held, default=default)


FAILURES: tuple[tuple[ReasonCode, str], ...] = (
    ("truncated", "the gzip stream does not end; the file stops at byte {}"),
    ("corrupt", "packet {} of Solar8000/HR is shorter than its header says"),
    ("not_vital", "it begins with byte {} and not with a gzip header"),
    (
        "unit_mismatch",
        "Propofol_INF: Orchestra/PPF20_RATE is in 'mL/min', which the registry does not accept; record {}",
    ),
    ("no_signal", "none of the inputs' tracks is among the {} tracks of the file"),
    ("too_short", "{} s are shorter than a window and its target"),
)
RECORDED = {"Noradrenalin_INF": 0.02, "etSEV": 0.6, "inSev": 0.6, "Propofol_INF": 0.5, "BIS": 0.9}


def surgical_data_set(folder: Path, cases: int) -> Stored:
    """A data set with the spread of VitalDB's: no two cases alike in length, inputs, sources, gaps and patient.

    One case of thirty is excluded, each for its own reason; every tenth operation is a repeat of the subject before.
    The cases that the report draws have a table of their own.
    """
    subjects = {number: number - (number % 10 == 1 and number > 1) for number in range(1, cases + 1)}
    planned = [
        planned_case(number, _drawn_split(subject), subject_id=100_000 + subject)
        for number, subject in subjects.items()
    ]
    receipts = {case.case_id: _surgical_receipt(case) for case in planned}
    data = stored(folder, planned, receipts, gone=cases // 150)
    for example in chosen_examples(data.plan, data.account):
        data = with_table(data, receipts[example.case_id], surgical_table(receipts[example.case_id]))
    return data


def with_table(data: Stored, receipt: Receipt, table: bytes) -> Stored:
    """The same data set with a case's table in its output, and a receipt with the table's digest and length."""
    length = pq.read_metadata(io.BytesIO(table)).num_rows
    described = receipt.model_copy(update={"values_sha256": values_digest(table), "seconds": length})
    stem = data.plan.stem(receipt.case_id)
    data.output.put(described.table(stem).path, table)
    data.output.put(receipt_path(stem), described.to_bytes())
    receipts = {**data.account.receipts, receipt.case_id: FinishedCase.of(described)}
    return replace(data, account=data.account._replace(receipts=receipts))


def _drawn_split(subject: int) -> str:
    return str(np.random.default_rng([subject, 6]).choice(SPLITS, p=[0.7, 0.15, 0.15]))


def _surgical_receipt(case: PlannedCase) -> Receipt:
    random = np.random.default_rng([case.case_id, 7])
    timings = dict(
        zip(("read", "parse", "harmonize", "write"), random.gamma(2, 0.02, 4).round(4).tolist(), strict=True)
    )
    if case.case_id % 30 == 0:
        reason, detail = FAILURES[case.case_id // 30 % len(FAILURES)]
        failed = {
            "status": "excluded",
            "reason": reason,
            "detail": detail.format(case.case_id * 7919),
            "timings": timings,
        }
        return receipt(case, **failed, seconds=None, features={}, values_sha256=None)
    seconds = int(np.clip(random.lognormal(np.log(SECONDS), 0.6), 1200, 50_000))
    features = {item.name: _surgical_quality(item, seconds, random) for item in CONFIG.inputs}
    conflicts = (UnitConflict(track="Solar8000/ETCO2", unit="cmHg"),) if case.case_id % 90 == 1 else ()
    return receipt(case, seconds=seconds, features=features, timings=timings, unit_conflicts=conflicts)


def _surgical_quality(item: Input, seconds: int, random: np.random.Generator) -> FeatureQuality:
    if random.random() > RECORDED.get(item.name, 0.98):
        return FeatureQuality(
            live_seconds={}, implausible=0, before_start=0, longest_gap=seconds, minimum=None, mean=None, maximum=None
        )
    shares = random.dirichlet([8, *[1] * (len(item.sources) - 1)]) * random.beta(20, 1.5)
    low, high = item.range
    mean = float(low + (high - low) * random.beta(5, 6))
    return FeatureQuality(
        live_seconds={
            source.track: int(seconds * share) for source, share in zip(item.sources, shares.tolist(), strict=True)
        },
        implausible=int(random.poisson(4)),
        before_start=0,
        longest_gap=int(min(seconds, random.lognormal(4, 1.2))),
        minimum=float(low + (mean - low) * random.random()),
        mean=mean,
        maximum=float(mean + (high - mean) * random.random()),
    )


def surgical_table(receipt: Receipt) -> bytes:
    """The table that a receipt tells of: values that wander around the mean, with a late start and gaps."""
    random = np.random.default_rng([receipt.case_id, 8])
    seconds = receipt.seconds or 0
    values = np.full((seconds, len(CONFIG.inputs)), np.nan, dtype=np.float32)
    for column, item in enumerate(CONFIG.inputs):
        mean = receipt.features[item.name].mean
        if mean is None:
            continue
        wander = np.cumsum(random.normal(0, 1, seconds)) / np.sqrt(seconds)
        values[:, column] = np.clip(mean + (item.range[1] - item.range[0]) / 8 * wander, *item.range)
        values[: random.integers(0, 300), column] = np.nan
        for start in random.integers(0, seconds, 5):
            values[start : start + random.integers(5, 300), column] = np.nan
    return to_parquet(values, [item.name for item in CONFIG.inputs])


def noisy_table(config: Config, seconds: int = SECONDS) -> bytes:
    """A table as unlike a smooth one as can be: every second another value, a gap now and then."""
    random = np.random.default_rng(seconds)
    columns = [random.uniform(*item.range, size=seconds) for item in config.inputs]
    values = np.array(columns, dtype=np.float32).T
    values[random.random(values.shape) < 0.02] = np.nan
    return to_parquet(values, [item.name for item in config.inputs])
