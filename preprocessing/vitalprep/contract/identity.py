"""The three digests that identify a result (docs/design.md, 5); exactly-once rests on them.

A code version is raised by hand whenever a stage's output changes for the same input; `tests/plan/test_make_plan.py`
pins today's values so that nobody does it by accident.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from vitalprep.contract.config import BODY, Config
from vitalprep.contract.document import digest
from vitalprep.contract.plan import ExcludedCase, Plan, PlannedCase, Stamp
from vitalprep.runtime.errors import UsageError

__all__ = [
    "BUILD_VERSION",
    "CODE_VERSIONS",
    "HARMONIZE_VERSION",
    "dataset_id",
    "harmonize_digest",
    "identity_of",
    "input_id",
    "recorded_subject",
    "salt_of",
    "subject_salt",
]

HARMONIZE_VERSION = 2
BUILD_VERSION = 2
CODE_VERSIONS = {"harmonize": HARMONIZE_VERSION, "build": BUILD_VERSION}
SALT_VARIABLE = "VITALPREP_SUBJECT_SALT"
SHORTEST_SALT = 16


def harmonize_digest(config: Config) -> str:
    """Digest of everything that a harmonized table depends on, except its input.

    Not the ranges, defaults and holds of series, nor the windows: changing those needs only a new build.
    """
    return digest(
        {
            "code": HARMONIZE_VERSION,
            "inputs": [
                {
                    "name": item.name,
                    "combine": item.combine,
                    "sources": [
                        source.content()
                        | {"unit": sorted({unit.strip().casefold() for unit in config.accepted_units(source)})}
                        for source in item.sources
                    ],
                }
                for item in config.inputs
            ],
            "ideal_body_weight": config.ideal_body_weight.content(),
            "defaults": {name: config.body_default(name) for name in BODY},
            "reading": config.reading.content(),
        }
    )


def input_id(stamp: Stamp, body: dict[str, float], cells: Mapping[str, str]) -> str:
    """Digest of one case's input.

    That is its objects, the settled sex, height and weight that enter doses and volumes, and the cells of the clinical
    table that say which sources apply.
    """
    return digest(stamp.content() | {"body": body} | ({"cells": dict(cells)} if cells else {}))


def dataset_id(
    config: Config,
    cases: Iterable[PlannedCase],
    excluded: Iterable[ExcludedCase],
    *,
    salt_check: str | None,
    append_parent: str | None,
) -> str:
    """Digest of everything that a data set depends on; workers, task shards and locations are not part of it."""
    settings: dict[str, Any] = config.content()
    return digest(
        {
            "code": BUILD_VERSION,
            "harmonize": harmonize_digest(config),
            "cases": [
                {
                    "case_id": case.case_id,
                    "input_id": case.input_id,
                    "subject_id": case.subject_id,
                    "static": case.static,
                    "static_origin": case.static_origin,
                    **({"body": case.body.content()} if case.body else {}),
                    **({"outside_limits": case.outside_limits} if case.outside_limits else {}),
                }
                for case in cases
            ],
            "excluded": [case.content() for case in excluded],
            "series": [
                {key: item[key] for key in ("name", "range", "default", "hold", "vital")} for item in settings["inputs"]
            ],
            **{name: settings[name] for name in ("statics", "targets", "split", "windowing", "imputation", "output")},
            "privacy": settings["privacy"],
            "salt_check": salt_check,
            "append_parent": append_parent,
        }
    )


def identity_of(plan: Plan, *, append_parent: str | None) -> str:
    """Digest of a plan's content under today's code, as if it continued `append_parent`."""
    return dataset_id(plan.config, plan.cases, plan.excluded, salt_check=plan.salt_check, append_parent=append_parent)


def subject_salt(config: Config) -> tuple[str | None, str | None]:
    """Return the salt for subject ids from the environment and its fingerprint, or (None, None) if none is configured.

    The salt is never stored. Its fingerprint (12 hex digits of SHA-256) lies in the plan, so that a build with another
    salt is refused; the salt must be long, so that the fingerprint does not give it away.

    Raises
    ------
    UsageError
        If ``privacy.hash_subjects`` is set and the variable is missing or shorter than 16 characters.
    """
    if not config.privacy.hash_subjects:
        return None, None
    salt = os.environ.get(SALT_VARIABLE, "")
    if len(salt) < SHORTEST_SALT:
        raise UsageError(
            f"privacy.hash_subjects needs a salt of at least {SHORTEST_SALT} characters in {SALT_VARIABLE}.",
            fix=f"export {SALT_VARIABLE} with a long random text, the same for every stage.",
        )
    return salt, hashlib.sha256(f"vitalprep salt check:{salt}".encode()).hexdigest()[:12]


def recorded_subject(subject_id: int, salt: str | None) -> int:
    """Return the subject id that records carry: itself, or with a salt the first 63 bits of a SHA-256."""
    if salt is None:
        return subject_id
    return int.from_bytes(hashlib.sha256(f"{salt}:{subject_id}".encode()).digest()[:8], "big") >> 1


def salt_of(plan: Plan) -> str | None:
    """Return the salt for subject ids from the environment, or None if the plan wants none.

    Raises
    ------
    UsageError
        If it is not the salt the plan was made with.
    """
    salt, check = subject_salt(plan.config)
    if check != plan.salt_check:
        raise UsageError(
            "The salt for subject ids is not the one the plan was made with.", fix="use the same salt, or plan again."
        )
    return salt
