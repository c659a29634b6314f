"""Which recording belongs to which case, and what is left out."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, s3_client
from vitalprep.contract.config_file import load_config
from vitalprep.contract.identity import input_id
from vitalprep.contract.plan import FileStamp, Plan, Stamp
from vitalprep.inspect.contents import contents_of
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.plan.recordings import Recordings, find_recordings
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage


def _made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _found(folder: Path, **named: tuple[str, ...]) -> Recordings:
    return find_recordings(
        Storage(str(folder)), {int(case.removeprefix("case_")): paths for case, paths in named.items()}
    )


def _left_out(found: Recordings) -> dict[str, tuple[str, ...]]:
    return {one.reason: one.names for one in found.left_out}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("._0001.vital", "hidden"),
        (".snapshot/0001.vital", "hidden"),
        ("$RECYCLE.BIN/0001.vital", "trash"),
        (".Trash-1000/files/0001.vital", "trash"),
        ("#recycle/0001.vital", "trash"),
        ("a/@eaDir/0001.vital", "trash"),
        ("lost+found/0001.vital", "trash"),
        ("__MACOSX/0001.vital", "trash"),
        ("0001.vital.gz", "other_ending"),
        ("0001.vital.part", "other_ending"),
        ("0001.vital~", "other_ending"),
        ("0001.vital (1)", "other_ending"),
        ("OR1_231023_074744.vital", "no_case_number"),
        ("0001_2.vital", "no_case_number"),
        ("b\n.vital", "odd_key"),
    ],
)
def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path, name: str, reason: str) -> None:
    found = _found(_made(tmp_path, "0001.vital", name, "notes.txt", "0001.vitals"))
    assert [file.path for file in found.by_case[1]] == ["0001.vital"]
    assert _left_out(found) == {reason: (name,)}


def test_a_name_that_is_not_utf_8_does_not_stop_the_rest(tmp_path: Path) -> None:
    _made(tmp_path, "0001.vital")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.vital")).write_text("x")
    found = _found(tmp_path)
    assert list(found.by_case) == [1]
    assert _left_out(found) == {"odd_key": ("a\\udcff.vital",)}


def test_a_folder_of_other_names_says_so(tmp_path: Path) -> None:
    _made(tmp_path, "OR1_231023_074744.vital", "OR2_231023_074744.vital")
    names = r"OR1_231023_074744\.vital, OR2_231023_074744\.vital in "
    with pytest.raises(
        RefusedError, match=f"2 recordings are there, but their names are no case numbers: {names}"
    ) as no:
        _found(tmp_path)
    assert "column file" in no.value.fix
    assert "columns caseid,file; a row: 1,OR1_231023_074744.vital;" in no.value.fix
    (tmp_path / "OR2_231023_074744.vital").unlink()
    with pytest.raises(RefusedError, match="1 recording is there, but its name is no case number: OR1_231023_074744"):
        _found(tmp_path)


def test_a_cell_beats_the_digits(tmp_path: Path) -> None:
    _made(tmp_path, "0001.vital", "or/a.vital", "or/b.vital", "0002.vital")
    found = _found(tmp_path, case_1=("or/b.vital", "or/a.vital"), case_7=("0002.vital",))
    assert {case: [file.path for file in files] for case, files in found.by_case.items()} == {
        1: ["or/b.vital", "or/a.vital"],
        7: ["0002.vital"],
    }
    assert _left_out(found) == {"other_file": ("0001.vital",)}


def test_a_cell_takes_no_recording_that_is_another_case_s_by_its_name(tmp_path: Path) -> None:
    """Else a typing error gives one patient another's signals, and that other case goes without a word."""
    folder = _made(tmp_path, "0001.vital", "b/0002.vital", "0003.vital")
    with pytest.raises(
        RefusedError, match=r"names b/0002\.vital for case 1, .* recording of case 2, whose cell is empty"
    ):
        _found(folder, case_1=("b/0002.vital",), case_2=(), case_3=())
    exchanged = _found(folder, case_1=("b/0002.vital",), case_2=("0001.vital",), case_3=())
    assert {case: files[0].path for case, files in exchanged.by_case.items()} == {
        1: "b/0002.vital",
        2: "0001.vital",
        3: "0003.vital",
    }
    without_row = _found(folder, case_1=("b/0002.vital",))
    assert sorted(without_row.by_case) == [1, 3]


def test_a_link_to_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    _made(tmp_path, "0001.vital")
    (tmp_path / "OR12").symlink_to(tmp_path / "share" / "OR12")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "share" / "notes.txt")
    found = _found(tmp_path)
    assert sorted(found.by_case) == [1]
    assert _left_out(found) == {"dangling_link": ("OR12",)}
    assert contents_of(Storage(str(tmp_path))).left_out == found.left_out, "inspect says the same"


def test_a_cell_settles_which_of_two_files_is_a_case_s(tmp_path: Path) -> None:
    _made(tmp_path, "0001.vital", "b/1.vital")
    with pytest.raises(RefusedError, match="holds case 1 twice"):
        _found(tmp_path)
    assert [file.path for file in _found(tmp_path, case_1=("b/1.vital",)).by_case[1]] == ["b/1.vital"]


