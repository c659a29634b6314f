"""Where snippets are executed: a scratch folder with recordings and data sets in the places that the pages name.

The pages name places that no test may write to. `PLACES` says what stands for each.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.docs.snippets import ROOT, Snippet
from tests.pipeline import BUCKET

__all__ = ["DATA_SET", "OTHER_DATA_SET", "Page", "Ran", "World"]

DATA_SET, OTHER_DATA_SET = "2c5263cda312", "0a1b2c3d4e5f"
NAMED = re.compile(r"^# (?P<name>[\w-]+\.yaml)$", re.MULTILINE)
# What is too long for a test is made smaller, and says so here.
SMALLER = {
    "--cases 100 --waves --truth": "--cases 9 --hours 0.15 --truth",
    "--cases 24 --hours 0.5": "--cases 9 --hours 0.15",
    "--seed 3 --case 46": "--seed 3 --case 46 --hours 0.2",
}
CODE = "from vitalprep.cli.main import main; main()"


@dataclass(frozen=True)
class World:
    """What all pages share. `data` is copied for each page, so that none sees what another one wrote."""

    data: Path
    data_sets: Mapping[str, str]
    environment: Mapping[str, str]
    commands: Path

    def page(self, folder: Path) -> Page:
        """Return a scratch folder of its own for a page."""
        shutil.copytree(self.data, folder / "data", symlinks=True)
        (folder / "work").mkdir()
        shutil.copytree(ROOT / "examples", folder / "work" / "examples")
        return Page(self, folder)


@dataclass(frozen=True)
class Ran:
    """How a block ended."""

    exit_code: int
    output: str


@dataclass
class Page:
    """A page that is being executed, block after block. Python blocks share their names."""

    world: World
    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "snippet"})

    def places(self) -> dict[str, str]:
        """Text of the pages -> what stands for it."""
        return {
            "/data/": f"{self.folder}/data/",
            "s3://bucket/": f"s3://{BUCKET}/docs/",
            ".venv/bin/python": sys.executable,
            ".venv/bin/vitalprep": "vitalprep",
            **self.world.data_sets,
            **SMALLER,
        }

    def run(self, snippet: Snippet) -> Ran:
        """Execute a block as a reader would."""
        text = snippet.text
        for said, meant in self.places().items():
            text = text.replace(said, meant)
        if snippet.language == "sh":
            return self._shell(text)
        return self._python(text, snippet.place) if snippet.language == "python" else self._overlay(text)

    def _shell(self, text: str) -> Ran:
        environment = os.environ | dict(self.world.environment)
        environment["PATH"] = os.pathsep.join([str(self.world.commands), environment["PATH"]])
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", text],
            cwd=self.folder / "work",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return Ran(done.returncode, done.stdout)

    def _python(self, text: str, place: str) -> Ran:
        said = io.StringIO()
        before = Path.cwd()
        os.chdir(self.folder / "work")
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(text, place, "exec"), self.names)  # noqa: S102  our own pages
        finally:
            os.chdir(before)
        return Ran(0, said.getvalue())

    def _overlay(self, text: str) -> Ran:
        """Keep a configuration under the name in its first line, and let the command read it."""
        content = yaml.safe_load(text)
        named = NAMED.match(text)
        if not isinstance(content, dict) or named is None:
            return Ran(1, "a block of YAML is a configuration, and its first line is a comment with the file's name")
        (self.folder / "work" / named["name"]).write_text(text, "utf-8")
        return self._shell(f"vitalprep config --config {named['name']} --json > /dev/null")


def write_commands(folder: Path) -> Path:
    """Put the commands that a shell finds into a folder: this environment's Python, and vitalprep."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in {"vitalprep": f"-c '{CODE}'", "python": ""}.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        path.chmod(0o755)
    return folder
