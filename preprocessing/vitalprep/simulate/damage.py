"""Damage on demand: some cases are damaged the way real ones are, and `damage.json` lists which and how.

Each case is damaged by chance, drawn from the seed and the case alone: a set that grows keeps its damaged cases. So the
share of damaged cases is near the chance and need not equal it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase
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
"""The reasons with which a strict reader may exclude a case of each damage."""

_LONGEST_SHORT: Final = 320.0  # s; a window and its horizon need 331
# Tracks that are the only source of their signal, and a unit of something else.
_FOREIGN_UNITS: Final = {
    ("Primus", "EXP_SEVO"): "%",
    ("Orchestra", "PPF20_RATE"): "mL/min",
    ("BIS", "BIS"): "dB",
    ("Solar8000", "PLETH_SPO2"): "mmHg",
}
_WITHOUT_SIGNAL: Final = ("ST_", "BT", "PAMB_MBAR", "SET_AGE")  # what no input of the registry is made of


def parse_damage(text: str) -> DamageShares:
    """Return the chance of each damage from, say, `truncated=0.01,unit=0.005`.

    Raises
    ------
    UsageError
        If a name is unknown or given twice, a chance is no number from 0 to 1, or the chances add up to more than 1.
    """
    shares: dict[Damage, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        known = next((damage for damage in DAMAGES if damage == name.strip()), None)
        if known is None:
            raise UsageError(f"There is no damage called {name.strip()!r}.", fix=f"choose from {', '.join(DAMAGES)}.")
        if known in shares:
            raise UsageError(f"The damage {known} is given twice.", fix="give each damage once.")
        try:
            shares[known] = float(value)
        except ValueError:
            raise UsageError(f"The chance of {known} is {value!r}.", fix=f"give a number, e.g. {known}=0.01.") from None
        if not 0 <= shares[known] <= 1:
            raise UsageError(f"The chance of {known} is {value}.", fix="give the chance of each case, from 0 to 1.")
    if sum(shares.values()) > 1 + 1e-9:
        raise UsageError(
            f"The damages add up to {sum(shares.values()):g}.", fix="give chances that add up to 1 or less."
        )
    return shares


def damage_of(seed: int, case_id: int, shares: DamageShares) -> Damage | None:
    """The damage that a case gets; most get none, and no case two."""
    place = case_rng(seed, case_id, Purpose.DAMAGE, "which").random()
    ends = accumulate(shares.get(damage, 0.0) for damage in DAMAGES)
    return next((damage for damage, end in zip(DAMAGES, ends, strict=True) if place < end), None)


def damaged_hours(seed: int, case_id: int, hours: float, damage: Damage | None) -> float:
    """The case's length in hours: too short for a single window if that is its damage."""
    if damage != "short":
        return hours
    return float(case_rng(seed, case_id, Purpose.DAMAGE, "length").uniform(30, _LONGEST_SHORT) / 3600)


def damaged(case: SimulatedCase, damage: Damage | None) -> tuple[SimulatedCase, bytes]:
    """The case as it is written, and its file, spoilt where that is its damage."""
    rng = case_rng(case.seed, case.patient.case_id, Purpose.DAMAGE, "how")
    if damage == "unit":
        case = replace(case, numerics=_with_foreign_unit(case.numerics))
    if damage == "no-signal":
        kept = tuple(track for track in case.numerics if track.name.startswith(_WITHOUT_SIGNAL))
        case = replace(case, numerics=kept)
    data = case.encoded()
    if damage == "truncated":
        data = data[: int(len(data) * rng.uniform(0.1, 0.95))]
    if damage == "bitflip":
        data = _with_flipped_bit(rng, data)
    if damage == "foreign":
        data = _foreign(rng)
    return case, data


def _with_foreign_unit(numerics: tuple[NumericTrack, ...]) -> tuple[NumericTrack, ...]:
    present = {(track.device, track.name) for track in numerics}
    spoilt = next(key for key in _FOREIGN_UNITS if key in present)
    return tuple(
        replace(track, unit=_FOREIGN_UNITS[spoilt]) if (track.device, track.name) == spoilt else track
        for track in numerics
    )


def _with_flipped_bit(rng: np.random.Generator, data: bytes) -> bytes:
    """One bit of the compressed stream, beyond the gzip header; the check sum at the end tells."""
    spoilt = bytearray(data)
    spoilt[int(rng.integers(32, len(data) - 8))] ^= 1 << int(rng.integers(0, 8))
    return bytes(spoilt)


def _foreign(rng: np.random.Generator) -> bytes:
    """Something else under the name of a recording: an export as text, bare or gzipped."""
    lines = (f"{second},{value:.1f}" for second, value in enumerate(rng.normal(80, 10, 500)))
    text = ("Time,Solar8000/HR\n" + "\n".join(lines) + "\n").encode("ascii")
    return gzip_bytes(text) if rng.random() < 0.5 else text
