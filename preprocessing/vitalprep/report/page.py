"""Renders pages from Jinja2 templates: all text is escaped, styles and script are inline."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalprep.report import words
from vitalprep.runtime.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["rendered"]

PAGES = Path(__file__).parent / "pages"


def rendered(template: str, **content: Any) -> bytes:
    """Return a page. Equal content gives equal bytes; undefined names are errors.

    The page's content security policy allows its own script only, and no network requests.
    """
    style, script = (PAGES.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    page = _environment().get_template(template)
    return page.render(style=style, script=script, policy=policy, **content).encode()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "clinical": words.clinical,
        "clock": words.clock,
        "count": words.count,
        "duration": lambda seconds: _unbroken(words.duration(seconds)),
        "percent": lambda share: _unbroken(words.percent(share)),
        "printable": printable,
        "signed": words.signed,
        "unit": words.unit,
    }
    return environment


def _unbroken(text: str) -> str:
    """Return a number and its unit with a no-break space between them."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")
