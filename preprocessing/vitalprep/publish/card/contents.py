"""Sections of the card about the content of a data set."""

from __future__ import annotations

from vitalprep.contract.config import Input
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.reasons import REASONS
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.markdown import code, plain, table
from vitalprep.publish.card.measured import origins_of_targets

__all__ = ["composition", "exclusions", "origins", "splits", "values", "what"]


def what(data: Described) -> str:
    """Return what a record is, and where the recordings come from."""
    windowing, inputs = data.config.windowing, len(data.config.inputs)
    shapes = [
        ("timeseries", f"float32 ({windowing.window}, {inputs})", "the inputs at 1 Hz, in [-1, 1]"),
        ("static", f"float32 ({len(data.config.statics)},)", "the patient, in [-1, 1]"),
        (
            "target",
            f"float32 ({len(data.config.targets)},)",
            f"values {windowing.target_horizon} s after the window's last second, in [-1, 1]",
        ),
        ("..._origin", "uint8, as bytes, of the same shape", "0 observed, 1 held, 2 default"),
        ("case_id, subject_id, start_second", "int64", "where the window comes from"),
    ]
    return (
        f"Each record is a window of {windowing.window} s of one operation, a new one every "
        f"{windowing.step} s, and drug rates and ventilator settings {windowing.target_horizon} s after it, for "
        "models to predict.\n\n"
        + table(
            ["key", "type and shape", "what it is"],
            [(code(key), shape, what) for key, shape, what in shapes],
            numbers_from=3,
        )
        + (f"\n\nThe recordings: {plain(data.source.description)}" if data.source.description else "")
    )


def composition(data: Described) -> str:
    """Return the counts of each split."""
    rows = []
    for split, summary in data.summaries.items():
        written = [case for case in summary.cases if case.windows]
        subjects = {data.plan.by_id[case.case_id].subject_id for case in written}
        hours = sum(case.seconds or 0 for case in written) / 3600
        size = sum(file.bytes for file in summary.files) / 1e6
        counts = [len(subjects), len(written), summary.windows, len(summary.files)]
        rows.append([split, *(f"{count:,}" for count in counts), f"{hours:,.1f}", f"{size:,.1f}"])
    counted = data.accounting
    salvaged = (
        f" {counted.salvaged:,} of these come from unfinished files, which were used up to their last whole packet."
        if counted.salvaged
        else ""
    )
    content = (
        f"\n\nContent id: {code(data.content_id)}. Data sets with equal records have equal content ids, "
        "wherever they were made."
        if data.content_id
        else ""
    )
    return (
        table(["split", "subjects", "cases", "windows", "files", "hours", "MB"], rows, numbers_from=1)
        + f"\n\nOf {counted.requested:,} cases that were asked for, {counted.present:,} had a recording and "
        f"{counted.written:,} are in here.{salvaged} `cases.csv` says of every one what became of it." + content
    )


def splits(data: Described) -> str:
    """Return how subjects were assigned."""
    split = data.config.split
    shares = f"{split.train:.0%} train, {split.validation:.0%} validation, the rest test"
    text = (
        f"By subject, never by case or window: nobody is in two splits. Shares of the cases: {shares}; "
        f"seed {split.seed}."
    )
    if data.plan.parents:
        chain = ", ".join(code(parent) for parent in data.plan.parents)
        text += f"\n\nIt continues {chain}: every subject kept its split."
    if data.config.privacy.hash_subjects:
        text += "\n\n`subject_id` is a salted hash. The salt is stored nowhere."
    empty = [name for name in SPLITS if not data.accounting.windows.get(name)]
    return text + (f"\n\n**Without any window: {', '.join(empty)}.**" if empty else "")


