"""The waves of VitalDB that the simulator generates, and how devices store them. Data only.

Names, rates and units are VitalDB's (https://vitaldb.net/dataset, "track names"); the display range is that of the
`vitaldb` package. The monitor's waves come from a coarse analogue-digital converter, whose step size is visible in
VitalDB's data; the other devices send digital values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["WAVE_FORMS", "WaveForm"]


@dataclass(frozen=True, kw_only=True)
class WaveForm:
    """A kind of wave. Value in `unit` = stored 16-bit signed sample * `gain` + `offset`.

    `sample_rate` in Hz; `record_samples` is the length of one record, about a second. The device saturates at `lowest`
    and `highest`; a screen shows `display_min` to `display_max`; all four in `unit`.
    """

    device: str
    name: str
    unit: str
    sample_rate: float
    record_samples: int
    gain: float
    lowest: float
    highest: float
    display_min: float
    display_max: float
    offset: float = 0.0

    @property
    def track(self) -> str:
        """The track as `Device/NAME`."""
        return f"{self.device}/{self.name}"


_ECG_STEP: Final = 0.00988  # mV
_PLETH_STEP: Final = 0.4
_PRESSURE_STEP: Final = 0.9875  # mmHg
_EEG_STEP: Final = 0.05  # uV

WAVE_FORMS: Final = (
    WaveForm(device="SNUADC", name="ECG_II", unit="mV", sample_rate=500, record_samples=500,
             gain=_ECG_STEP, lowest=-5, highest=5, display_min=-1, display_max=2.5),
    WaveForm(device="SNUADC", name="ECG_V5", unit="mV", sample_rate=500, record_samples=500,
             gain=_ECG_STEP, lowest=-5, highest=5, display_min=-1, display_max=2.5),
    WaveForm(device="SNUADC", name="PLETH", unit="unitless", sample_rate=500, record_samples=500,
             gain=_PLETH_STEP, lowest=0, highest=100, display_min=0, display_max=100),
    WaveForm(device="SNUADC", name="ART", unit="mmHg", sample_rate=500, record_samples=500,
             gain=_PRESSURE_STEP, lowest=-50, highest=305, display_min=0, display_max=200),
    WaveForm(device="Primus", name="CO2", unit="mmHg", sample_rate=62.5, record_samples=64,
             gain=0.1, lowest=0, highest=150, display_min=0, display_max=60),
    WaveForm(device="Primus", name="AWP", unit="hPa", sample_rate=62.5, record_samples=64,
             gain=0.1, lowest=-20, highest=99, display_min=-10, display_max=30),
    WaveForm(device="BIS", name="EEG1_WAV", unit="uV", sample_rate=128, record_samples=128,
             gain=_EEG_STEP, lowest=-1600, highest=1600, display_min=-100, display_max=100),
    WaveForm(device="BIS", name="EEG2_WAV", unit="uV", sample_rate=128, record_samples=128,
             gain=_EEG_STEP, lowest=-1600, highest=1600, display_min=-100, display_max=100),
)  # fmt: skip
