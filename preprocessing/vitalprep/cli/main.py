"""Entry point of ``vitalprep``: runs a command, prints its failure, and sets the exit code."""

from __future__ import annotations

import logging
import sys
import threading

import click

from vitalprep.cli import aws, data_sets, inspection, recordings, stages, upkeep  # noqa: F401  (each adds its commands)
from vitalprep.cli.group import vitalprep
from vitalprep.runtime.console import log, log_traceback, print_failure, report_failure
from vitalprep.runtime.errors import VitalprepError
from vitalprep.runtime.printable import printable
from vitalprep.runtime.standard_streams import secure_standard_streams
from vitalprep.runtime.unforeseen import traceback_of, unforeseen

__all__ = ["main"]

INTERRUPTED = 130
_HELP = "see --help."


def main() -> None:
    """Run the command and exit with its code. Every failure ends in one message that says how to fix it."""
    secure_standard_streams()
    threading.excepthook = _report_thread
    try:
        vitalprep(standalone_mode=False)
        sys.stdout.flush()
    except VitalprepError as error:
        report_failure(error)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        fix = _fix(error)
        if fix != _HELP:
            click.echo(f"Fix: {fix}", err=True)
        print_failure(exit_code=2, error="UsageError", message=printable(error.format_message()), fix=fix)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except SystemExit:
        raise
    except BaseException as error:  # also a panic of a native library
        log_traceback(traceback_of(error))
        report_failure(unforeseen(error))
        sys.exit(1)


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Log an exception that ended a thread as one line, and its traceback like every other."""
    error = failure.exc_value or failure.exc_type()
    if not isinstance(error, SystemExit):
        log_traceback(traceback_of(error))
        log(f"A background thread ended: {unforeseen(error)}", level=logging.ERROR)


def _fix(error: click.UsageError) -> str:
    """Return how to fix a wrong command line; for a missing option with the environment variable that sets it."""
    option = error.param if isinstance(error, click.MissingParameter) else None
    if option is None or not option.envvar or not isinstance(option.envvar, str):
        return _HELP
    return (
        f"give {option.opts[0]}, or set {option.envvar}: `make env-from-terraform` writes it into .env, and "
        "`set -a && . ./.env && set +a` loads that."
    )
