"""Where recordings come from: the simulator."""

from __future__ import annotations

from typing import Any

import click

from preprocessing.cli.group import vitalprep
from preprocessing.cli.options import logs, workers_option
from preprocessing.cli.report import report

__all__: list[str] = []

_DAMAGES = ("truncated", "bitflip", "foreign", "no-clinical-row", "short", "no-signal", "unit")


@vitalprep.command()
@click.option("--output", metavar="FOLDER", help="Folder to fill: a new one, or one that holds such a set.")
@click.option("--cases", type=int, help="How many; with --append, how many more.  [default: 24]")
@click.option("--seed", type=int, help="Same seed, same bytes.  [default: 0]")
@click.option("--hours", type=float, help="Median length of a case.  [default: 2.75, as in VitalDB]")
@click.option("--spread", type=float, help="0: all cases equally long; 1: as different as in VitalDB.  [default: 1]")
@click.option("--waves", is_flag=True, default=None, help="Add ECG, PLETH, ART, EEG, CO2 and AWP: cases of true size.")
@click.option("--truth", is_flag=True, default=None, help="Write what is measured, held and missing, per second.")
@click.option("--damage", metavar="NAME=SHARE,...", help=f"Spoil some cases: {', '.join(_DAMAGES)}.")
@click.option("--append", is_flag=True, help="Add cases to the set in the folder; cases and subjects continue.")
@click.option("--preview", metavar="FILE", help="Instead of a set, draw one case as a picture (PNG, SVG, PDF).")
@click.option("--case", "case_id", type=int, default=1, show_default=True, help="Which one to draw.")
@workers_option
@logs
@click.pass_context
def simulate(
    context: click.Context,
    /,
    output: str | None,
    append: bool,
    preview: str | None,
    case_id: int,
    workers: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Make recordings of patients who do not exist, with their clinical table.

    The same options give the same bytes, whatever the number of workers. An interrupted set is completed by the same
    command, or by `vitalprep simulate --output FOLDER`; log lines go to the screen and to FOLDER/logs.
    """
    from preprocessing.simulate import command
    from preprocessing.workers import default_workers, stop_on_signals

    if preview is not None:
        report("Drawn", command.preview(preview, given, case_id=case_id), as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '--output' (a folder to fill) or '--preview' (a picture to draw).")
    with stop_on_signals() as stop:
        result = command.simulate(
            output,
            given,
            append=append,
            workers=workers or default_workers(),
            log_file=not context.obj.get("log_file"),
            stop=stop,
        )
    report("Simulated", result, as_json)
