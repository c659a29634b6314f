"""Planning, the listing excluded: as many cases as VitalDB has, and a million."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import process_usage

__all__ = ["main", "rows"]

VITALDB, MANY = 6388, 1_000_000
CASES_A_SHARD = 1000
MEDIAN_BYTES, SPREAD = 15e6, 0.5  # a log-normal with VitalDB's median and about its spread


def rows(recordings: Recordings) -> Iterator[Row]:
    """Each in a process of its own, for its memory; a shard is then read back from the stored plan."""
    found = {cases: _planned(cases) for cases in (VITALDB, MANY)}
    for cases, target in ((VITALDB, 1.0), (MANY, 60.0)):
        yield Row(
            name="plan",
            measure=f"{cases} cases, listing excluded",
            value=found[cases]["seconds"],
            unit="s",
            target=target,
            detail=f"{found[cases]['shards']} shards, stored plan {found[cases]['megabytes']:.0f} MB",
        )
    small, large = (found[cases]["shard_mb"] for cases in (VITALDB, MANY))
    yield Row(
        name="plan",
        measure="RSS of a shard's task, many cases / VitalDB's",
        value=large / small,
        target=1.2,
        detail=f"{large:.0f} MB and {small:.0f} MB, with shards of the same size",
    )


def _planned(cases: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        planned: dict[str, float] = json.loads(
            process_usage((sys.executable, "-m", "benchmarks.planning", folder, str(cases))).stdout
        )
        opened = process_usage((sys.executable, "-m", "benchmarks.planning", str(planned["plan"])))
    return planned | {"shard_mb": opened.peak_mb}


def main() -> None:
    """``FOLDER CASES``: plan and store. ``PLAN``: read one shard of it, as a task does."""
    if len(sys.argv) == 2:
        _open(sys.argv[1])
    else:
        print(json.dumps(_plan(Path(sys.argv[1]), int(sys.argv[2]))))


def _open(plan: str) -> None:
    from vitalprep.contract.plan import load_shard

    shard, _ = load_shard(plan, 1)
    if len(shard.cases) < 1:
        raise RuntimeError("The shard holds no case.")


def _plan(folder: Path, cases: int) -> dict[str, object]:
    import time

    from vitalprep.contract.config_file import load_config
    from vitalprep.contract.plan import store_plan
    from vitalprep.plan.listing import Listing
    from vitalprep.plan.make_plan import PlanRequest, plan_recordings
    from vitalprep.storage import Storage, StoredObject

    rng = np.random.default_rng(0)
    sizes = (MEDIAN_BYTES * np.exp(SPREAD * rng.standard_normal(cases))).astype(int).tolist()
    listed = [StoredObject(f"{case_id:04d}.vital", size, f'"{case_id:032x}"') for case_id, size in enumerate(sizes, 1)]
    listing = Listing(str(folder), {stored.path: stored for stored in listed}, {}, frozenset(), ())
    with (folder / "clinical_data.csv").open("w") as table:
        table.write("caseid,subjectid,age,sex,height,weight,bmi,asa\n")
        table.writelines(f"{case},{case * 10 // 11},55,M,170,70,24.2,2\n" for case in range(1, cases + 1))
    request = PlanRequest(input=str(folder), config=load_config(), shards=-(-cases // CASES_A_SHARD))
    output = Storage(str(folder / "output"), create=True)
    began = time.perf_counter()
    plan = plan_recordings(request, listing)
    uri = store_plan(plan, output)
    seconds = time.perf_counter() - began
    size = (folder / "output" / plan.path).stat().st_size
    return {"seconds": seconds, "plan": uri, "shards": len(plan.shards), "megabytes": size / 1e6}


if __name__ == "__main__":
    main()
