"""An input with recordings of a few numeric tracks whose every value is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericRecord,
    Track,
    TrackHeader,
    encode_interleaved,
    gzip_bytes,
)

START = 4102444800.0
COLUMNS = "caseid,subjectid,age,sex,height,weight,bmi,asa"


def recording(tracks: Mapping[str, Iterable[tuple[int, float]]]) -> bytes:
    """Return a recording of (second, value) pairs by ``Device/NAME``."""
    devices = {name: place for place, name in enumerate(dict.fromkeys(path.split("/")[0] for path in tracks), start=1)}
    encoded = []
    for place, (path, records) in enumerate(tracks.items(), start=1):
        device, name = path.split("/")
        header = TrackHeader(track_id=place, kind="numeric", name=name, sample_format=1, device_id=devices[device])
        values = (NumericRecord(track_id=place, time=START + second, value=value) for second, value in records)
        encoded.append(Track(header=header, records=tuple(values)))
    headers = [DeviceHeader(device_id=place, typename=name, name=name) for name, place in devices.items()]
    return gzip_bytes(encode_interleaved(FileHeader(start=START), headers, encoded))


def input_of(folder: Path, recordings: Mapping[int, bytes]) -> Path:
    """Write recordings by case, and a clinical table in which each case is a subject."""
    folder.mkdir()
    for case, data in recordings.items():
        (folder / f"{case:04d}.vital").write_bytes(data)
    rows = [f"{case},{case},50,M,170,70,24.2,2" for case in recordings]
    (folder / "clinical_data.csv").write_text("\n".join([COLUMNS, *rows, ""]))
    return folder
