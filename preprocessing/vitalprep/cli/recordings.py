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
@click.option(
    "--output", metavar="FOLDER", help="Folder for the recordings: a new one, or one with an earlier simulated set."
)
@click.option("--cases", type=int, help="Number of cases. With --append, number of additional cases.  [default: 24]")
@click.option("--seed", type=int, help="Random seed. The same seed gives the same bytes.  [default: 0]")
@click.option("--hours", type=float, help="Median length of a case, in hours.  [default: 2.75, as in VitalDB]")
@click.option(
    "--spread", type=float, help="Spread of case lengths, 0 to 2. 0: all equal; 1: as in VitalDB.  [default: 1]"
)
@click.option(
    "--waves",
    is_flag=True,
    default=None,
    help="Add waveforms (ECG, PLETH, ART, EEG, CO2, AWP). Files are then as large as VitalDB's.",
)
@click.option(
    "--truth",
    is_flag=True,
    default=None,
    help="Also write, per second, what is measured, held or missing, and the patient's true value.",
)
@click.option(
    "--damage",
    metavar="NAME=CHANCE,...",
    help=f"Damage cases at random, each with this probability (0 to 1): truncated=0.02 damages 2 of 100 cases on "
    f"average. The result says how many were damaged. Names: {', '.join(_DAMAGES)}.",
)
@click.option("--append", is_flag=True, help="Add cases to the set in the folder. Case and subject numbers continue.")
@click.option(
    "--preview", metavar="FILE", help="Draw one case to this picture (PNG, SVG, PDF) instead of making a set."
)
@click.option("--case", "case_id", type=int, default=1, show_default=True, help="Case that --preview draws.")
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

    The same options give the same bytes with any number of workers. The same command, or `vitalprep simulate --output
    FOLDER`, completes an interrupted set. Log lines go to stderr and to FOLDER/logs.
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
@click.option(
    "--cases", metavar="LIST", required=True, help="Case numbers, e.g. 1-100,222. VitalDB has 1-6388, about 17 MB each."
)
@click.option(
    "--output",
    metavar="URI",
    callback=location,
    required=True,
    help="Folder or s3:// prefix for raw-data/NNNN.vital, clinical_data.csv and source.json.",
)
@click.option(
    "--accept-licence",
    "accepted",
    is_flag=True,
    help="Confirm that you have read and accept the licence and the data use agreement.",
)
@click.option("--base-url", metavar="URL", help="Address of the service.  [default: https://api.vitaldb.net]")
@click.option(
    "--at-once", type=click.IntRange(1, 16), default=4, show_default=True, help="Number of parallel downloads."
)
@click.option(
    "--add-to-others",
    is_flag=True,
    help="Allow a folder that already holds recordings not marked as VitalDB's. source.json then marks all of them as "
    "VitalDB's.",
)
@logs
def fetch(output: str, as_json: bool, **asked: Any) -> None:
    """Download VitalDB's open recordings.

    The recordings and the clinical table are written to a folder or bucket.

    Without --accept-licence the command fetches nothing and prints the terms: CC BY-NC-SA 4.0 and VitalDB's data use
    agreement. source.json, beside the recordings, states what was accepted, when, and from which address.

    A recording appears under its name only after all of it was read without an error. The same command fetches
    missing and unreadable recordings. At the end it names cases that VitalDB does not have or does not give, and cases
    without a row in the clinical table (exit code 65). All other cases are fetched.

    The clinical table has the eight columns that vitalprep uses: caseid, subjectid, sex, age, height, weight, bmi, asa.

    The tests use a local imitation of VitalDB's server. They never reached the live service.
    """
    from vitalprep.fetch.fetch import FetchRequest
    from vitalprep.fetch.fetch import fetch as fetch_recordings
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals() as stop:
        result = fetch_recordings(FetchRequest(**asked), output, stop=stop)
    report("Fetched", result, as_json)
