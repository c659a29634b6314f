"""Injects realistic damage into some cases of a set; `damage.json` lists which cases, and what must become of them.

Each case is damaged by chance, drawn from seed and case number alone, so a growing set keeps its damaged cases. The
fraction of damaged cases is near the chance and need not equal it. Faults of the clinical table are drawn by case, too:
they lie in the row of their case (`table_damage`), and one of them makes planning refuse the whole table.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase
from vitalprep.simulate.other_monitors import on_other_monitors
from vitalprep.simulate.recording import SHORTEST_WITH_START, FileForm
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.track_damage import (
    on_unknown_devices,
    paused_for_days,
    with_foreign_unit,
    with_second_device,
    without_signal,
)
from vitalprep.simulate.vital_writer import gzip_bytes

__all__ = [
    "DAMAGES", "EXPECTED", "UNREADABLE", "Damage", "DamageShares", "Expected",
    "damage_of", "damaged", "damaged_hours", "parse_damage",
]  # fmt: skip

Damage: TypeAlias = Literal[
    "truncated", "bitflip", "foreign", "no-clinical-row", "short", "no-signal", "unit",
    "gap-of-days", "wrong-clock", "unclosed-gzip", "other-devices", "two-devices",
    "decimal-comma", "semicolons", "cell-too-many",
]  # fmt: skip
DamageShares: TypeAlias = Mapping[Damage, float]
DAMAGES: Final[tuple[Damage, ...]] = get_args(Damage)  # new ones at the end, so that existing sets keep their cases


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What must become of a damaged case.

    Attributes
    ----------
    outcomes : tuple of str
        ``written``, the reasons with which a strict reader may exclude the case, or ``refused``: planning refuses the
        clinical table, so that no case is read.
    salvaged : tuple of str
        The outcomes with ``reading.salvage``, if they are others.
    receipt : mapping
        What the case's receipt must say.
    warning : str, optional
        Code of the warning that must name the case.
    """

    outcomes: tuple[str, ...]
    salvaged: tuple[str, ...] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)
    warning: str | None = None

    def described(self, damage: Damage) -> dict[str, Any]:
        """Return the entry of `damage.json`."""
        more = {"salvaged": self.salvaged, "receipt": dict(self.receipt), "warning": self.warning}
        said = {name: value for name, value in more.items() if value}
        return {"damage": damage, "expected": self.outcomes, **said}


EXPECTED: Final[Mapping[Damage, Expected]] = {
    "truncated": Expected(outcomes=("truncated",), salvaged=("written", "too_short", "no_window", "no_signal")),
    "bitflip": Expected(outcomes=("corrupt", "truncated")),  # a flipped bit may end the stream early
    "foreign": Expected(outcomes=("not_vital",)),
    "no-clinical-row": Expected(outcomes=("no_clinical_row",)),
    "short": Expected(outcomes=("too_short",)),
    "no-signal": Expected(outcomes=("no_signal",)),
    "unit": Expected(outcomes=("unit_mismatch",)),
    "gap-of-days": Expected(outcomes=("written",)),
    "wrong-clock": Expected(outcomes=("written",), receipt={"clock": "records"}),
    "unclosed-gzip": Expected(outcomes=("truncated",), salvaged=("written",)),
    "other-devices": Expected(outcomes=("no_signal",)),
    "two-devices": Expected(outcomes=("written",), warning="two_devices"),
    "decimal-comma": Expected(outcomes=("refused",)),
    "semicolons": Expected(outcomes=("refused",)),
    "cell-too-many": Expected(outcomes=("refused",)),
}
UNREADABLE: Final = ("truncated", "bitflip", "foreign", "unit")
"""Damages of files that no reader can use as they were: there is no truth table of them."""

_LONGEST_SHORT: Final = 320.0  # s; a window and its horizon need 331
_DAYS: Final = (2.0, 3650.0)  # how far a wrong clock is from the records


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
    case = _recorded(rng, case, damage, profile)
    data = case.encoded()
    if damage == "truncated":
        data = data[: int(len(data) * rng.uniform(0.1, 0.95))]
    if damage == "bitflip":
        data = _with_flipped_bit(rng, data)
    if damage == "foreign":
        data = _foreign(rng)
    if damage == "unclosed-gzip":
        data = _unclosed(rng, data)
    return case, data


def _recorded(
    rng: np.random.Generator, case: SimulatedCase, damage: Damage | None, profile: str | None
) -> SimulatedCase:
    """Return the case as its devices record it."""
    if damage == "unit":
        case = with_foreign_unit(case, profile)
    case = on_other_monitors(case, profile)
    match damage:
        case "no-signal":
            return without_signal(case)
        case "other-devices":
            return on_unknown_devices(case)
        case "two-devices":
            return with_second_device(case)
        case "gap-of-days":
            return paused_for_days(rng, case)
        case "wrong-clock":
            return replace(case, form=_with_wrong_clock(rng, case.form))
        case _:
            return case


def _with_wrong_clock(rng: np.random.Generator, form: FileForm) -> FileForm:
    """Return a form whose header starts days or years before or after the records."""
    days = np.exp(rng.uniform(*np.log(_DAYS))) * rng.choice((-1, 1))
    length = max(form.header_length, SHORTEST_WITH_START)
    return replace(form, header_length=length, clock_error=round(float(days) * 86_400, 3))


def _unclosed(rng: np.random.Generator, data: bytes) -> bytes:
    """Return a file whose recorder ended within its last packet, which only orders the tracks, without closing it."""
    content = zlib.decompress(data, wbits=zlib.MAX_WBITS | 16)
    return gzip_bytes(content[: -int(rng.integers(1, 9))], closed=False)


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
