"""Builds the compiled scan with branch-coverage instrumentation.

Undefined behaviour (an overflow, a misaligned or outlying access that the compiler can see) is a trap, and so a crash.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np

__all__ = ["ADDRESS_SANITIZER", "Edges", "build"]

MODULE = "vitalprep.vital._records"
READER, COUNTER = (
    Path(__file__).parents[3] / "preprocessing/vitalprep/vital/_records.c",
    Path(__file__).with_name("edges.c"),
)
FLAGS = ["-O1", "-g", "-std=c11", "-ffp-contract=off", "-fPIC"]
INSTRUMENTED = ["-fsanitize-coverage=trace-pc", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
ADDRESS_SANITIZER = "-fsanitize=address"
EDGES = 4096
# How often an edge was taken, by rough size: a loop taken twice is another path than one taken a hundred times.
SIZES = np.zeros(256, dtype=np.uint8)
for _bit, _least in enumerate((1, 2, 3, 4, 8, 16, 32, 128)):
    SIZES[_least:] = 1 << _bit


def build(folder: Path, *extra: str) -> Path:
    """Compile the instrumented module into a folder, and return its file."""
    compiler = [*shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC")), *FLAGS, *extra]
    include = f"-I{sysconfig.get_path('include')}"
    target, counter = folder / "_records.instrumented.so", folder / "edges.o"
    subprocess.run([*compiler, "-c", str(COUNTER), "-o", str(counter)], check=True)  # it must not count itself
    subprocess.run(
        [*compiler, "-shared", *INSTRUMENTED, include, str(READER), str(counter), "-o", str(target)], check=True
    )
    return target


class Edges:
    """The edges that inputs have taken so far. Made before the reader is imported, which then uses the given build."""

    def __init__(self, built: Path) -> None:
        assert MODULE not in sys.modules, "the reader was imported before its instrumented half"
        loader = ExtensionFileLoader(MODULE, str(built))
        spec = spec_from_loader(MODULE, loader)
        assert spec is not None
        sys.modules[MODULE] = module = module_from_spec(spec)
        loader.exec_module(module)
        self._counts = np.ctypeslib.as_array((ctypes.c_uint8 * EDGES).in_dll(ctypes.CDLL(str(built)), "edges"))
        self._seen = np.zeros(EDGES, dtype=np.uint8)

    def forget(self) -> None:
        """Begin an input."""
        self._counts[:] = 0

    def new(self) -> bool:
        """Return whether the input took an edge, or took it about so often, as none before."""
        taken = SIZES[self._counts]
        fresh = bool((taken & ~self._seen).any())
        if fresh:
            self._seen |= taken
        return fresh

    def count(self) -> int:
        """Return how many edges were taken so far."""
        return int(np.count_nonzero(self._seen))
