"""Run by Airflow's Python: one DAG run, and when each worker process of it began and ended.

``python -m benchmarks.dag_intervals HOME INPUT OUTPUT SHARDS WORKER_PYTHON`` prints JSON: the run's state and interval,
and the workers' intervals, in seconds since the epoch.
"""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path

from local_airflow import server

__all__ = ["main"]

RUN_SECONDS = 600
RECORDER = Path(__file__).with_name("recorded_worker.py")


def main() -> None:
    """Start Airflow, let it settle by a first run that stops at its checks, and time a second one."""
    home, source, output, shards, python = sys.argv[1:]
    record = Path(home) / "workers.jsonl"
    environment = {"VITALPREP_COMMAND": shlex.join([python, str(RECORDER), str(record)])}
    with server.running(Path(home), environment=environment) as airflow:
        first = airflow.trigger(input=source, output=output, cases="999999")
        airflow.wait(first, seconds=RUN_SECONDS)
        record.unlink(missing_ok=True)
        run = airflow.trigger(input=source, output=output, shards=int(shards))
        state = airflow.wait(run, seconds=RUN_SECONDS)
        details = airflow.details(run)
    ends = [datetime.fromisoformat(details[key]).timestamp() for key in ("start_date", "end_date")]
    workers = [json.loads(line) for line in record.read_text().splitlines()]
    print(json.dumps({"state": state, "run": ends, "workers": workers}))


if __name__ == "__main__":
    main()
