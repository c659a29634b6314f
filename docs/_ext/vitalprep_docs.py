"""Sphinx directives that generate reference pages from the code.

``vitalprep-config``
    One section for each model of the configuration: key, type, default, constraints, meaning.
``vitalprep-codes KIND``
    A table of the ``reasons`` or ``warnings`` that the code knows. The body is YAML: a sentence for each code. The
    build fails if the code knows one that the page does not explain, or the other way round.
``vitalprep-api``
    The functions and classes of ``vitalprep.__all__``, from their docstrings.

The pages of ``docs/project/`` show files of the repository (``SECURITY.md``, ...). Links between pages and files are
written as they work in the repository; the site turns them to its own pages, or to a copy of the file.
"""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vitalprep_code as code
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SECTION = re.compile(r"^([a-z_]+):")
COMMENTED_KEY = re.compile(r"^  ([a-z_]+): +([^#]*?) *# (.*)$")
# The registry explains the keys of a list's entries once, in its comments; what they say is repeated here.
ENTRY_KEYS = {
    "Config.schema_version": "Version of this format.",
    "Config.units": "Accepted spellings of each unit in recordings, compared stripped and without regard to case.",
    "Config.ideal_body_weight": "Constants of Devine's formula, for tidal volumes.",
    "Config.inputs": "The columns of `timeseries`, in order.",
    "Config.statics": "The columns of `static`, in order.",
    "Config.targets": "The columns of `target`, in order.",
    "Config.reading": "Limits of the reader.",
    "Config.imputation": "How gaps are filled.",
    "Config.windowing": "How windows are cut.",
    "Config.split": "Shares of the splits, by subject.",
    "Config.output": "Form of the TFRecord files.",
    "Config.validation": "What a data set must reach to be published.",
    "Config.privacy": "How subjects are named in records.",
    "Config.ignored_cells": "Texts in the columns of `where` that no source maps, and that are accepted.",
    "Config.source": "Licence and attribution: `vitaldb`, `simulated`, or your own entry. Affects documentation only.",
    "Input.name": "Column name. `--set` and overlays address the entry by it.",
    "Input.description": "Words for the card and the report.",
    "Input.unit": "Clinical unit of the harmonized value.",
    "Input.range": "Normalization range, in `unit`. Values outside are clipped.",
    "Input.default": "Value where nothing can be carried forward, in `unit`.",
    "Input.hold": "Seconds for which the last value stands after the last observation.",
    "Input.vital": "Counts for `windowing.min_observed_fraction`.",
    "Input.combine": "`first`: the first live source wins. `sum`: live sources are added.",
    "Input.sources": "Tracks that can supply the input, in order of preference.",
    "Source.track": "`Device/NAME`, as the recording names the track.",
    "Source.unit": "A key of `units`.",
    "Source.conversion": "Needed where `unit` is not the input's unit.",
    "Source.limits": "What the device can show, in the track's unit. Records outside are dropped and counted.",
    "Source.stale_after": "Seconds for which a record counts as a current value.",
    "Source.where": "Cases in which the source is used. Left out, in all of them.",
    "Condition.column": "Column of the clinical table.",
    "Condition.value": "Text of the cell, without regard to case and to blanks around it.",
    "Conversion.factor": "value x factor",
    "Conversion.per_kg_h": "mL/h x concentration / weight",
    "Conversion.per_kg_min": "mL/h x concentration / 60 / weight",
    "Conversion.per_kg_ibw": "value / ideal body weight",
    "Dose.concentration": "In the syringe, per mL.",
    "Static.name": "Name of the static, and of its column unless `column` says otherwise.",
    "Static.column": "Column of the clinical table.",
    "Static.unit": "Unit of the column.",
    "Static.range": "Normalization range, in `unit`.",
    "Static.default": "Value where the cell is empty, in `unit`.",
    "Static.limits": "Values outside are dropped: the default stands, with origin 2.",
    "Target.name": "Column name in `target`.",
    "Target.input": "Input whose value is predicted.",
}


class ConfigReference(SphinxDirective):
    """All keys of the configuration."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return a section for each model."""
        lines: list[str] = []
        for model, prefix in models_of(code.Config):
            lines += section_of(model, prefix)
        return parsed(self, lines)


class Codes(SphinxDirective):
    """A table of codes with their meanings."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table, or fail where page and code differ."""
        known = {"reasons": code.reason_codes, "warnings": code.warning_codes}[self.arguments[0]]
        said: dict[str, str] = yaml.safe_load("\n".join(self.content))
        if missing := [name for name in known if name not in said]:
            raise self.error(f"not explained: {', '.join(missing)}")
        if stale := [name for name in said if name not in known]:
            raise self.error(f"explained, but the code does not know it: {', '.join(stale)}")
        lines = ["| code | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {said[name]} |" for name in known]
        return parsed(self, lines)


class Api(SphinxDirective):
    """The public names, functions before classes."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the documentation of each name."""
        lines = ["```{eval-rst}"]
        names = sorted(code.package.__all__, key=lambda name: (name[0].isupper(), name))
        for name in (name for name in names if name != "__version__"):
            kind = "autoclass" if isinstance(getattr(code.package, name), type) else "autofunction"
            lines += [f".. {kind}:: vitalprep.{name}"]
            lines += ["   :members:"] if name == "Description" else []
            lines += [""]
        return parsed(self, [*lines, "```"])


