"""The plan: the cases, the split of each subject, and the shard of each case."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.config import BODY, Config
from vitalprep.contract.document import Document, PerCase, Schema, canonical_json, digest_of_json
from vitalprep.contract.left_out import LeftOut
from vitalprep.contract.name import Name, settled_name
from vitalprep.contract.paths import (
    SPLITS,
    Digest,
    SplitName,
    harmonized_stem,
    output_of_plan,
    plan_digest_of,
    plan_path,
    shard_path,
)
from vitalprep.contract.provenance import ASSUMED, SettledProvenance, known_provenance
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import ObjectMissing, Storage, StoredObject

__all__ = [
    "Append", "ClinicalTable", "EarlierCase", "ExcludedCase", "FileStamp", "Part", "Person", "Plan", "PlannedCase",
    "Stamp",
    "load_plan", "load_shard", "read_plan", "settled_body", "stamp_of", "store_plan",
]  # fmt: skip

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
WRITERS = 16  # concurrent writes of the small shard documents


def _below(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"the path {path!r} leads outside the input")
    return path


class Person(Schema):
    """What the clinical table says of a patient beside the statics.

    Age in years, sex (-1 female, 1 male), height in cm and weight in kg; None where it is a static or not known.
    """

    age: float | None = Field(default=None, exclude_if=lambda value: value is None)
    sex: float | None = Field(default=None, exclude_if=lambda value: value is None)
    height: float | None = Field(default=None, exclude_if=lambda value: value is None)
    weight: float | None = Field(default=None, exclude_if=lambda value: value is None)


class FileStamp(Schema):
    """Size in bytes and etag of a file."""

    size: int
    etag: str


class Stamp(FileStamp):
    """Size and etag of a recording: of its file, and in `parts` of its further files, in order."""

    parts: tuple[FileStamp, ...] = Field(default=(), exclude_if=lambda parts: not parts)


class Part(FileStamp):
    """A file of a recording; `object` is its path below the plan's input."""

    object: Annotated[str, AfterValidator(_below)]


class PlannedCase(PerCase):
    """One case with a recording and a clinical row.

    `object` is the recording's path below the plan's input, with its `size` and `etag`. `parts` are the further files
    of a recording that lies in several, in their order. `body` is None if age, sex, height and weight are all statics.
    `outside_limits` names the statics whose value was dropped by their limits. `known_as` is the stamp under which the
    same bytes were harmonized before, None where that is the objects' own. `mapped_cells` are the cells of the clinical
    table, by column, that say which sources apply.
    """

    case_id: int
    subject_id: int
    object: Annotated[str, AfterValidator(_below)]
    size: int
    etag: str
    input_id: Digest
    split: SplitName
    static: tuple[float, ...]
    static_origin: tuple[int, ...]
    body: Person | None = Field(default=None, exclude_if=lambda value: value is None)
    outside_limits: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    known_as: Stamp | None = Field(default=None, exclude_if=lambda value: value is None)
    parts: tuple[Part, ...] = Field(default=(), exclude_if=lambda parts: not parts)
    mapped_cells: dict[str, str] | None = Field(default=None, exclude_if=lambda cells: not cells)

    @property
    def files(self) -> tuple[Part, ...]:
        """The recording's files, in order."""
        return (Part(object=self.object, size=self.size, etag=self.etag), *self.parts)

    @property
    def total_size(self) -> int:
        """Size of the recording's files together."""
        return self.size + sum(part.size for part in self.parts)

    @property
    def cells(self) -> Mapping[str, str]:
        """The mapped cells by column; none for most cases."""
        return self.mapped_cells or {}

    @property
    def stamp(self) -> Stamp:
        """The stamp that the case's input id and its receipt hold."""
        return self.known_as or stamp_of(self.files)

    def settled_body(self, config: Config) -> dict[str, float]:
        """Return sex, height (cm) and weight (kg) as doses and tidal volumes take them."""
        return settled_body(self.static, self.body, config)


def stamp_of(files: Sequence[FileStamp | StoredObject]) -> Stamp:
    """Return the stamp of a recording that lies in some files."""
    first, *further = (FileStamp(size=file.size, etag=file.etag) for file in files)
    return Stamp(size=first.size, etag=first.etag, parts=tuple(further))


def settled_body(static: tuple[float, ...], body: Person | None, config: Config) -> dict[str, float]:
    """Return sex, height (cm) and weight (kg): of the statics, else of the table, else the configured default."""
    known = dict(zip([item.name for item in config.statics], static, strict=True))
    known |= body.content() if body else {}
    return {name: known[name] if name in known else config.body_default(name) for name in BODY}


class ExcludedCase(Schema):
    """One requested case that cannot be planned."""

    case_id: int
    reason: Literal["raw_object_missing", "no_clinical_row"]


class EarlierCase(NamedTuple):
    """A case of a data set that is continued: its subject there, and the split that its records are in."""

    case_id: int
    subject_id: int
    split: SplitName


