"""What a user can do next with a data set."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from vitalprep.contract.paths import REPORT
from vitalprep.contract.plan import Plan

__all__ = ["NextSteps", "next_steps"]


class NextSteps(NamedTuple):
    """Where the report is, the Python line that opens the data set, and the command that draws one of its cases."""

    report: str
    load: str
    command: str

    def lines(self) -> Iterator[str]:
        """Yield one line for each, for people."""
        yield f"  open the report   {self.report}"
        yield f"  load in Python    {self.load}"
        yield f"  draw one case     {self.command}"


def next_steps(dataset_uri: str, plan: Plan) -> NextSteps:
    """Return what a user can do next with the data set of a plan."""
    case = plan.cases[0].case_id
    return NextSteps(
        report=f"{dataset_uri}/{REPORT}",
        load=f"import vitalprep; vitalprep.describe({json.dumps(dataset_uri)})",
        command=shlex.join(["vitalprep", "report", "--dataset", dataset_uri, "--case", str(case)]),
    )
