"""Where recordings come from: the licence, agreement and citation that a data set made of them has to carry.

The known sources stand in ``sources.yaml``.
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

NOTE_NAME = "source.json"  # beside recordings, written by `vitalprep fetch` or by hand
SIMULATION_NAME = "simulation.json"  # beside recordings that `vitalprep simulate` made

KnownProvenance = Literal["vitaldb", "simulated"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Few = Annotated[tuple[Text, ...], Field(max_length=100)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9._~:/?#!$&()*+,;=%\[\]-]+$", max_length=2000)]


class Agreement(Schema):
    """A contract that whoever uses the recordings enters into; `obligations` are the user's, word for word."""

    name: Text
    url: Url
    obligations: Few = ()


class Download(Schema):
    """Where a source's files are: paths below `base_url`; `recording` holds ``{case}``."""

    base_url: Url
    recording: Text
    clinical_table: Text


class Provenance(Schema):
    """A source of recordings.

    Attributes
    ----------
    patients : str
        ``real``, or ``simulated``: no person was recorded.
    licence : str or None
        SPDX identifier, or another name of the licence; None where there is none.
    attribution : str
        What has to be said of the source, and of what was changed.
    limitations : tuple of str
        What the recordings do not hold or hold unevenly.
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
    download: Download | None = Field(default=None, exclude=True)  # how to get them says nothing of what they are
    limitations: Few = ()

    @property
    def licence_line(self) -> str:
        """The licence in one line."""
        if self.licence is None:
            return "none"
        named = f"{self.licence_name} ({self.licence})" if self.licence_name else self.licence
        return f"{named}, {self.licence_url}" if self.licence_url else named

    def terms(self) -> str:
        """Return licence and agreement as a text to read before using the recordings."""
        lines = [f"Licence of {self.name}: {self.licence_line}."]
        if self.agreement:
            lines.append(f"{self.agreement.name}: {self.agreement.url}. It says of the user:")
            lines += [f"  {number}) {text}" for number, text in enumerate(self.agreement.obligations, start=1)]
        return "\n".join(lines)


class SettledProvenance(Schema):
    """A source, and how it is known: stated in the `configuration`, by a `note` beside the recordings, or `assumed`."""

    basis: Literal["configuration", "note", "assumed"]
    source: Provenance


class Acceptance(Schema):
    """That the terms of a source were accepted: when (UTC), of which address, and the SHA-256 of the text shown."""

    at: Text
    base_url: Text
    licence: Text
    agreement: Text
    terms_sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ProvenanceNote(Document):
    """``source.json``: what lies beside recordings to tell where they come from. It names no person."""

    current_version: ClassVar[int] = 1
    source: Provenance
    accepted: tuple[Acceptance, ...] = Field(default=(), max_length=1000)


class SimulationNote(Document):
    """``simulation.json`` as far as it tells that `vitalprep simulate` wrote it."""

    current_version: ClassVar[int] = 2
    model_config = ConfigDict(extra="ignore")

    seed: int
    cases: PositiveInt
    hours: PositiveFloat
    waves: bool


@cache
def known_provenance(name: KnownProvenance) -> Provenance:
    """Return a source of ``sources.yaml``."""
    content = yaml.safe_load(files("vitalprep.contract").joinpath("provenance.yaml").read_bytes())
    return Provenance.model_validate(content[name])


ASSUMED: KnownProvenance = "vitaldb"
"""What recordings are taken for where nothing says otherwise: the registry's tracks are VitalDB's."""
