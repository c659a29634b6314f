"""Section of the card about what was measured and what was not, the first one."""

from __future__ import annotations

from collections.abc import Mapping

from vitalprep.contract.build_summary import OriginCounts
from vitalprep.contract.measured import Measured, gaps_in_words, standing_of
from vitalprep.contract.paths import SPLITS
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.markdown import bullets, code, table

__all__ = ["measured", "origins_of_targets"]


def measured(data: Described) -> str:
    """Return which share of values, windows, cases and inputs was observed, and what stands for the rest."""
    whole = data.measured
    facts = [
        f"Windows: {_windows(data)}",
        f"Cases: {_cases(whole)}",
        f"Inputs: {len(whole.inputs) - len(whole.never)} of {len(whole.inputs)} were ever observed, "
        f"{len(whole.mostly)} of them in most seconds."
        + (f" **Never observed: {', '.join(map(code, whole.never))}.**" if whole.never else ""),
        f"Observed is the value of a source, no older than its `stale_after`: {_standing(data)}.",
        gaps_in_words(data.config),
    ]
    return "\n\n".join([_sentence(whole), _values(data), bullets(facts)])


def _sentence(whole: Measured) -> str:
    counts = whole.totals["inputs"]
    observed, held, default = (_percent(part, counts.total) for part in (counts.observed, counts.held, counts.default))
    return (
        f"Of the inputs' values in all seconds of the written cases, **{observed} % were observed**, {held} % are "
        f"held (the last value, carried forward), and **{default} % are a default**, because there was no value."
    )


def _values(data: Described) -> str:
    sizes = {"inputs": data.measured.inputs, "vital signs": data.measured.vitals, "targets": data.measured.targets}
    rows = []
    for name, counts in data.measured.totals.items():
        parts = [data.measured_in[split].totals.get(name, OriginCounts()) for split in SPLITS]
        rows.append(
            [
                f"{len(sizes[name])} {name}, by {'window' if name == 'targets' else 'second'}",
                *(_percent(part, counts.total) for part in (counts.observed, counts.held, counts.default)),
                *(_percent(part.observed, part.total) for part in parts),
            ]
        )
    header = ["values of, in %", "observed", "held", "default", *(f"observed in {split}" for split in SPLITS)]
    return table(header, rows, numbers_from=1)


def _windows(data: Described) -> str:
    whole, demanded = data.measured, data.config.windowing.min_observed_inputs
    unobserved = "no input" if demanded < 2 else f"fewer than {demanded} inputs"
    left_out = f"{whole.unobserved:,} with {unobserved} observed, " if demanded else ""
    parts = [
        f"{whole.windows:,} of {whole.possible:,} possible were written ({_percent(whole.windows, whole.possible)} %).",
        f"Left out: {left_out}{whole.dropped:,} observed too little.",
    ]
    if not demanded:
        parts.append("Windows in which nothing was observed are kept.")
    if whole.without_vital is not None and whole.vitals:
        seen = whole.windows - whole.without_vital
        parts.append(f"{seen:,} of the written ({_percent(seen, whole.windows)} %) have an observed vital sign.")
    return " ".join(parts)


def _cases(whole: Measured) -> str:
    if whole.with_vital is None or whole.with_all is None:
        return "the build did not count in which cases an input was observed."
    vital = (
        f"{whole.with_vital:,} of {whole.cases:,} ({_percent(whole.with_vital, whole.cases)} %) have an observed vital "
        "sign, "
        if whole.vitals
        else ""
    )
    return f"{vital}{whole.with_all:,} ({_percent(whole.with_all, whole.cases)} %) all {len(whole.inputs)} inputs."


def _standing(data: Described) -> str:
    """Return how long values of the sources count as observed, and name the sources with the longest time."""
    found = standing_of(data.config)
    return (
        f"{found.shortest} s to {found.longest} s. {found.longest} s holds for "
        f"{', '.join(map(code, found.tracks))}: one measurement, as of a cuff, is observed for all of that time"
    )


def origins_of_targets(targets: Mapping[str, OriginCounts]) -> str:
    """Return a table of the targets' origins, in percent of the windows."""
    rows = [
        [code(name), *(_percent(part, counts.total) for part in (counts.observed, counts.held, counts.default))]
        for name, counts in targets.items()
    ]
    return table(["target", "observed", "held", "default"], rows, numbers_from=1)


def _percent(part: int, whole: int) -> str:
    """Return a share in percent; one just above 0 or below 100 is not rounded to it."""
    if not whole:
        return "–"  # noqa: RUF001  an en dash, as tables have it
    share = 100 * part / whole
    if 0 < share < 0.05:
        return "<0.1"
    if 99.95 < share < 100:
        return ">99.9"
    return f"{share:.0f}" if share in (0, 100) else f"{share:.1f}"
