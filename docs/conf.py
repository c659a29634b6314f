"""Sphinx: the documentation as a site. `make docs` builds it into `docs/_build/html`, without network."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent / "preprocessing")]

import vitalprep_code  # noqa: E402  (docs/_ext/vitalprep_code.py)

project = "vitalprep"
author = "vitalprep developers"
copyright = "vitalprep developers"  # noqa: A001  the name that Sphinx reads
release = vitalprep_code.version
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_click", "vitalprep_docs"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
suppress_warnings = ["ref.option"]  # sphinx-click refers to hidden options, too
autosummary_generate = False  # numpydoc loads it; nothing here uses it

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# Docstrings are numpydoc. Their types are prose ("ndarray of float32, shape (n,)"), so they are not links.
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autoclass_content = "class"

# Other projects' names. Links to their documentation would need the network at build time.
nitpick_ignore_regex = [("py:.*", r"(numpy|np|tf|tensorflow|pydantic|os|collections|typing)\..*")]

html_theme = "furo"
html_title = f"vitalprep {release}"
html_static_path = ["_static"]
html_css_files = ["vitalprep.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7fb8dd", "color-brand-content": "#7fb8dd"},
}
