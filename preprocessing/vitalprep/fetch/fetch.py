"""The fetch stage: what is asked for and not there yet comes, a few recordings at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
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
from vitalprep.storage import ObjectMissing, Storage, StoredObject

__all__ = ["FetchRequest", "fetch"]

MAX_BYTES = 1 << 30  # decompressed; `reading.max_decompressed_bytes` by default
FOLDER = "raw-data"
DENIED_IN_A_ROW = 5  # fewer may be cases that a bucket does not have: it answers 403 to those who may not list it


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What the user asks for.

    Parameters
    ----------
    cases : str
        Case list.
    accepted : bool
        That licence and data use agreement are accepted.
    base_url : str, optional
        Of the service; default VitalDB's.
    at_once : int
        Downloads at a time.
    add_to_others : bool
        Fetch also into a place with recordings of which nothing says that they are VitalDB's; then it is said of all.
    """

    cases: str
    accepted: bool
    base_url: str | None = None
    at_once: int = 4
    add_to_others: bool = False


def fetch(request: FetchRequest, output_uri: str, *, stop: StopRequest) -> dict[str, Any]:
    """Bring recordings and the clinical table into a folder or bucket, and describe what came.

    A recording that is there and whole is left as it is. One that does not come, or a row of the table that cannot be
    read, does not keep the others from coming.

    Raises
    ------
    UsageError
        If the terms are not accepted (the message holds them), or the address is none of such a service.
    RefusedError
        At the end, if the service does not have or give some of the cases, what it has is no recording, or their rows
        are missing or cannot be read; or at once, if recordings of another source, or of none, lie in the output.
    RetryableError
        At the end, if some cases did not come for faults that outlasted the retries.
    Stopped
        After a signal; what is whole stays.
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
    tasks = [_task(case, base_url, where, output, there.get(case)) for case in cases]
    missing = sum(task.there is None for task in tasks)
    log(f"{missing} of {len(cases)} recordings to fetch", cases=len(cases), missing=missing, base_url=base_url)
    outcomes = _fetched(tasks, request.at_once, stop)
    refuse_incomplete(cases, outcomes, rows)
    return {
        "output": output.uri,
        "from": base_url,
        "cases": len(cases),
        "there_already": sum(outcome.outcome == "there" for outcome in outcomes.values()),
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
        f"{source.name}'s recordings come under terms that are yours to accept.\n{source.terms()}\n",
        fix="read both; if you accept them, add --accept-licence.",
        lines=True,
    )


def _refuse_others(
    source: Provenance, output: Storage, there: Mapping[int, StoredObject], request: FetchRequest
) -> None:
    """Refuse to call recordings VitalDB's that are of another source, or of which nothing says where they come from."""
    noted = noted_provenance(output)
    if noted is not None and noted.name != source.name:
        raise RefusedError(
            f"{output.uri} holds recordings of another source ({noted.name}).", fix="name another output."
        )
    if noted is None and there and not request.add_to_others:
        raise RefusedError(
            f"{output.uri} holds {len(there)} recordings, and no {NOTE_NAME} says that they are {source.name}'s.",
            fix=f"name another output; if they are all {source.name}'s, add --add-to-others.",
        )


def _record_acceptance(source: Provenance, base_url: str, output: Storage) -> None:
    """Write beside the recordings what was accepted, when and of which address; once for the same terms and address.

    Nothing of the person: what is recorded is that somebody who may write here accepted.
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


def _clinical_table(base_url: str, where: Download, cases: tuple[int, ...], output: Storage) -> tuple[str, Rows]:
    """Bring the clinical table unless one is there: that may be the user's own. Say which of the two it was."""
    uri = output.uri_of(CLINICAL_TABLE)
    try:
        return "there already", rows_of(output.get(CLINICAL_TABLE), uri, cases)
    except ObjectMissing:
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


def _fetched(tasks: list[FetchTask], at_once: int, stop: StopRequest) -> dict[int, Fetched]:
    """Return what became of each case, up to where too many in a row failed or were denied.

    As many failures as run at once: then the service is gone. `DENIED_IN_A_ROW`: then it lets nobody in, or not us.
    """
    outcomes: dict[int, Fetched] = {}
    most = {"failed": max(at_once, 2), "denied": max(at_once, DENIED_IN_A_ROW)}
    in_a_row = dict.fromkeys(most, 0)
    with progress("fetch", len(tasks)) as advance, WorkerPool(min(at_once, max(len(tasks), 1)), stop) as pool:
        for task, outcome in pool.results(fetch_recording, tasks, name=lambda task: f"case {task.case_id}"):
            outcomes[task.case_id] = outcome
            said = f"case {task.case_id} {outcome.outcome}"
            log(said, case_id=task.case_id, bytes=outcome.size, detail=outcome.detail, shown_by_bar=True)
            advance()
            if outcome.outcome == "there":  # nobody was asked
                continue
            in_a_row = {name: count + 1 if outcome.outcome == name else 0 for name, count in in_a_row.items()}
            if any(in_a_row[name] >= most[name] for name in most):
                break
    return outcomes
