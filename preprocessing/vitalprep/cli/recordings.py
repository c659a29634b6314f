"""Commands that provide recordings: simulate them, or fetch them from VitalDB."""

from __future__ import annotations

from typing import Any

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import location, logs, workers_option
from vitalprep.cli.report import report

__all__: list[str] = []

_DAMAGES = (
    "truncated", "bitflip", "foreign", "no-clinical-row", "short", "no-signal", "unit", "gap-of-days", "wrong-clock",
    "unclosed-gzip", "other-devices", "two-devices", "decimal-comma", "semicolons", "cell-too-many",
)  # fmt: skip


@vitalprep.command()
@click.option(
    "--output", metavar="FOLDER", help="Folder for the recordings: new, or holding a set made with the same options."
)
@click.option("--cases", type=int, help="Number of cases; with --append, of additional cases.  [default: 24]")
@click.option("--seed", type=int, help="Random seed. Equal options and seed give equal bytes.  [default: 0]")
@click.option("--hours", type=float, help="Median duration of a case, in hours.  [default: 2.75, as in VitalDB]")
@click.option("--spread", type=float, help="Spread of the durations: 0 for equal ones, 1 for VitalDB's.  [default: 1]")
@click.option(
    "--waves",
    is_flag=True,
    default=None,
    help="Add ECG, PLETH, ART, EEG, CO2 and AWP waves. Files get the size of real ones.",
)
@click.option("--truth", is_flag=True, default=None, help="Write for each second what is measured, held and missing.")
@click.option(
    "--damage",
    metavar="NAME=CHANCE,...",
    help=f"Damage each case with this chance, 0 to 1, drawn by seed and case: truncated=0.02 damages 2 of 100 cases on "
    f"average, and may damage none. The result says how many. Names: {', '.join(_DAMAGES)}.",
)
@click.option(
    "--profile",
    metavar="NAME",
    help="Record with the devices of a packaged profile: carescape, draeger, intellivue.  [default: VitalDB's devices]",
)
@click.option("--append", is_flag=True, help="Add cases to the set in the folder. Case and subject numbers continue.")
@click.option(
    "--preview", metavar="FILE", help="Draw one case into this file (PNG, SVG, PDF) instead of making recordings."
)
@click.option("--case", "case_id", type=int, default=1, show_default=True, help="Case to draw with --preview.")
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

    Equal options give equal bytes with any number of workers. To complete an interrupted set, repeat the command, or
    run `vitalprep simulate --output FOLDER`. Log lines go to stderr and to FOLDER/logs.
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
    "--cases", metavar="LIST", required=True, help="Case numbers, e.g. 1-100,222. VitalDB has 1-6388, 17 MB each."
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
    help="Accept the licence and the data use agreement, which you have read.",
)
@click.option("--base-url", metavar="URL", help="Address of the service.  [default: https://api.vitaldb.net]")
@click.option(
    "--at-once", type=click.IntRange(1, 16), default=4, show_default=True, help="Number of concurrent downloads."
)
@click.option(
    "--add-to-others",
    is_flag=True,
    help="Fetch also into a folder that holds recordings not marked as VitalDB's. All of them are marked so then.",
)
@logs
def fetch(output: str, as_json: bool, **asked: Any) -> None:
    """Download VitalDB's open recordings.

    The recordings and the clinical table are written to a folder or bucket.

    Without --accept-licence the command shows the terms (CC BY-NC-SA 4.0 and VitalDB's data use agreement) and fetches
    nothing. It records what was accepted, when and from which address in source.json beside the recordings.

    A recording gets its final name after the strict reader has read it whole. Repeating the command fetches missing
    and unreadable recordings. Cases that VitalDB does not provide, and cases without a clinical row, are listed at the
    end (exit code 65); all others have been fetched by then.

    The clinical table has the eight columns that vitalprep uses: caseid, subjectid, sex, age, height, weight, bmi, asa.

    The tests use a server that imitates VitalDB's. They never reached the live service.
    """
    from vitalprep.fetch.fetch import FetchRequest
    from vitalprep.fetch.fetch import fetch as fetch_recordings
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals() as stop:
        result = fetch_recordings(FetchRequest(**asked), output, stop=stop)
    report("Fetched", result, as_json)
