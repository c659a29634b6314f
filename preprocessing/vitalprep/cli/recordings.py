"""Where recordings come from: the simulator, and VitalDB."""

from __future__ import annotations

from typing import Any

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import location, logs, workers_option
from vitalprep.cli.report import report

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
@click.option(
    "--damage",
    metavar="NAME=CHANCE,...",
    help=f"Damage each case with this chance, 0 to 1, drawn by seed and case: truncated=0.02 damages 2 of 100 cases on "
    f"average, and may damage none. The result says how many. Names: {', '.join(_DAMAGES)}.",
)
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
    """Make recordings of simulated patients.

    A clinical table is written beside the recordings.

    The same options give the same bytes, whatever the number of workers. An interrupted set is completed by the same
    command, or by `vitalprep simulate --output FOLDER`; log lines go to the screen and to FOLDER/logs.
    """
    from vitalprep.runtime.workers import default_workers, stop_on_signals
    from vitalprep.simulate import command

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


@vitalprep.command()
@click.option("--cases", metavar="LIST", required=True, help="Cases, e.g. 1-100,222. VitalDB has 1-6388, 17 MB each.")
@click.option(
    "--output",
    metavar="URI",
    callback=location,
    required=True,
    help="Folder or s3:// prefix for raw-data/NNNN.vital, clinical_data.csv and source.json.",
)
@click.option("--accept-licence", "accepted", is_flag=True, help="You have read licence and data use agreement.")
@click.option("--base-url", metavar="URL", help="Of the service.  [default: https://api.vitaldb.net]")
@click.option("--at-once", type=click.IntRange(1, 16), default=4, show_default=True, help="Downloads at a time.")
@click.option(
    "--add-to-others",
    is_flag=True,
    help="Also where recordings lie that no source.json calls VitalDB's. All of them are called so from then on.",
)
@logs
def fetch(output: str, as_json: bool, **asked: Any) -> None:
    """Download VitalDB's open recordings.

    The recordings and the clinical table are written to a folder or bucket.

    Without --accept-licence nothing is fetched, and the terms are shown: CC BY-NC-SA 4.0 and VitalDB's data use
    agreement. What was accepted, when and of which address is written to source.json beside the recordings.

    A recording gets its name only when the strict reader has read all of it. The same command fetches what is missing,
    and what is there and cannot be read. Cases that VitalDB does not have or give, and those without a row in the
    clinical table, are named at the end (exit code 65); the others are there by then.

    Of the clinical table come the eight columns that are used: caseid, subjectid, sex, age, height, weight, bmi, asa.

    The tests talk to a server that imitates VitalDB's. The live service was never reached from them.
    """
    from vitalprep.fetch.fetch import FetchRequest
    from vitalprep.fetch.fetch import fetch as fetch_recordings
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals() as stop:
        result = fetch_recordings(FetchRequest(**asked), output, stop=stop)
    report("Fetched", result, as_json)