class Append(Schema):
    """The data sets that an appended data set continues.

    `parents` are their ids, oldest first. `train`, `validation` and `test` are all their subjects, by the split that
    each keeps. `cases` are all their cases; plans before version 7 have none.
    """

    parents: tuple[Digest, ...] = Field(min_length=1)
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    cases: tuple[EarlierCase, ...] = Field(default=(), exclude_if=lambda cases: not cases)

    @cached_property
    def split_of_subject(self) -> dict[int, SplitName]:
        """The split of every earlier subject."""
        return {subject: split for split in SPLITS for subject in getattr(self, split)}


class ClinicalTable(Schema):
    """A clinical table in a location of its own, as given by ``--clinical``. Its URI contains no credentials."""

    uri: str
    sha256: Sha256


class Plan(Document):
    """An immutable plan. It contains no output location, so that an output can be moved.

    `clinical` is None if the clinical table is next to the recordings. `name` is for people: the dataset id does not
    depend on it. `shard_sha256` has the SHA-256 of each shard's document; plans before version 7 have none. `left_out`
    are the recordings of the input that no case uses.
    """

    # 2: `append`, 3: `source`, 4: `clinical`, 5: statics of any column, 6: `name`
    # 7: `shard_sha256`, `known_as` of a case, `cases` of `append`
    # 8: `parts` and `mapped_cells` of a case, `left_out`
    current_version: ClassVar[int] = 8
    schema_version: int = 8
    dataset_id: Digest
    harmonize_digest: Digest
    input: str
    config: Config
    salt_check: str | None = None
    append: Append | None = None
    source: SettledProvenance | None = Field(default=None, exclude_if=lambda value: value is None)
    clinical: ClinicalTable | None = Field(default=None, exclude_if=lambda value: value is None)
    name: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    cases: tuple[PlannedCase, ...]
    excluded: tuple[ExcludedCase, ...]
    left_out: tuple[LeftOut, ...] = Field(default=(), exclude_if=lambda value: not value)
    shards: tuple[tuple[int, ...], ...]
    shard_sha256: tuple[Sha256, ...] = Field(default=(), exclude_if=lambda digests: not digests)

    @model_validator(mode="after")
    def _shards_hold_its_cases(self) -> Self:
        unknown = {case for shard in self.shards for case in shard} - self.by_id.keys()
        if unknown:
            raise ValueError(f"a shard holds case {min(unknown)}, which is not in the plan")
        return self

    @cached_property
    def by_id(self) -> dict[int, PlannedCase]:
        """The planned cases by number."""
        return {case.case_id: case for case in self.cases}

    @cached_property
    def outside_limits(self) -> dict[str, tuple[int, ...]]:
        """The cases whose value of a static was dropped by its limits, by static, in the order of the record."""
        found = {
            item.name: tuple(case.case_id for case in self.cases if item.name in case.outside_limits)
            for item in self.config.statics
        }
        return {name: cases for name, cases in found.items() if cases}

    @property
    def requested(self) -> set[int]:
        """All requested cases, including those without a recording."""
        return set(self.by_id) | {case.case_id for case in self.excluded}

    @cached_property
    def split_of_subject(self) -> dict[int, SplitName]:
        """The split of every subject of this data set and its parents."""
        earlier = self.append.split_of_subject if self.append else {}
        return earlier | {case.subject_id: case.split for case in self.cases}

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of the data sets that this one continues, oldest first."""
        return self.append.parents if self.append else ()

    @property
    def parent(self) -> str | None:
        """The id of the data set that this one was appended to."""
        return self.parents[-1] if self.parents else None

    @property
    def settled_provenance(self) -> SettledProvenance:
        """Where the recordings come from, and how that is known."""
        return self.source or SettledProvenance(basis="assumed", source=known_provenance(ASSUMED))

    @cached_property
    def digest(self) -> str:
        """The plan's digest, which is part of its path."""
        return digest_of_json(self._json)

    @cached_property
    def _content(self) -> dict[str, Any]:
        return self.content()

    @cached_property
    def _json(self) -> bytes:
        return canonical_json(self._content)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are stored."""
        return self._json + b"\n"

    def forget_json(self) -> None:
        """Free the plan's JSON, which takes as much memory as its cases. It is made anew when it is asked for."""
        for cached in ("_content", "_json"):
            self.__dict__.pop(cached, None)

    @property
    def path(self) -> str:
        """The plan's path below the output."""
        return plan_path(self.dataset_id, self.digest)

    def shard_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of each shard's document: the plan restricted to that shard's cases.

        Only the plan itself contains the provenance of the recordings, the name, what was left out and the digests of
        these documents.
        """
        apart = ("source", "name", "left_out", "shard_sha256")
        content = {key: value for key, value in self._content.items() if key not in apart}
        content["config"] = {key: value for key, value in content["config"].items() if key != "source"}
        cases = {case["case_id"]: case for case in content["cases"]}
        for index, shard in enumerate(self.shards):
            part = {"cases": [cases[case] for case in shard], "excluded": [], "append": None}
            shards = [shard if other == index else () for other in range(len(self.shards))]
            yield shard_path(self.path, index), canonical_json(content | part | {"shards": shards}) + b"\n"

    def sealed(self) -> Plan:
        """Return the same plan with the digests of its shards' documents."""
        return self._with(shard_sha256=tuple(hashlib.sha256(data).hexdigest() for _, data in self.shard_documents()))

    def described_as(self, *, name: str | None = None, source: SettledProvenance | None = None) -> Plan:
        """Return the same plan under a name and with a provenance; None keeps what it has.

        Its digest changes, its dataset id and its shards' documents do not.
        """
        return self._with(name=settled_name(name) if name else self.name, source=source or self.source)

    def _with(self, **fields: Any) -> Plan:
        plan = self.model_copy(update=fields)
        for cached in ("digest", "_content", "_json"):
            plan.__dict__.pop(cached, None)
        return plan

    def stem(self, case_id: int) -> str:
        """Path of a case's harmonized table and receipt, without suffix."""
        return harmonized_stem(self.harmonize_digest, case_id, self.by_id[case_id].input_id)

    def cases_of(self, split: str) -> list[PlannedCase]:
        """The planned cases of one split, by number."""
        return [case for case in self.cases if case.split == split]

    def shards_of(self, cases: Iterable[int]) -> list[int]:
        """The shards that contain any of some cases."""
        wanted = set(cases)
        return [index for index, shard in enumerate(self.shards) if wanted & set(shard)]

    def shard_label(self, index: int) -> str:
        """Human-readable description of a shard: its cases and size."""
        cases = self.shards[index]
        size = sum(self.by_id[case].total_size for case in cases)
        return f"cases {_shortened(short_case_list(cases))} ({len(cases)} cases, {size / 1e6:.1f} MB)"


