"""The command ``vitalprep``: it reads options, calls one stage, prints what it came to, and sets the exit code."""

from __future__ import annotations

import logging
import sys
import traceback

import click

from vitalprep.cli import aws, data_sets, recordings, stages, upkeep  # noqa: F401  (they add their commands)
from vitalprep.cli.group import vitalprep
from vitalprep.runtime.console import log, print_failure, report_failure
from vitalprep.runtime.errors import VitalprepError
from vitalprep.runtime.printable import printable, printable_lines

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command and leave with its exit code; every failure ends in one clear message."""
    try:
        vitalprep(standalone_mode=False)
    except VitalprepError as error:
        report_failure(error)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        print_failure(exit_code=2, error="UsageError", message=printable(error.format_message()), fix="see --help.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        trace, message = traceback.format_exc(), printable(str(error))
        log("unforeseen error", level=logging.ERROR, traceback=trace)
        print_failure(exit_code=1, error=type(error).__name__, message=message, fix="report this with the log.")
        if "--json" not in sys.argv:
            sys.stderr.write(printable_lines(trace))
        sys.exit(1)
