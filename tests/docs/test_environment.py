"""The table of environment variables has every one that is read, and none that is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.snippets import ROOT

PAGE = ROOT / "docs" / "reference" / "environment.md"
NAME = re.compile(r"(VITALPREP|AWS|SM|TRAINING|REQUESTS)_[A-Z0-9_]*[A-Z0-9]")
CALL = re.compile(r"^_\w+$")  # a function of the module itself, which puts a prefix before what it is given
# Constants that are no variables, though they look so.
NO_VARIABLES = {"AWS_CONSOLE_LINK"}
FOLDERS = ("preprocessing", "plugins", "dags", "terraform", "docker", "local_airflow")


def declared() -> tuple[set[str], set[str]]:
    """Return the variables that vitalprep reads, and those that libraries read, by the page's two tables."""
    ours, libraries = PAGE.read_text("utf-8").split("Libraries read these", 1)
    return _first_cells(ours), _first_cells(libraries)


def _first_cells(text: str) -> set[str]:
    return {name for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (p for p in (ROOT / folder).rglob("*") if p.is_file() and "egg-info" not in str(p))


def read_by_python(path: Path) -> set[str]:
    """Return the variables that a module names: as a whole text, or as a prefix and the argument of a function."""
    tree = ast.parse(path.read_text("utf-8"))
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    found = {text for text in texts if NAME.fullmatch(text)}
    prefixes = {
        n.values[0].value
        for n in ast.walk(tree)
        if isinstance(n, ast.JoinedStr) and len(n.values) == 2 and isinstance(n.values[0], ast.Constant)
        and re.fullmatch(r"VITALPREP_[A-Z]+_", str(n.values[0].value))
    }  # fmt: skip
    if not prefixes:
        return found
    (prefix,) = prefixes
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        given = call.args[0] if len(call.args) == 1 else None
        named = isinstance(call.func, ast.Name) and CALL.match(call.func.id)
        if named and isinstance(given, ast.Constant) and re.fullmatch(r"[A-Z_]+", str(given.value)):
            found.add(f"{prefix}{given.value}")
    return found


def read_by_code() -> set[str]:
    found: set[str] = set()
    for path in sources():
        if path.suffix == ".py":
            found |= read_by_python(path)
        elif path.suffix in (".tf", ".env") or path.name.startswith("Dockerfile"):
            lines = [line.partition("#")[0] for line in path.read_text("utf-8").splitlines()]
            found |= {m[0] for line in lines for m in re.finditer(rf"\b{NAME.pattern}(?=\s*=)", line)}
    compose = (ROOT / "airflow-docker-compose.yaml").read_text("utf-8")
    return found | set(re.findall(r"(?<!\$)\$\{(\w+)", compose))


def test_every_variable_that_is_read_is_declared() -> None:
    ours, libraries = declared()
    assert read_by_code() - NO_VARIABLES - ours - libraries == set()


def test_no_variable_is_declared_that_nobody_reads() -> None:
    ours, _ = declared()
    assert ours - read_by_code() == set()


def test_settings_with_a_prefix_are_found() -> None:
    found = read_by_code()
    assert {"VITALPREP_ECS_SUBNETS", "VITALPREP_SAGEMAKER_MAX_RUN", "VITALPREP_ECS_POLL_SECONDS"} <= found


def test_the_dags_documentation_names_only_declared_ones() -> None:
    text = "".join(p.read_text("utf-8") for p in (ROOT / "dags").glob("*.py"))
    ours, libraries = declared()
    assert set(re.findall(r"VITALPREP_[A-Z_]*[A-Z]", text)) <= ours | libraries