def store_plan(plan: Plan, output: Storage) -> str:
    """Write the shard documents and then the plan, at the paths given by its digest, and return the plan's URI.

    A document that is there already and has other bytes is damaged, and is written anew.
    """
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda shard: _store(output, *shard), plan.shard_documents()):
            pass
    _store(output, plan.path, plan.to_bytes())
    plan.forget_json()
    return output.uri_of(plan.path)


def _store(output: Storage, path: str, data: bytes) -> None:
    if not output.create(path, data) and output.get(path) != data:
        log(f"{output.uri_of(path)} was damaged; it is written anew", level=logging.WARNING)
        output.put(path, data)


def load_plan(plan_uri: str) -> tuple[Plan, Storage]:
    """Read a plan, and open its output."""
    output_uri, path = output_of_plan(plan_uri)
    output = Storage(output_uri)
    return read_plan(output, path), output


def read_plan(output: Storage, path: str) -> Plan:
    """Read the plan at a path, and hold it against the digest in its name.

    Raises
    ------
    RefusedError
        If it is missing, or not the plan that was written there.
    """
    return Plan.from_bytes(_plan_bytes(output, path), uri=output.uri_of(path))


def _plan_bytes(output: Storage, path: str) -> bytes:
    data = output.get(path)
    if plan_digest_of(path) != digest_of_json(data.removesuffix(b"\n")):
        raise RefusedError(
            f"{output.uri_of(path)} is damaged: it is not the plan whose digest its name has.",
            fix="plan again, which writes it anew.",
        )
    return data


def load_shard(plan_uri: str, index: int) -> tuple[Plan, Storage]:
    """Read one shard's part of a plan, held against the SHA-256 that the plan has of it, and open the output.

    The cost hardly depends on the size of the plan: only its digest and that list are looked at.

    Raises
    ------
    UsageError
        If the plan has no such shard.
    RefusedError
        If the plan or the shard's document is missing or damaged, or the plan has no digests of its shards.
    """
    output_uri, path = output_of_plan(plan_uri)
    output = Storage(output_uri)
    content = json.loads(_plan_bytes(output, path))
    shards, digests = content.get("shards", ()), content.get("shard_sha256", ())
    if len(digests) != len(shards) or content.get("schema_version", 0) > Plan.current_version:
        read_plan(output, path)  # says so where the plan is of a later version
        raise RefusedError(
            f"{plan_uri} does not have the digests of its shards: vitalprep 0.1.0 made it.",
            fix="plan again.",
        )
    if not 0 <= index < len(shards):
        raise UsageError(f"The plan has no shard {index}; it has shards 0-{len(shards) - 1}.", fix="use one of these.")
    part = shard_path(path, index)
    try:
        data = output.get(part)
    except ObjectMissing as error:
        raise RefusedError(f"{output.uri_of(part)} does not exist.", fix="plan again, which writes it.") from error
    if hashlib.sha256(data).hexdigest() != digests[index]:
        raise RefusedError(
            f"{output.uri_of(part)} is damaged: it is not the document whose SHA-256 the plan has.",
            fix="plan again, which writes it anew.",
        )
    return Plan.from_bytes(data, uri=output.uri_of(part)), output


def _shortened(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
