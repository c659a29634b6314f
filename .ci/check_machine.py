"""Whether this machine can install vitalprep: says in one line which Debian packages are missing, and exits 2.

Runs on the bare interpreter that `make` was given. `--compiler`: the worker is to be installed, whose reader is in C.
"""

import importlib.util
import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

VERSIONS = ((3, 11), (3, 12))


def missing_packages(*, compiler: bool) -> list[str]:
    """Return the Debian packages that have to be installed first."""
    missing = []
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    if compiler:
        if shutil.which(shlex.split(os.environ.get("CC") or "cc")[0]) is None:
            missing += ["gcc", "libc6-dev"]
        if not Path(sysconfig.get_path("include"), "Python.h").is_file():
            missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-dev")
    return missing


def main() -> None:
    """Check, and say what is missing."""
    if sys.version_info[:2] not in VERSIONS:
        sys.exit(_said("vitalprep needs Python 3.11 or 3.12. Name one: make PYTHON=/path/to/python3.12 ..."))
    missing = missing_packages(compiler="--compiler" in sys.argv[1:])
    if missing:
        names = " ".join(missing)
        sys.exit(_said(f"vitalprep cannot be installed yet. Debian and Ubuntu: sudo apt-get install {names}"))


def _said(text: str) -> int:
    print(text, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
