"""Proof that no sample depends on the future: drawn windows are computed again from what was known at their target."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vitalprep.contract.config import Config
from vitalprep.features.samples import Samples, samples_of
from vitalprep.features.windows import target_second
from vitalprep.record_files.content import FileTask, Part

__all__ = ["Replays"]

DRAWN = 4  # windows of each part of a file; each takes as long as its whole case


@dataclass
class Replays:
    """Windows that were replayed, and what was found (check, place)."""

    count: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, part: Part, task: FileTask) -> None:
        """Replay a part's first windows, which its order by hash has drawn, if imputation is causal."""
        if not task.config.imputation.causal:
            return
        for case_id, start in part.order[:DRAWN]:
            case = task.cases[case_id]
            self.count += 1
            if not _is_replayed(part.samples[case_id], case.static, case.static_origin, start, task.config):
                place = f"the window of case {case_id} from second {start} is another one if its recording ends with it"
                self.problems.append(("causal", place))


def _is_replayed(
    samples: Samples, static: tuple[float, ...], origin: tuple[int, ...], start: int, config: Config
) -> bool:
    known = samples.measured[: target_second(start, config.windowing) + 1]
    cut = samples_of(known, static, origin, config)
    whole, again = (one.record(start, case_id=0, subject_id=0, config=config) for one in (samples, cut))
    return start in cut.starts and all(
        np.array_equal(value, getattr(again, name)) for name, value in vars(whole).items()
    )