def values(data: Described) -> str:
    """Return the inputs, statics and targets with units and ranges."""
    inputs = [
        [
            str(index),
            code(item.name),
            plain(item.description),
            code(item.unit),
            _range(item.range),
            f"{item.default:g}",
            f"{item.hold}",
            _sources(item),
        ]
        for index, item in enumerate(data.config.inputs)
    ]
    targets = [
        [str(index), code(item.name), f"{code(item.input)}, {data.config.windowing.target_horizon} s later"]
        for index, item in enumerate(data.config.targets)
    ]
    return "\n\n".join(
        [
            "In the order of the record. `normalized = clip((value - low) / (high - low) * 2 - 1, -1, 1)`; back: "
            "`value = (normalized + 1) / 2 * (high - low) + low`. What was clipped comes back as the bound.",
            "`timeseries`. Hold: seconds for which the last value stands after the last observation.",
            table(["#", "name", "what", "unit", "low to high", "default", "hold", "sources"], inputs, numbers_from=8),
            *_statics(data),
            "`target`",
            table(["#", "name", "value"], targets, numbers_from=3),
        ]
    )


def _statics(data: Described) -> list[str]:
    """Return the statics; column and limits only where the configuration states one."""
    items = data.config.statics
    columns: dict[str, list[str]] = {"#": [str(index) for index in range(len(items))]}
    columns["name"] = [code(item.name) for item in items]
    if any(item.column for item in items):
        columns["column"] = [code(item.table_column) for item in items]
    columns["unit"] = [code(item.unit) for item in items]
    columns["low to high"] = [_range(item.range) for item in items]
    if any(item.limits for item in items):
        columns["limits"] = [_range(item.limits) if item.limits else "" for item in items]
    columns["default"] = [f"{item.default:g}" for item in items]
    text = "`static`." + (" Sex is -1 female, +1 male." if any(item.measure == "sex" for item in items) else "")
    if "limits" in columns:
        text += " What lay outside of the limits was dropped: the record holds the default, its origin is 2."
    body = data.config.body.content() if data.config.body else {}
    if body:
        text += (
            " Doses and tidal volumes take the height (cm), weight (kg) and sex of the clinical table; where it does "
            f"not say: {', '.join(f'{name} {value:g}' for name, value in body.items())}."
        )
    return [
        text,
        table(list(columns), [list(row) for row in zip(*columns.values(), strict=True)], numbers_from=len(columns)),
    ]


def origins(data: Described) -> str:
    """Return what the origin masks mean, and how much was observed."""
    rows = []
    for name, part in data.coverage.items():
        shares = [part.observed, part.held, part.default, part.clipped, *(part.observed_in[split] for split in SPLITS)]
        rows.append([code(name), *map(_percent, shares)])
    header = ["input", "observed", "held", "default", "clipped", *(f"observed in {split}" for split in SPLITS)]
    return (
        "Each value has an origin of its own: **0 observed** (the value of a source, no older than its `stale_after`), "
        "**1 held** (the last value carried forward), **2 default** (there was no value to carry). "
        "A default can equal an observed low: only the origin tells them apart. Share of all seconds of the cases in "
        "here, in %:\n\n" + table(header, rows, numbers_from=1) + _targets(data)
    )


def _targets(data: Described) -> str:
    """Return where the targets' values come from; empty if a build did not count them."""
    if not data.measured.targets:
        return ""
    return (
        "\n\nOf the targets, in % of the windows. A model that always predicts the default scores well on a target "
        f"that mostly is one: report errors on observed targets.\n\n{origins_of_targets(data.measured.targets)}"
    )


def exclusions(data: Described) -> str:
    """Return why cases are left out."""
    if not data.accounting.excluded:
        return "None."
    rows = [
        [code(reason), f"{count:,}", plain(REASONS[reason].meaning)]
        for reason, count in data.accounting.excluded.items()
    ]
    return table(["reason", "cases", "meaning"], rows, numbers_from=3)


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _sources(item: Input) -> str:
    joint = " + " if item.combine == "sum" else ", "
    return joint.join(code(source.name) for source in item.sources)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