@pytest.mark.parametrize(
    "named", [{"case_1": ("a.vital",), "case_2": ("a.vital",)}, {"case_1": ("a.vital", "a.vital")}]
)
def test_a_file_named_twice_is_refused(tmp_path: Path, named: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(RefusedError, match=r"names a\.vital for case"):
        _found(_made(tmp_path, "a.vital"), **named)


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    _made(tmp_path, "0001.vital")
    for name, target in (
        ("0003.vital", "gone"),
        ("1.vital", "gone"),
        ("x.vital", "gone"),
        ("0004.vital", "0004.vital"),
    ):
        (tmp_path / name).symlink_to(target)
    found = _found(tmp_path, case_9=("x.vital", "0001.vital"))
    assert found.missing == {1: ("1.vital",), 3: ("0003.vital",), 4: ("0004.vital",), 9: ("x.vital",)}
    assert _left_out(_found(tmp_path)) == {"dangling_link": ("0003.vital", "0004.vital", "1.vital", "x.vital")}
    assert found.lacking({2, 3, 9}) == (
        "case 3: 0003.vital is a link that leads nowhere; case 9: x.vital is a link that leads nowhere"
    )
    assert _found(tmp_path, case_9=("y.vital", "x.vital")).lacking({9}) == (
        "case 9: y.vital is not there, x.vital is a link that leads nowhere"
    )


def test_a_requested_case_whose_recording_is_a_link_that_leads_nowhere(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(recordings / "raw-data" / "0001.vital", tmp_path / "0001.vital")
    shutil.copy(recordings / "clinical_data.csv", tmp_path)
    (tmp_path / "0003.vital").symlink_to("gone")
    with caplog.at_level(logging.WARNING):
        plan = _planned(str(tmp_path))
    assert [case.case_id for case in plan.cases] == [1]
    assert [(case.case_id, case.reason) for case in plan.excluded] == [(3, "raw_object_missing")]
    assert [(out.reason, out.names) for out in plan.left_out] == [("dangling_link", ("0003.vital",))]
    assert "case 3 is excluded, raw_object_missing: 0003.vital is a link that leads nowhere" in caplog.text
    with pytest.raises(RefusedError, match=r"None of the 1 .*\. In detail: case 3: 0003\.vital is a link that leads"):
        _planned(str(tmp_path), "3")
    with pytest.raises(RefusedError, match=r"\(raw_object_missing 1\) in [^ ]*\. Fix: "):
        _planned(str(tmp_path), "4")


def test_an_s3_key_with_an_empty_part_is_left_out_by_name(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    for key in ("raw/0001.vital", "raw//notes.txt", "raw/b/0002.vital"):
        s3_client(s3_environment).put_object(Bucket=BUCKET, Key=f"odd-part/{key}", Body=b"1")
    found = find_recordings(Storage(f"s3://{BUCKET}/odd-part"))
    assert list(found.by_case) == [1, 2]
    assert _left_out(found) == {"odd_key": ("raw//notes.txt",)}


def _table(recordings: Path, folder: Path, cells: dict[int, str]) -> str:
    header, *rows = (recordings / "clinical_data.csv").read_text().splitlines()
    lines = [f"{header},file", *(f"{row},{cells.get(int(row.split(',')[0]), '')}" for row in rows)]
    (folder / "clinical_data.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


def _planned(input_uri: str, cases: str | None = None) -> Plan:
    config = load_config(None, ("split.allow_empty=true",))
    return make_plan(PlanRequest(input=input_uri, config=config, cases=cases))


def test_a_plan_of_cases_that_only_the_table_names(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for case, name in ((1, "or/a.vital"), (2, "or/b.vital"), (3, "0003.vital"), (4, "unnamed.vital")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(recordings / "raw-data" / f"{case:04d}.vital", tmp_path / name)
    with caplog.at_level(logging.WARNING):
        plan = _planned(_table(recordings, tmp_path, {1: "or/a.vital; or/b.vital", 2: "or/gone.vital"}))
    one, three = plan.by_id[1], plan.by_id[3]
    assert [file.object for file in one.files] == ["or/a.vital", "or/b.vital"]
    assert [file.object for file in three.files] == ["0003.vital"]
    assert "parts" not in three.content()
    assert one.total_size == sum((tmp_path / "or" / name).stat().st_size for name in ("a.vital", "b.vital"))
    assert [(case.case_id, case.reason) for case in plan.excluded] == [(2, "raw_object_missing")]
    assert [(out.reason, out.names) for out in plan.left_out] == [("no_case_number", ("unnamed.vital",))]
    assert Plan.from_bytes(plan.to_bytes(), uri="plan") == plan
    assert "or/gone.vital is not there" in caplog.text
    assert "unnamed.vital" in caplog.text


def test_the_input_id_covers_each_part_in_order() -> None:
    first, second = FileStamp(size=1, etag="a"), FileStamp(size=2, etag="b")
    ids = {
        input_id(Stamp(size=one.size, etag=one.etag, parts=parts), {}, {})
        for one, parts in ((first, ()), (first, (second,)), (second, (first,)), (first, (first,)))
    }
    assert len(ids) == 4
