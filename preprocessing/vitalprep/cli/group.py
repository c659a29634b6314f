"""The command group ``vitalprep``. Each module of this package adds its commands to it."""

from __future__ import annotations

import click

from vitalprep import __version__

__all__ = ["vitalprep"]

EXIT_CODES = """\b
Exit codes
  0    done
  1    failed; a retry may help
  2    the command line or the configuration is wrong
  65   the input or the result is refused; a retry cannot help
  143  stopped by SIGTERM; finished work is committed, a retry resumes"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vitalprep")
def vitalprep() -> None:
    """Turn VitalDB recordings into a validated training set of TFRecords.

    `vitalprep run` runs all stages on one machine: plan, harmonize, build, publish, validate.
    """
