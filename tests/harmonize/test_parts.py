"""A recording that lies in several files gives the table of the same recording in one."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import Receipt
from vitalprep.harmonize.case import CaseTask, harmonize_case
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.storage import Storage
from vitalprep.validate.recordings import recordings_still_there

TRACK, RECORD, DEVICE = 0, 1, 9  # types of packets
CASE = 1


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Cut a recording at the middle of its time; both parts have all headers."""
    data = gzip.decompress(data)
    position = 10 + struct.unpack_from("<H", data, 8)[0]
    packets, times = [], []
    head = data[:position]
    while position < len(data):
        kind, length = struct.unpack_from("<bI", data, position)
        packets.append((kind, data[position : position + 5 + length]))
        position += 5 + length
    times = [struct.unpack_from("<d", packet, 7)[0] for kind, packet in packets if kind == RECORD]
    middle = (min(times) + max(times)) / 2
    parts = [head, head]
    for kind, packet in packets:
        late = kind == RECORD and struct.unpack_from("<d", packet, 7)[0] >= middle
        for index in (0, 1) if kind in (TRACK, DEVICE) else (int(late),):
            parts[index] += packet
    return gzip.compress(parts[0]), gzip.compress(parts[1])


def _plan(folder: Path, recordings: Path, files: dict[str, bytes], output: Path | None = None) -> Plan:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    header, *rows = (recordings / "clinical_data.csv").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(f"{CASE},")]
    (folder / "clinical_data.csv").write_text(f"{header},file\n{row},{';'.join(files)}\n")
    config = load_config(None, ("split.allow_empty=true",))
    out = Storage(str(output)) if output else None
    return make_plan(PlanRequest(input=str(folder), config=config, output=out))


def _harmonized(plan: Plan, output: Path) -> Receipt:
    Storage(str(output), create=True)
    task = CaseTask(plan.by_id[CASE], plan.config, plan.harmonize_digest, plan.stem(CASE), plan.input, str(output))
    receipt = harmonize_case(task)
    assert receipt is not None
    return receipt


def test_two_parts_give_the_table_of_the_whole(recordings: Path, tmp_path: Path) -> None:
    whole = (recordings / "raw-data" / f"{CASE:04d}.vital").read_bytes()
    first, second = _cut(whole)
    assert min(len(first), len(second)) > len(whole) // 10
    one = _harmonized(_plan(tmp_path / "one", recordings, {"w.vital": whole}), tmp_path / "out-one")
    plan = _plan(tmp_path / "two", recordings, {"a.vital": first, "b.vital": second})
    two = _harmonized(plan, tmp_path / "out-two")
    assert (two.status, two.seconds, two.values_sha256) == (one.status, one.seconds, one.values_sha256)
    assert [(file.uri.rpartition("/")[2], file.size, file.sha256) for file in two.input.files] == [
        (name, len(data), hashlib.sha256(data).hexdigest()) for name, data in (("a.vital", first), ("b.vital", second))
    ]
    assert "parts" not in one.content()["input"]
    assert two.input.stamp == plan.by_id[CASE].stamp
    assert recordings_still_there(plan).startswith("all 1 are in")
    (tmp_path / "two" / "b.vital").unlink()
    assert recordings_still_there(plan).startswith("1 of 1 are no longer")


def test_a_copy_of_both_parts_is_recognized(recordings: Path, tmp_path: Path) -> None:
    first, second = _cut((recordings / "raw-data" / f"{CASE:04d}.vital").read_bytes())
    output = tmp_path / "out"
    before = _plan(tmp_path / "before", recordings, {"a.vital": first, "b.vital": second})
    _harmonized(before, output)
    copy = _plan(tmp_path / "copy", recordings, {"a.vital": first, "b.vital": second}, output)
    assert copy.by_id[CASE].known_as == before.by_id[CASE].stamp
    assert copy.by_id[CASE].input_id == before.by_id[CASE].input_id
    swapped = _plan(tmp_path / "swapped", recordings, {"b.vital": second, "a.vital": first}, output)
    assert swapped.by_id[CASE].known_as is None
    assert swapped.by_id[CASE].input_id != before.by_id[CASE].input_id


def test_the_parts_share_the_limit_of_bytes(recordings: Path, tmp_path: Path) -> None:
    first, second = _cut((recordings / "raw-data" / f"{CASE:04d}.vital").read_bytes())
    plan = _plan(tmp_path / "two", recordings, {"a.vital": first, "b.vital": second})
    most = max(len(gzip.decompress(first)), len(gzip.decompress(second))) + 1
    reading = plan.config.reading.model_copy(update={"max_decompressed_bytes": most})
    limited = plan.model_copy(update={"config": plan.config.model_copy(update={"reading": reading})})
    assert _harmonized(limited, tmp_path / "out").reason == "too_large"
