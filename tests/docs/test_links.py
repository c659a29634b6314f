"""Every link between the pages, and from them to files of the repository, leads somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.docs.snippets import ROOT, markdown_pages

LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"|^```\{image\} (\S+)", re.MULTILINE)
CODE = re.compile(r"^( *)(`{3,})(?!\{image).*?^\1\2$", re.MULTILINE | re.DOTALL)
FILES = (
    "SECURITY.md",
    "CHANGELOG.md",
    "terraform/README.md",
    "docker/README.md",
    "examples/README.md",
    "benchmarks/README.md",
)
MOST_README_LINES, MOST_README_WORDS = 200, 1300


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} +(.+)$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [*markdown_pages(), *(ROOT / name for name in FILES)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    for found in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        link = next(filter(None, found))
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        assert target.exists(), f"{page.relative_to(ROOT)} links to {link}, which is not there"
        assert target.is_relative_to(ROOT), f"{page.relative_to(ROOT)} links out of the repository: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{page.relative_to(ROOT)} links to {link}: no such heading"


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {"index"}
    for page in (ROOT / "docs").rglob("*.md"):
        for toc in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            entries = [line for line in toc.splitlines() if line and not line.startswith(":")]
            listed |= {str((page.parent / entry).relative_to(ROOT / "docs")) for entry in entries}
    pages = {
        str(p.relative_to(ROOT / "docs").with_suffix("")) for p in markdown_pages() if p.is_relative_to(ROOT / "docs")
    }
    assert pages == listed


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= MOST_README_LINES
    assert len(CODE.sub("", text).split()) <= MOST_README_WORDS


def test_pages_name_no_place_outside_of_the_repository() -> None:
    for page in markdown_pages():
        assert not re.search(r"\.\./shared|\.\./data/", page.read_text("utf-8")), page


NAMED = re.compile(r"`((?:preprocessing|plugins|dags|tests|docs|terraform|docker|examples|benchmarks)/[\w./-]+)`")
MADE_LATER = ("docs/_build/",)


def test_paths_that_pages_name_are_there() -> None:
    for page in markdown_pages():
        for path in NAMED.findall(CODE.sub("", page.read_text("utf-8"))):
            there = (ROOT / path).exists() or path.startswith(MADE_LATER)
            assert there, f"{page.relative_to(ROOT)} names {path}, which is not there"
