"""Says whether the recordings of a data set are still where they were planned. No proof depends on it."""

from __future__ import annotations

from vitalprep.contract.plan import Part, Plan
from vitalprep.runtime.errors import VitalprepError
from vitalprep.storage import Storage, StoredObject, same_etag

__all__ = ["recordings_still_there"]


def recordings_still_there(plan: Plan) -> str:
    """Return one sentence on how many of a plan's recordings the input still lists with the same size and etag."""
    total = len(plan.cases)
    try:
        there = {stored.path: stored for stored in Storage(plan.input).list(odd=[])}
    except VitalprepError as error:
        return f"could not be listed ({error.message.rstrip('.')})"
    same = sum(all(_is_same(there.get(file.object), file) for file in case.files) for case in plan.cases)
    if same == total:
        return f"all {total} are in {plan.input}, as they were planned"
    return f"{total - same} of {total} are no longer in {plan.input} as they were planned"


def _is_same(stored: StoredObject | None, planned: Part) -> bool:
    return stored is not None and stored.size == planned.size and same_etag(stored.etag, planned.etag)