def parsed(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    """Return the nodes of Markdown lines."""
    node = nodes.container()
    directive.state.nested_parse(StringList(lines, source="generated"), directive.content_offset, node)
    return list(node.children)


def models_of(root: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield every model of the configuration once, in the order of its keys, with the key that it stands under."""
    waiting: list[tuple[type[BaseModel], str]] = [(root, "")]
    seen: set[type[BaseModel]] = set()
    while waiting:
        model, prefix = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield model, prefix
        below = []
        for name, field in model.model_fields.items():
            for part in models_in(field.annotation):
                below.append((part, f"{prefix}{name}."))
        waiting = below + waiting


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def section_of(model: type[BaseModel], prefix: str) -> list[str]:
    """Return the Markdown of one model: its docstring and the table of its keys."""
    title = f"`{prefix.removesuffix('.')}`" if prefix else "Top level"
    lines = [f"### {title}", "", *plain_docstring(model), "", "| key | type | default | constraint | meaning |"]
    lines += ["|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = default_of(prefix, name, field)
        cells = (f"`{name}`", type_of(field.annotation), default, constraint_of(field), meaning_of(model, prefix, name))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def plain_docstring(model: type[BaseModel]) -> list[str]:
    """Return the first paragraph of a docstring as Markdown."""
    text = (model.__doc__ or "").strip().split("\n\n")[0]
    return [" ".join(text.replace("``", "`").split())]


def type_of(annotation: Any) -> str:
    """Return a type in words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "none"
    if origin is typing.Annotated:
        return type_of(parts[0])
    if origin is typing.Literal:
        return " or ".join(f"`{str(part).lower() if isinstance(part, bool) else part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_of(part) for part in parts if part is not type(None)))
    if origin is tuple:
        kind = type_of(parts[0])
        return f"list of {kind}" if parts[-1] is Ellipsis else f"[{', '.join(type_of(part) for part in parts)}]"
    if origin is dict:
        return f"mapping of {type_of(parts[0])} to {type_of(parts[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__
    return {int: "integer", float: "number", str: "text", bool: "true or false"}.get(annotation, str(annotation))


def default_of(prefix: str, name: str, field: FieldInfo) -> str:
    """Return what master_poc.yaml says of a key, or the model's own default."""
    node: Any = yaml.safe_load(code.REGISTRY)
    for part in [*prefix.split("."), name]:
        if part and isinstance(node, dict) and part in node:
            node = node[part]
        elif part:
            break
    else:
        if not isinstance(node, (dict, list)):
            return f"`{str(node).lower() if isinstance(node, bool) else node}`"
        return "below" if isinstance(node, dict) and prefix == "" and name != "units" else "see the registry"
    if field.is_required():
        return "required"
    said = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return "none" if said is None else f"`{said}`" if said != "" else "empty"


def constraint_of(field: FieldInfo) -> str:
    """Return the limits of a value."""
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "entries, at least"}
    said = [f"{word} {getattr(item, sign)}" for item in metadata_of(field) for sign, word in signs.items()
            if getattr(item, sign, None) is not None]  # fmt: skip
    said += [f"`{item.pattern}`" for item in metadata_of(field) if getattr(item, "pattern", None)]
    if any("_ascending" in repr(item) for item in metadata_of(field)):
        said.append("first below second")
    return ", ".join(said)


def metadata_of(field: FieldInfo) -> list[Any]:
    """Return the metadata of a field, also what stands within an optional type."""
    found = list(field.metadata)
    for part in (field.annotation, *typing.get_args(field.annotation)):
        if typing.get_origin(part) is typing.Annotated:
            found += typing.get_args(part)[1:]
    return found


def meaning_of(model: type[BaseModel], prefix: str, name: str) -> str:
    """Return what is said of a key: its own description, the comment in master_poc.yaml, or what stands above."""
    field = model.model_fields[name]
    if field.description:
        return field.description
    return registry_comments().get(f"{prefix}{name}") or ENTRY_KEYS.get(f"{model.__name__}.{name}", "")


def registry_comments() -> dict[str, str]:
    """Return the comments behind the values of master_poc.yaml, by dotted key."""
    found, section = {}, ""
    for line in code.REGISTRY.splitlines():
        if match := SECTION.match(line):
            section = match[1]
        elif match := COMMENTED_KEY.match(line):
            found[f"{section}.{match[1]}"] = match[3]
    return found


ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"^<!-- shows: (\S+) -->$", re.MULTILINE)
LINK = re.compile(r"(\]\()([^)\s:#]+)(#[^)\s]*)?\)")


def repository_pages() -> dict[str, str]:
    """Return the file of the repository that each page of ``docs/project/`` shows, by the page's path."""
    pages = {}
    for page in sorted(ROOT.glob("docs/project/*.md")):
        if match := SHOWN.search(page.read_text("utf-8")):
            pages[str(page.relative_to(ROOT))] = match[1]
    return pages


def read_source(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the file in place of a page that shows it, and turn links that lead out of the documentation."""
    pages = repository_pages()
    page = f"docs/{name}.md"
    file = pages.get(page, page)
    text = (ROOT / file).read_text("utf-8") if page in pages else source[0]
    page_of = {shown: path for path, shown in pages.items()}

    here, folder = str(Path(page).parent), Path(file).parent

    def turned(match: re.Match[str]) -> str:
        target = os.path.normpath(folder / match[2])
        anchor = match[3] or ""
        if target not in page_of and f"{target}/README.md" in page_of:
            target = f"{target}/README.md"
        if target in page_of:
            return f"{match[1]}{os.path.relpath(page_of[target], here)}{anchor})"
        scheme = "" if target.startswith("docs/") else "path:"  # a file of the repository is copied beside the page
        return f"{match[1]}{scheme}{os.path.relpath(target, here)}{anchor})"

    source[0] = LINK.sub(turned, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("vitalprep-config", ConfigReference)
    app.add_directive("vitalprep-codes", Codes)
    app.add_directive("vitalprep-api", Api)
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
