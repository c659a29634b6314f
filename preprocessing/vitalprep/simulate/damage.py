"""Injects realistic damage into some cases of a set; `damage.json` lists which cases and which damage.

Each case is damaged by chance, drawn from seed and case number alone, so a growing set keeps its damaged cases. The
fraction of damaged cases is near the chance and need not equal it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase
from vitalprep.simulate.other_monitors import feeds_in_own_unit, on_other_monitors
from vitalprep.simulate.signals import NumericTrack
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.vital_writer import gzip_bytes

__all__ = ["DAMAGES", "EXPECTED", "Damage", "DamageShares", "damage_of", "damaged", "damaged_hours", "parse_damage"]

Damage: TypeAlias = Literal["truncated", "bitflip", "foreign", "no-clinical-row", "short", "no-signal", "unit"]
DamageShares: TypeAlias = Mapping[Damage, float]
DAMAGES: Final[tuple[Damage, ...]] = get_args(Damage)

EXPECTED: Final[Mapping[Damage, tuple[str, ...]]] = {
    "truncated": ("truncated",),
    "bitflip": ("corrupt", "truncated"),  # a flipped bit may end the stream early
    "foreign": ("not_vital",),
    "no-clinical-row": ("no_clinical_row",),
    "short": ("too_short",),
    "no-signal": ("no_signal",),
    "unit": ("unit_mismatch",),
}
"""For each damage, the reasons with which a strict reader may exclude the case."""

_LONGEST_SHORT: Final = 320.0  # s; a window and its horizon need 331
# Tracks that are the only source of their signal, and a unit that does not belong to them.
_FOREIGN_UNITS: Final = {
    ("Primus", "EXP_SEVO"): "%",
    ("Orchestra", "PPF20_RATE"): "mL/min",
    ("BIS", "BIS"): "dB",
    ("Solar8000", "PLETH_SPO2"): "mmHg",
}
_WITHOUT_SIGNAL: Final = ("ST_", "BT", "PAMB_MBAR", "SET_AGE")  # tracks that are no source of any input


def parse_damage(text: str) -> DamageShares:
    """Parse chances by name, for example `truncated=0.01,unit=0.005`.

    Raises
    ------
    UsageError
        If a name is unknown or given twice, a chance is not a number from 0 to 1, or the chances add up to more than 1.
    """
    shares: dict[Damage, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        known = next((damage for damage in DAMAGES if damage == name.strip()), None)
        if known is None:
            raise UsageError(f"Unknown damage {name.strip()!r}.", fix=f"use one of {', '.join(DAMAGES)}.")
        if known in shares:
            raise UsageError(f"The damage {known} is given twice.", fix="give each damage once.")
        try:
            shares[known] = float(value)
        except ValueError:
            raise UsageError(f"The chance of {known} is {value!r}.", fix=f"use a number, e.g. {known}=0.01.") from None
        if not 0 <= shares[known] <= 1:
            raise UsageError(f"The chance of {known} is {value}.", fix="use the chance of each case, from 0 to 1.")
    if sum(shares.values()) > 1 + 1e-9:
        raise UsageError(
            f"The damages add up to {sum(shares.values()):g}.", fix="use chances that add up to 1 or less."
        )
    return shares


def damage_of(seed: int, case_id: int, shares: DamageShares) -> Damage | None:
    """Return the damage of a case, or None. A case has at most one."""
    place = case_rng(seed, case_id, Purpose.DAMAGE, "which").random()
    ends = accumulate(shares.get(damage, 0.0) for damage in DAMAGES)
    return next((damage for damage, end in zip(DAMAGES, ends, strict=True) if place < end), None)


def damaged_hours(seed: int, case_id: int, hours: float, damage: Damage | None) -> float:
    """Return the case's length in hours, which is too short for a single window if its damage is `short`."""
    if damage != "short":
        return hours
    return float(case_rng(seed, case_id, Purpose.DAMAGE, "length").uniform(30, _LONGEST_SHORT) / 3600)


def damaged(case: SimulatedCase, damage: Damage | None, *, profile: str | None = None) -> tuple[SimulatedCase, bytes]:
    """Return the case as written by the devices of a profile, and its file, both with the damage applied."""
    rng = case_rng(case.seed, case.patient.case_id, Purpose.DAMAGE, "how")
    if damage == "unit":
        case = replace(case, numerics=_with_foreign_unit(case.numerics, profile))
    if damage == "no-signal":
        kept = tuple(track for track in case.numerics if track.name.startswith(_WITHOUT_SIGNAL))
        case = replace(case, numerics=kept)
    case = on_other_monitors(case, profile)
    data = case.encoded()
    if damage == "truncated":
        data = data[: int(len(data) * rng.uniform(0.1, 0.95))]
    if damage == "bitflip":
        data = _with_flipped_bit(rng, data)
    if damage == "foreign":
        data = _foreign(rng)
    return case, data


def _with_foreign_unit(numerics: tuple[NumericTrack, ...], profile: str | None) -> tuple[NumericTrack, ...]:
    present = {(track.device, track.name) for track in numerics}
    spoilt = next(key for key in _FOREIGN_UNITS if key in present and feeds_in_own_unit(*key, profile))
    return tuple(
        replace(track, unit=_FOREIGN_UNITS[spoilt]) if (track.device, track.name) == spoilt else track
        for track in numerics
    )


def _with_flipped_bit(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip one bit of the compressed stream after the gzip header. The trailing checksum reveals it."""
    spoilt = bytearray(data)
    spoilt[int(rng.integers(32, len(data) - 8))] ^= 1 << int(rng.integers(0, 8))
    return bytes(spoilt)


def _foreign(rng: np.random.Generator) -> bytes:
    """Return a foreign file for a recording's name: a text export, plain or gzipped."""
    lines = (f"{second},{value:.1f}" for second, value in enumerate(rng.normal(80, 10, 500)))
    text = ("Time,Solar8000/HR\n" + "\n".join(lines) + "\n").encode("ascii")
    return gzip_bytes(text) if rng.random() < 0.5 else text
