"""The provenance of recordings: the licence, agreement and citation that a derived data set must carry.

``provenance.yaml`` lists the known sources.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, ClassVar, Literal

import yaml
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, StringConstraints

from vitalprep.contract.document import Document, Schema

__all__ = [
    "ASSUMED",
    "NOTE_NAME",
    "SIMULATION_NAME",
    "Acceptance",
    "Agreement",
    "Download",
    "KnownProvenance",
    "Provenance",
    "ProvenanceNote",
    "SettledProvenance",
    "SimulationNote",
    "known_provenance",
]

NOTE_NAME = "source.json"  # next to recordings, written by `vitalprep fetch` or by hand
SIMULATION_NAME = "simulation.json"  # next to recordings created by `vitalprep simulate`

KnownProvenance = Literal["vitaldb", "simulated"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Few = Annotated[tuple[Text, ...], Field(max_length=100)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9._~:/?#!$&()*+,;=%\[\]-]+$", max_length=2000)]


class Agreement(Schema):
    """A data use agreement that binds users of the recordings. `obligations` quotes the user's obligations verbatim."""

    name: Text
    url: Url
    obligations: Few = ()


class Download(Schema):
    """Download addresses of a source: paths below `base_url`. `recording` contains ``{case}``."""

    base_url: Url
    recording: Text
    clinical_table: Text


class Provenance(Schema):
    """A source of recordings.

    Attributes
    ----------
    patients : str
        ``real`` or ``simulated``.
    licence : str or None
        SPDX identifier or another name of the licence; None if there is none.
    attribution : str
        Required attribution, including the changes made.
    limitations : tuple of str
        Gaps and biases of the recordings.
    """

    name: Text
    patients: Literal["real", "simulated"] = "real"
    description: Text | None = None
    url: Url | None = None
    licence: Text | None
    licence_name: Text | None = None
    licence_url: Url | None = None
    agreement: Agreement | None = None
    attribution: Text | None = None
    citation: Text | None = None
    download: Download | None = Field(default=None, exclude=True)  # not part of the provenance documents
    limitations: Few = ()

    @property
    def licence_line(self) -> str:
        """The licence in one line."""
        if self.licence is None:
            return "none"
        named = f"{self.licence_name} ({self.licence})" if self.licence_name else self.licence
        return f"{named}, {self.licence_url}" if self.licence_url else named

    def terms(self) -> str:
        """Return licence and agreement as a text, to read before using the recordings."""
        lines = [f"Licence of {self.name}: {self.licence_line}."]
        if self.agreement:
            lines.append(f"{self.agreement.name}: {self.agreement.url}. It says of the user:")
            lines += [f"  {number}) {text}" for number, text in enumerate(self.agreement.obligations, start=1)]
        return "\n".join(lines)


class SettledProvenance(Schema):
    """A source, and where it is stated: in the `configuration`, in a `note` next to the recordings, or `assumed`."""

    basis: Literal["configuration", "note", "assumed"]
    source: Provenance


class Acceptance(Schema):
    """A record that the terms of a source were accepted: time (UTC), base URL, and SHA-256 of the displayed text."""

    at: Text
    base_url: Text
    licence: Text
    agreement: Text
    terms_sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ProvenanceNote(Document):
    """``source.json``, the provenance note next to recordings. It names no person."""

    current_version: ClassVar[int] = 1
    source: Provenance
    accepted: tuple[Acceptance, ...] = Field(default=(), max_length=1000)


class SimulationNote(Document):
    """The fields of ``simulation.json`` that identify recordings of `vitalprep simulate`."""

    current_version: ClassVar[int] = 2
    model_config = ConfigDict(extra="ignore")

    seed: int
    cases: PositiveInt
    hours: PositiveFloat
    waves: bool


@cache
def known_provenance(name: KnownProvenance) -> Provenance:
    """Return a source of ``provenance.yaml``."""
    content = yaml.safe_load(files("vitalprep.contract").joinpath("provenance.yaml").read_bytes())
    return Provenance.model_validate(content[name])


ASSUMED: KnownProvenance = "vitaldb"
"""Default provenance, because the registry's tracks are VitalDB's."""
