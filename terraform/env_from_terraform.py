#!/usr/bin/env python3
"""Write Terraform's outputs into a ``.env`` file: ``terraform output -json | env_from_terraform.py .env``.

Other lines (passwords, your own settings) are kept unchanged and in place.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

OUTPUT = "environment"
# docker compose, systemd and shells read these values in the same way. Values that they quote differently are refused.
NAME, VALUE = re.compile(r"[A-Z][A-Z0-9_]*"), re.compile(r"[A-Za-z0-9_./:@,+=-]*")


def environment(outputs: str) -> dict[str, str]:
    """Return the variables in the output of ``terraform output -json``.

    Raises
    ------
    ValueError
        If there are none, or if a ``.env`` file cannot represent one of them.
    """
    try:
        variables = json.loads(outputs)[OUTPUT]["value"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Terraform has no output {OUTPUT!r}. Fix: run `terraform apply` first.") from error
    for name, value in variables.items():
        if not NAME.fullmatch(name) or not isinstance(value, str) or not VALUE.fullmatch(value):
            raise ValueError(f"A .env file cannot represent {name}={value!r}. Fix: see terraform/outputs.tf.")
    return dict(variables)


def merged(text: str, variables: Mapping[str, str]) -> str:
    """Return a ``.env`` text with these variables: existing lines are changed in place, others appended."""
    left = dict(variables)
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0].strip()
        if name not in variables:
            lines.append(line)
        elif name in left:  # drops duplicates, because the last line would win
            lines.append(f"{name}={left.pop(name)}")
    lines += [f"{name}={value}" for name, value in left.items()]
    return "".join(f"{line}\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Read the outputs from stdin and write the file. It keeps its mode; a new file is readable only by its owner."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        variables = environment(sys.stdin.read())
    except ValueError as error:
        print(f"env_from_terraform: {error}", file=sys.stderr)
        return 2
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    beside = path.with_name(f"{path.name}.new")
    beside.touch(mode=mode)
    beside.chmod(mode)
    beside.write_text(merged(before, variables), encoding="utf-8")
    beside.replace(path)  # atomic, because the file also holds passwords
    print(f"{path}: {len(variables)} variables from Terraform")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
