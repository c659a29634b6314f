"""The fetch command: downloads the requested recordings that are missing, several at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vitalprep.contract.case_list import parse_case_list
from vitalprep.contract.provenance import NOTE_NAME, Acceptance, Download, Provenance, ProvenanceNote, known_provenance
from vitalprep.fetch.clinical_table import fetch_clinical_table
from vitalprep.fetch.outcome import Rows, refuse_incomplete, rows_of
from vitalprep.fetch.recording import Fetched, FetchTask, fetch_recording
from vitalprep.fetch.website import checked_base_url
from vitalprep.plan.make_plan import CLINICAL_TABLE
from vitalprep.plan.provenance import noted_provenance, read_note
from vitalprep.plan.recordings import recordings_there
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.storage import Storage, StoredObject

__all__ = ["FetchRequest", "fetch"]

MAX_BYTES = 1 << 30  # decompressed; the default of `reading.max_decompressed_bytes`
FOLDER = "raw-data"
DENIED_IN_A_ROW = 5  # fewer may be missing cases: without list permission, S3 answers 403 for a missing object


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """The user's request.

    Parameters
    ----------
    cases : str
        Case list.
    accepted : bool
        Whether the user accepts licence and data use agreement.
    base_url : str, optional
        Base URL of the service. Default: VitalDB's.
    at_once : int
        Number of concurrent downloads.
    add_to_others : bool
        Allow an output that already holds recordings not marked as VitalDB's. All of them are then marked as VitalDB's.
    """

    cases: str
    accepted: bool
    base_url: str | None = None
    at_once: int = 4
    add_to_others: bool = False


def fetch(request: FetchRequest, output_uri: str, *, stop: StopRequest) -> dict[str, Any]:
    """Download recordings and the clinical table into a folder or bucket, and return a summary.

    Intact recordings that already exist are kept. A failed download or an invalid row of the clinical table does not
    stop the other downloads.

    Raises
    ------
    UsageError
        If the terms are not accepted (the message contains them), or the base URL is wrong.
    RefusedError
        At the end: if the service does not have some cases or denies access, if a download is not a valid recording, or
        if rows of the clinical table are missing or invalid. At the start: if the output holds recordings of another or
        unknown source.
    RetryableError
        At the end, if downloads failed after all retries.
    Stopped
        After a signal. Complete recordings are kept.
    """
    began = time.monotonic()
    source = known_provenance("vitaldb")
    where = source.download
    assert where is not None
    _refuse_unaccepted(source, request.accepted)
    cases = parse_case_list(request.cases)
    base_url = checked_base_url(request.base_url or where.base_url)
    output = Storage(output_uri, create=True)
    there = recordings_there(output)
    _refuse_others(source, output, there, request)
    _record_acceptance(source, base_url, output)
    table, rows = _clinical_table(base_url, where, cases, output)
    tasks = (_task(case, base_url, where, output, there.get(case)) for case in cases)
    missing = len(cases) - sum(case in cases for case in there)
    log(f"{missing} of {len(cases)} recordings to fetch", cases=len(cases), missing=missing, base_url=base_url)
    outcomes = _fetched(tasks, len(cases), request.at_once, stop)
    refuse_incomplete(cases, outcomes, rows)
    return {
        "output": output.uri,
        "from": base_url,
        "cases": len(cases),
        "there_already": sum(outcome.outcome == "present" for outcome in outcomes.values()),
        "fetched": sum(outcome.outcome == "fetched" for outcome in outcomes.values()),
        "bytes_fetched": sum(outcome.size for outcome in outcomes.values()),
        "clinical_table": table,
        "licence": source.licence,
        "seconds": round(time.monotonic() - began, 1),
    }


def _refuse_unaccepted(source: Provenance, accepted: bool) -> None:
    if accepted:
        log(
            source.terms(),
            lines=True,
            licence=source.licence,
            agreement=source.agreement.url if source.agreement else None,
        )
        return
    raise UsageError(
        f"Accept the terms of {source.name}'s recordings before downloading.\n{source.terms()}\n",
        fix="read the terms; if you accept them, add --accept-licence.",
        lines=True,
    )


def _refuse_others(
    source: Provenance, output: Storage, there: Mapping[int, StoredObject], request: FetchRequest
) -> None:
    """Refuse an output that already holds recordings of another or unknown source."""
    noted = noted_provenance(output)
    if noted is not None and noted.name != source.name:
        raise RefusedError(
            f"{output.uri} holds recordings of another source ({noted.name}).", fix="choose another output."
        )
    if noted is None and there and not request.add_to_others:
        raise RefusedError(
            f"{output.uri} already holds {len(there)} recordings, but no {NOTE_NAME} that marks them as "
            f"{source.name}'s.",
            fix=f"choose another output, or add --add-to-others if all of them are {source.name}'s.",
        )


def _record_acceptance(source: Provenance, base_url: str, output: Storage) -> None:
    """Record next to the recordings which terms were accepted, when and for which URL; once per terms and URL.

    The record names no person.
    """
    note = read_note(output)
    accepted = note.accepted if note else ()
    acceptance = Acceptance(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        base_url=base_url,
        licence=source.licence_line,
        agreement=source.agreement.url if source.agreement else "none",
        terms_sha256=hashlib.sha256(source.terms().encode()).hexdigest(),
    )
    if any((known.base_url, known.terms_sha256) == (base_url, acceptance.terms_sha256) for known in accepted):
        return
    output.put(NOTE_NAME, ProvenanceNote(source=source, accepted=(*accepted, acceptance)).to_bytes())


def _clinical_table(base_url: str, where: Download, cases: Collection[int], output: Storage) -> tuple[str, Rows]:
    """Fetch the clinical table unless the output already has one. An existing clinical table is never overwritten.

    Returns
    -------
    str
        ``there already`` or ``fetched``.
    Rows
        The requested cases' rows.
    """
    uri = output.uri_of(CLINICAL_TABLE)
    stored = output.get_or_none(CLINICAL_TABLE)
    if stored is not None:
        return "there already", rows_of(stored, uri, cases)
    table = fetch_clinical_table(base_url, where.clinical_table)
    output.put(CLINICAL_TABLE, table)
    return "fetched", rows_of(table, uri, cases)


def _task(case_id: int, base_url: str, where: Download, output: Storage, there: StoredObject | None) -> FetchTask:
    return FetchTask(
        case_id=case_id,
        base_url=base_url,
        remote=where.recording.format(case=case_id),
        output=output.uri,
        path=there.path if there else f"{FOLDER}/{case_id:04d}.vital",
        max_bytes=MAX_BYTES,
        there=there.size if there else None,
    )


def _fetched(tasks: Iterable[FetchTask], count: int, at_once: int, stop: StopRequest) -> dict[int, Fetched]:
    """Return the outcome of each case. Give up after too many consecutive failures or denials.

    As many failures as concurrent downloads mean that the service is down. `DENIED_IN_A_ROW` denials mean that it
    refuses access altogether.
    """
    outcomes: dict[int, Fetched] = {}
    most = {"failed": max(at_once, 2), "denied": max(at_once, DENIED_IN_A_ROW)}
    in_a_row = dict.fromkeys(most, 0)
    with progress("fetch", count) as advance, WorkerPool(min(at_once, count), stop) as pool:
        for task, outcome in pool.results(fetch_recording, tasks, name=lambda task: f"case {task.case_id}"):
            outcomes[task.case_id] = outcome
            message = f"case {task.case_id} {outcome.outcome}"
            log(message, case_id=task.case_id, bytes=outcome.size, detail=outcome.detail, shown_by_bar=True)
            advance()
            if outcome.outcome == "present":  # no request was sent
                continue
            in_a_row = {name: count + 1 if outcome.outcome == name else 0 for name, count in in_a_row.items()}
            if any(in_a_row[name] >= most[name] for name in most):
                break
    return outcomes
