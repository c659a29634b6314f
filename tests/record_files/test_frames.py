"""Frames assembled from templates are byte for byte those of the reference encoder, for any windows and ids."""

from __future__ import annotations

import numpy as np
import pytest

from tests.features.test_samples import STATIC, STATIC_ORIGIN, random_table
from tests.reference.design4 import encode_example
from vitalprep.contract.config_file import load_config
from vitalprep.features.samples import samples_of
from vitalprep.record_files.frames import CaseFrames
from vitalprep.tfrecord.example import encode_record
from vitalprep.tfrecord.framing import framed

SETTINGS = (
    [],
    ["windowing.window=12", "windowing.step=1", "windowing.target_horizon=0"],
    ["windowing.window=1", "windowing.step=7", "windowing.target_horizon=200"],
    ["windowing.window=900", "windowing.step=450"],
    ["imputation.causal=true"],
)


@pytest.mark.parametrize("settings", SETTINGS, ids=" ".join)
@pytest.mark.parametrize(("case_id", "subject_id"), [(1, 5955), (127, 128), (6388, 2**63 - 1), (16384, 2**21)])
def test_every_window_has_the_bytes_of_the_reference(settings: list[str], case_id: int, subject_id: int) -> None:
    config = load_config(settings=settings)
    samples = samples_of(random_table(case_id, 1500, config), STATIC, STATIC_ORIGIN, config)
    frames = CaseFrames(samples, case_id=case_id, subject_id=subject_id, config=config)
    assert len(samples.starts) > 1
    buffer = np.full(1 << 20, 0xAA, dtype=np.uint8)
    for start in samples.starts.tolist():
        record = samples.record(start, case_id=case_id, subject_id=subject_id, config=config)
        features = {
            name: [value] if isinstance(value, int) else value.tobytes() if "origin" in name else value.ravel().tolist()
            for name, value in vars(record).items()
        }
        wanted = framed(encode_example(features))
        size = frames.size(start)
        frames.put(start, buffer[7 : 7 + size])
        assert buffer[7 : 7 + size].tobytes() == wanted
        assert buffer[6] == buffer[7 + size] == 0xAA  # nothing beside it is touched


def test_starts_of_every_width_of_a_long_recording() -> None:
    config = load_config(settings=["windowing.window=2", "windowing.step=1", "windowing.target_horizon=1"])
    samples = samples_of(random_table(3, 16_500, config), STATIC, STATIC_ORIGIN, config)
    frames = CaseFrames(samples, case_id=2, subject_id=3, config=config)
    sizes = set()
    for start in (0, 1, 127, 128, 16_383, 16_384, 16_400):
        record = samples.record(start, case_id=2, subject_id=3, config=config)
        frame = np.empty(frames.size(start), dtype=np.uint8)
        frames.put(start, frame)
        assert frame.tobytes() == framed(encode_record(record))
        sizes.add(len(frame))
    assert len(sizes) == 3
