"""A page as a tree, read by the standard library's parser: what a browser would make of its elements and texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "input", "link", "img", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str, **attributes: str) -> Iterator[Element]:
        """Yield the elements below with a tag and attributes (``data_input`` for ``data-input``)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for child in self.children:
            if isinstance(child, str):
                continue
            if child.tag == tag and all(child.attributes.get(name) == value for name, value in wanted.items()):
                yield child
            yield from child.all(tag, **attributes)

    def one(self, tag: str, **attributes: str) -> Element:
        found = list(self.all(tag, **attributes))
        assert len(found) == 1, (tag, attributes, len(found))
        return found[0]

    def rows(self) -> dict[str, list[Element]]:
        """Return the cells of a table's body by the text of each row's head."""
        (body,) = self.all("tbody")
        return {next(row.all("th")).text.strip(): list(row.all("td")) for row in body.all("tr")}

    def values(self) -> list[float | None]:
        """Return the exact numbers that stand behind what is shown."""
        found = [data.attributes["value"] for data in self.all("data")]
        return [float(value) if value else None for value in found]


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attributes))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, text: str) -> None:
        self._open[-1].children.append(text)


def parsed(page: str | bytes | Path) -> Element:
    """Read a page; an element that is closed out of order is an error."""
    data = page.read_bytes() if isinstance(page, Path) else page
    tree = _Tree()
    tree.feed(data.decode() if isinstance(data, bytes) else data)
    tree.close()
    assert tree._open == [tree.root], "an element is not closed"
    return tree.root
