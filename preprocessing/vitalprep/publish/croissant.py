"""``croissant.json``: the files of a data set for machines, as Croissant 1.1 describes them.

http://mlcommons.org/croissant/1.1. No record sets: Croissant reads CSV, JSON, Parquet and text, not TFRecord. No
``datePublished``: the same data set has the same bytes whenever it is made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.paths import SplitName, tfrecord_name
from vitalprep.contract.provenance import Provenance
from vitalprep.publish.card.card import title_of
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.markdown import one_line
from vitalprep.publish.tfds_files import TFDS_VERSION

__all__ = ["croissant_json"]

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
TFRECORD_TYPE = "application/x-tfrecord"
_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "html": "text/html",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*", re.ASCII)  # as SPDX has them
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
# The context that the specification asks for, so that readers that do not resolve JSON-LD find the usual names.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


def croissant_json(data: Described, description: str, files: Mapping[str, bytes]) -> bytes:
    """Return the description of a data set's files.

    Parameters
    ----------
    description : str
        The data set in a sentence.
    files : mapping
        Content of the files beside the records, by name.
    """
    source = data.source
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": title_of(data),
        "conformsTo": CONFORMS_TO,
        "description": one_line(description),
        "identifier": data.plan.dataset_id,
        "version": f"{TFDS_VERSION}+{data.plan.dataset_id}",
        "isLiveDataset": False,
        "keywords": ["anesthesia", "surgery", "vital signs", "TFRecord", f"{source.patients} patients"],
        "license": _licence(source),
        "distribution": [
            *(_described(name, content) for name, content in sorted(files.items())),
            *(part for split, summary in data.summaries.items() for part in _split(data, split, summary)),
        ],
    }
    if source.url:
        content["url"] = source.url
        content["isBasedOn"] = source.url
    if source.citation:
        content["citeAs"] = one_line(source.citation)
    if source.attribution:
        content["creditText"] = one_line(source.attribution)
    if source.agreement:
        content["usageInfo"] = source.agreement.url
    if data.plan.parents:
        content["rai:dataCollection"] = f"Continues the data sets {', '.join(data.plan.parents)}."
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _licence(source: Provenance) -> str | dict[str, str]:
    """Return the licence's address or SPDX identifier, or the name of a licence that has neither."""
    named = source.licence or "none"
    if source.licence_url or _IDENTIFIER.fullmatch(named):
        return source.licence_url or named
    return {"@type": "sc:CreativeWork", "name": one_line(named)}


def _described(name: str, content: bytes) -> dict[str, Any]:
    kind = _TYPES[name.rpartition(".")[2]]
    return _file(name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), kind=kind)


def _split(data: Described, split: SplitName, summary: BuildSummary) -> list[dict[str, Any]]:
    """Return the entries of a split's files and of the file set that holds them."""
    kind = "application/gzip" if data.config.output.compression == "gzip" else TFRECORD_TYPE
    files = [_file(file.name, size=file.bytes, sha256=file.sha256, kind=kind) for file in summary.files]
    if not files:
        return []
    first = tfrecord_name(split, 0, len(files), layout=data.config.output.layout)
    together = {
        "@id": split,
        "@type": "cr:FileSet",
        "name": split,
        "description": f"The {split} split: {summary.windows} windows.",
        "encodingFormat": kind,
        "includes": first.replace("-00000-of-", "-*-of-"),
    }
    return [*files, together]


def _file(name: str, *, size: int, sha256: str, kind: str) -> dict[str, Any]:
    return {
        "@id": name,
        "@type": "cr:FileObject",
        "name": name,
        "contentSize": f"{size} B",
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": sha256,
    }
