"""Every snippet of README and documentation is executed, or says why it cannot be and is checked otherwise."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.docs.snippets import PAGES, ROOT, Snippet, snippets_of
from tests.docs.world import Page, Ran, World

SNIPPETS = [snippet for page in PAGES for snippet in snippets_of(page)]
ENDS = re.compile(r"(?<!\\)\n|;|&&|\|\||\|")
DAG = (ROOT / "dags" / "vitaldb_preprocessing.py").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
OUTPUTS = (ROOT / "terraform" / "outputs.tf").read_text("utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if any(s.page == page for s in SNIPPETS)])
def test_the_snippets_of_a_page_run(page: str, world: World, tmp_path: Path) -> None:
    here = world.page(tmp_path)
    previous = Ran(0, "")
    for snippet in snippets_of(page):
        if snippet.kind == "output":
            assert labels_of(snippet.text) == labels_of(previous.output), f"{snippet.place}: not what is printed"
        elif snippet.kind in ("run", "exits"):
            previous = ran(here, snippet)
            expected = int(snippet.said) if snippet.kind == "exits" else 0
            assert previous.exit_code == expected, f"{snippet.place}: exit {previous.exit_code}\n{previous.output}"
        elif snippet.kind == "pending":
            assert ran(here, snippet).exit_code != 0, f"{snippet.place} works now: remove its marker"


def ran(page: Page, snippet: Snippet) -> Ran:
    try:
        return page.run(snippet)
    except Exception as error:
        if snippet.kind == "pending":
            return Ran(1, str(error))
        raise AssertionError(f"{snippet.place}: {type(error).__name__}: {error}") from error


def labels_of(text: str) -> list[str]:
    """Return the first column of a printed table."""
    return [label for line in text.splitlines() if (match := re.match(r"│ (.*?) +│", line)) and (label := match[1])]


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.kind == "not run"], ids=lambda snippet: snippet.place)
def test_what_cannot_run_is_checked_otherwise(snippet: Snippet) -> None:
    if snippet.language == "python":
        ast.parse(snippet.text)
        return
    for words in commands_in(snippet.text):
        problem = problem_of(words)
        assert problem is None, f"{snippet.place}: {shlex.join(words)}: {problem}"


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell block, as far as they can be told without running it."""
    text = re.sub(r"(?m)(^|\s)#.*$", "", text).replace("\\\n", " ")
    for part in ENDS.split(text):
        try:
            words = shlex.split(part)
        except ValueError:  # a part of a quoted text
            continue
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
            words.pop(0)
        if words:
            yield words


def problem_of(words: list[str]) -> str | None:
    """Return what is wrong with a command, or None: also where nothing is known about it."""
    name, *arguments = words
    if name == "make":
        targets = [word for word in arguments if not re.match(r"-|[A-Z_]+=", word)]
        unknown = [target for target in targets if not re.search(rf"(?m)^{re.escape(target)}:", MAKEFILE)]
        variables = [word.partition("=")[0] for word in arguments if re.match(r"[A-Z_]+=", word)]
        unknown += [variable for variable in variables if f"$({variable})" not in MAKEFILE]
        return f"make has no {unknown}" if unknown else None
    if name.rpartition("/")[2] == "vitalprep":
        return problem_of_vitalprep(arguments)
    if name.rpartition("/")[2] == "terraform" and "output" in arguments:
        output = arguments[-1]
        return None if f'output "{output}"' in OUTPUTS else f"Terraform has no output {output!r}"
    paths = [word for word in arguments if re.match(r"(tests|docs|examples|terraform|docker)/", word)]
    missing = [path for path in paths if not path.endswith("terraform.tfvars") and not exists(path)]
    if missing:
        return f"not there: {missing}"
    dags = re.findall(r"/dags/(\w+)/", " ".join(arguments))
    return next((f"no DAG {dag!r}" for dag in dags if f'dag_id="{dag}"' not in DAG), None)


def exists(path: str) -> bool:
    return (ROOT / path).exists() or path.startswith("docs/_build")


def problem_of_vitalprep(arguments: list[str]) -> str | None:
    """Parse a command line as the command itself does, without running it."""
    if arguments == ["--version"]:
        return None
    command: Any = code().command
    subcommand = command.commands.get(arguments[0])
    if subcommand is None:
        return f"there is no command {arguments[0]!r}"
    try:
        subcommand.make_context(arguments[0], list(arguments[1:]), resilient_parsing=False)
    except click.ClickException as error:
        return error.format_message()
    return None


def code() -> Any:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        return importlib.import_module("vitalprep_code")
    finally:
        sys.path.pop(0)


def test_the_rest_interface_is_airflows_and_the_dags() -> None:
    page = (ROOT / "docs" / "how-to" / "retry-a-shard.md").read_text("utf-8")
    path = re.search(r"(/api/v2/dags/\S+)", page)
    assert path is not None
    assert f"POST {path[1]}" in DAG  # the DAG's own documentation, which tests/airflow runs
    assert set(re.findall(r'"(\w+)": ', page)) == set(re.findall(r'^    .*?"(dag_run_id)"', DAG, re.M)) | {
        "task_ids", "include_downstream", "only_failed", "dry_run",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["<!-- snippet: skip -->", "<!-- snippet: exits -->", "<!-- snippet: not run -->"])
def test_a_marker_that_says_nothing_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text(f"{text}\n```sh\ntrue\n```\n")
    monkeypatch.setattr("tests.docs.snippets.ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"page\.md"):
        snippets_of("page.md")


def test_an_undecided_language_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text("```ruby\nputs 1\n```\n")
    monkeypatch.setattr("tests.docs.snippets.ROOT", tmp_path)
    with pytest.raises(ValueError, match="nobody decided"):
        snippets_of("page.md")
