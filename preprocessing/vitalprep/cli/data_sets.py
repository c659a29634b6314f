"""What one asks of data sets that are there: a report, and how two of them differ."""

from __future__ import annotations

import sys

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import location, logs
from vitalprep.cli.report import report as print_report
from vitalprep.runtime.console import print_result

__all__: list[str] = []


@vitalprep.command()
@click.option(
    "--dataset",
    "dataset_uri",
    metavar="URI",
    callback=location,
    required=True,
    help="URI of a data set, or of an output for its latest data set.",
)
@click.option("--case", "case_id", type=int, help="Draw only this case.")
@click.option(
    "--output",
    "file",
    metavar="FILE",
    help="HTML file to write.  [default: report-<data set>.html or case-0044-<data set>.html]",
)
@click.option(
    "--stored", is_flag=True, help="Print the published report unchanged to stdout instead of drawing a new one."
)
@logs
def report(dataset_uri: str, case_id: int | None, file: str | None, stored: bool, as_json: bool) -> None:
    """Draw the report of a data set or a case.

    The report is one file that any browser opens without network.
    """
    from vitalprep.report.command import draw_report, stored_report
    from vitalprep.runtime.workers import stop_on_signals

    if stored:
        if case_id is not None or file is not None or as_json:
            raise click.UsageError("--stored prints the whole stored page: it goes with no --case, --output or --json.")
        sys.stdout.buffer.write(stored_report(dataset_uri))
        return

    with stop_on_signals():
        result = draw_report(dataset_uri, case_id=case_id, file=file)
    print_report("Drawn", result, as_json)


@vitalprep.command()
@click.argument("a", metavar="A", callback=location)
@click.argument("b", metavar="B", callback=location)
@click.option("--html", metavar="FILE", help="Also write the comparison to this HTML file.")
@logs
def diff(a: str, b: str, html: str | None, as_json: bool) -> None:
    """Compare two data sets A and B.

    The comparison covers content, configuration, cases, counts, distributions and bytes.

    A and B are URIs of data sets, or of outputs. An output stands for its latest data set.
    """
    from vitalprep.diff.command import diff_data_sets
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals():
        result, text = diff_data_sets(a, b, html=html)
    if as_json:
        print_result({"ok": True} | result)
    else:
        click.echo(text, nl=False)
