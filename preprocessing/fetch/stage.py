"""The fetch stage: what is asked for and not there yet comes, a few recordings at a time."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from preprocessing.console import log, progress
from preprocessing.errors import RefusedError, RetryableError, UsageError
from preprocessing.fetch.clinical_table import fetch_clinical_table
from preprocessing.fetch.recording import Fetched, FetchTask, fetch_recording
from preprocessing.fetch.website import checked_base_url
from preprocessing.plan.case_list import parse_case_list, short_case_list
from preprocessing.plan.make_plan import CLINICAL_TABLE
from preprocessing.plan.recording_source import noted_source, read_note
from preprocessing.plan.recordings import recordings_there
from preprocessing.source import NOTE_NAME, Acceptance, Download, RecordingSource, SourceNote, known_source
from preprocessing.storage import Storage
from preprocessing.workers import StopRequest, WorkerPool

__all__ = ["FetchRequest", "fetch"]

MAX_BYTES = 1 << 30  # decompressed; `reading.max_decompressed_bytes` by default
FOLDER = "raw-data"


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
    """

    cases: str
    accepted: bool
    base_url: str | None = None
    at_once: int = 4


def fetch(request: FetchRequest, output_uri: str, *, stop: StopRequest) -> dict[str, Any]:
    """Bring recordings and the clinical table into a folder or bucket, and describe what came.

    A recording that is there is left as it is. One that does not come does not keep the others from coming.

    Raises
    ------
    UsageError
        If the terms are not accepted (the message holds them), or the address is none of such a service.
    RefusedError
        At the end, if the service does not have some of the cases, or what it has is no recording; or at once, if
        recordings of another source lie in the output.
    RetryableError
        At the end, if some cases did not come for faults that outlasted the retries.
    Stopped
        After a signal; what is whole stays.
    """
    began = time.monotonic()
    source = known_source("vitaldb")
    where = source.download
    assert where is not None
    _refuse_unaccepted(source, request.accepted)
    cases = parse_case_list(request.cases)
    base_url = checked_base_url(request.base_url or where.base_url)
    output = Storage(output_uri, create=True)
    _record_acceptance(source, base_url, output)
    table = _clinical_table(base_url, where, cases, output)
    there = recordings_there(output)
    wanted = [case for case in cases if case not in there]
    log(f"{len(wanted)} of {len(cases)} recordings to fetch", cases=len(cases), missing=len(wanted), base_url=base_url)
    tasks = [_task(case, base_url, where, output) for case in wanted]
    outcomes = _fetched(tasks, request.at_once, stop)
    _refuse_incomplete(cases, outcomes, len(cases) - len(wanted))
    return {
        "output": output.uri,
        "from": base_url,
        "cases": len(cases),
        "there_already": len(cases) - len(wanted),
        "fetched": len(outcomes),
        "bytes_fetched": sum(outcome.size for outcome in outcomes.values()),
        "clinical_table": table,
        "licence": source.licence,
        "seconds": round(time.monotonic() - began, 1),
    }


def _refuse_unaccepted(source: RecordingSource, accepted: bool) -> None:
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
        mend="read both; if you accept them, add --accept-licence.",
        lines=True,
    )


def _record_acceptance(source: RecordingSource, base_url: str, output: Storage) -> None:
    """Write beside the recordings what was accepted, when and of which address; once for the same terms and address.

    Nothing of the person: what is recorded is that somebody who may write here accepted.
    """
    there = noted_source(output)
    if there is not None and there.name != source.name:
        raise RefusedError(
            f"{output.uri} holds recordings of another source ({there.name}).", mend="name another output."
        )
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
    output.put(NOTE_NAME, SourceNote(source=source, accepted=(*accepted, acceptance)).to_bytes())


def _clinical_table(base_url: str, where: Download, cases: tuple[int, ...], output: Storage) -> str:
    """Bring the clinical table unless one is there: that may be the user's own. Return which of the two it was."""
    if output.head(CLINICAL_TABLE) is not None:
        return "there already"
    output.put(CLINICAL_TABLE, fetch_clinical_table(base_url, where.clinical_table, frozenset(cases)))
    return "fetched"


def _task(case_id: int, base_url: str, where: Download, output: Storage) -> FetchTask:
    return FetchTask(
        case_id=case_id,
        base_url=base_url,
        remote=where.recording.format(case=case_id),
        output=output.uri,
        path=f"{FOLDER}/{case_id:04d}.vital",
        max_bytes=MAX_BYTES,
    )


def _fetched(tasks: list[FetchTask], at_once: int, stop: StopRequest) -> dict[int, Fetched]:
    """Return what became of each case, up to where as many in a row failed as run at once: then the service is gone."""
    outcomes: dict[int, Fetched] = {}
    in_a_row = 0
    with progress("fetch", len(tasks)) as advance, WorkerPool(min(at_once, max(len(tasks), 1)), stop) as pool:
        for task, outcome in pool.results(fetch_recording, tasks, name=lambda task: f"case {task.case_id}"):
            outcomes[task.case_id] = outcome
            said = f"case {task.case_id} {outcome.outcome}"
            log(said, case_id=task.case_id, bytes=outcome.size, detail=outcome.detail, shown_by_bar=True)
            advance()
            in_a_row = in_a_row + 1 if outcome.outcome == "failed" else 0
            if in_a_row >= max(at_once, 2):
                break
    return outcomes


def _refuse_incomplete(cases: tuple[int, ...], outcomes: dict[int, Fetched], there: int) -> None:
    of: defaultdict[str, list[int]] = defaultdict(list)
    for case, outcome in sorted(outcomes.items()):
        of[outcome.outcome].append(case)
    if not (of["failed"] or of["missing"] or of["refused"]):
        return
    come = there + len(of["fetched"])
    parts = [f"{come} of {len(cases)} recordings are there."]
    parts += [
        f"{what} {short_case_list(of[name])} ({outcomes[of[name][0]].detail.rstrip('.')})."
        for name, what in (
            ("failed", "Did not come:"),
            ("missing", "The service does not have"),
            ("refused", "What came is no recording:"),
        )
        if of[name]
    ]
    message = " ".join(parts)
    if of["failed"]:
        raise RetryableError(message, mend="run it again: it resumes; if it stays, check the network and the service.")
    raise RefusedError(message, mend="leave these cases out of --cases; the others are there.")
