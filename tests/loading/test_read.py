"""Reading a published data set into NumPy: the values, the forms of storage, the order, and what is refused."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import vitalprep
from tests.loading.conftest import Published
from vitalprep.contract.paths import SPLITS
from vitalprep.runtime.errors import RefusedError, UsageError

Key = tuple[int, int]


def key_of(window: vitalprep.Window) -> Key:
    return window.case_id, window.start_second


def test_all_windows_of_all_splits_come_once(published: Published) -> None:
    rows = csv.DictReader((published.folder / "cases.csv").open())
    wanted = {int(row["case_id"]): (row["split"], int(row["windows"]), int(row["subject_id"])) for row in rows}
    found: dict[int, int] = {}
    for split in SPLITS:
        windows = list(vitalprep.read(published.sharded, split))
        assert len({key_of(window) for window in windows}) == len(windows) == published.windows[split] > 0
        for window in windows:
            assert (split, window.subject_id) == (wanted[window.case_id][0], wanted[window.case_id][2])
            found[window.case_id] = found.get(window.case_id, 0) + 1
    assert found == {case: windows for case, (_, windows, _) in wanted.items()}


def test_measured_samples_come_back_in_clinical_units(published: Published) -> None:
    about = vitalprep.describe(published.sharded)
    low, high = np.array([feature.range for feature in about.inputs]).T
    measured = 0
    for window in vitalprep.read(published.sharded, "validation", origin=True):
        (path,) = published.folder.parents[1].glob(f"harmonized/*/{window.case_id:04d}-*.parquet")
        table = pq.read_table(path)
        recorded = np.array([table.column(name) for name in about.input_names]).T
        seconds = slice(window.start_second, window.start_second + about.window)
        assert window.origins is not None
        observed = window.origins.timeseries == 0
        np.testing.assert_array_equal(observed, ~np.isnan(recorded[seconds]))
        clinical = about.denormalize(window.timeseries, about.input_names)
        expected = np.clip(recorded[seconds], low, high)
        # float32 in [-1, 1] has steps of 6e-8: of a range of 200, 1e-5
        np.testing.assert_allclose(clinical[observed], expected[observed], atol=2e-5)
        measured += int(observed.sum())
        ahead = window.start_second + about.window - 1 + about.horizon
        target = about.denormalize(window.target, about.target_names)
        for column, value, origin in zip(about.target_columns, target, window.origins.target, strict=True):
            if origin == 0:
                bounded = np.clip(recorded[ahead, column], low[column], high[column])
                assert value == pytest.approx(bounded, abs=2e-5)
    assert measured > 10_000


def test_denormalize_has_the_ranges_of_the_specification(published: Published) -> None:
    about = vitalprep.describe(published.sharded)
    corners = [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]
    np.testing.assert_allclose(
        about.denormalize(corners, ["HR", "Propofol", "age"]), [[20, 0, 0], [110, 6, 60], [200, 12, 120]]
    )
    np.testing.assert_allclose(about.denormalize([[0.5], [-0.5]], "SPO2"), [[92.5], [77.5]])
    np.testing.assert_allclose(about.normalize([65.0, 0.0, 500.0], "HR"), [-0.5, -1, 1])
    assert [(about.targets[0].name, about.targets[0].unit), about.targets[3].unit] == [
        ("Propofol", "mg/kg/h"),
        "mL/kg IBW",
    ]
    with pytest.raises(UsageError, match="no feature 'HF'"):
        about.denormalize([0.0], ["HF"])
    with pytest.raises(UsageError, match="2 columns"):
        about.denormalize([0.0], ["HR", "BIS"])
    with pytest.raises(UsageError, match="No name"):
        about.denormalize(np.zeros((3, 0)), [])
    for values in (["a"], [[1.0], [1.0, 2.0]], [None, object()]):
        with pytest.raises(UsageError, match="not an array of numbers"):
            about.denormalize(values, "HR")  # type: ignore[arg-type]


def test_a_default_outside_of_its_range_is_told_by_its_origin(published: Published) -> None:
    about = vitalprep.describe(published.sharded)
    column = about.input_names.index("RR")
    assert (about.inputs[column].default, about.inputs[column].range) == (0, (6, 30))
    batches = list(vitalprep.read(published.sharded, "train", origin=True, batch_size=64))
    series = np.concatenate([batch.timeseries for batch in batches])[:, :, column]
    origins = np.concatenate([batch.origins.timeseries for batch in batches if batch.origins])[:, :, column]
    assert (origins == 2).any()
    np.testing.assert_array_equal(about.denormalize(series[origins == 2], "RR"), 6.0)


@pytest.mark.parametrize("form", ["gzipped", "s3"])
def test_every_form_of_storage_gives_the_same_windows(published: Published, form: str) -> None:
    plain = list(vitalprep.read(published.sharded, "train", origin=True))
    other = list(vitalprep.read(getattr(published, form), "train", origin=True))
    for one, two in zip(plain, other, strict=True):
        assert key_of(one) == key_of(two)
        np.testing.assert_array_equal(one.timeseries, two.timeseries)
        np.testing.assert_array_equal(one.target, two.target)
        assert one.origins is not None
        assert two.origins is not None
        np.testing.assert_array_equal(one.origins.timeseries, two.origins.timeseries)


def test_batches_are_the_windows_in_new_writable_arrays(published: Published) -> None:
    windows = list(vitalprep.read(published.sharded, "test", shuffle=5))
    batches = list(vitalprep.read(published.sharded, "test", shuffle=5, batch_size=10, origin=True))
    assert [len(batch) for batch in batches[:-1]] == [10] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= 10
    first = batches[0]
    assert (first.timeseries.shape, first.static.shape, first.target.shape) == ((10, 300, 16), (10, 6), (10, 8))
    assert {array.dtype for array in (first.timeseries, first.static, first.target)} == {np.dtype(np.float32)}
    assert first.origins is not None
    assert (first.origins.timeseries.shape, first.origins.target.dtype) == ((10, 300, 16), np.dtype(np.uint8))
    for name in ("case_id", "subject_id", "start_second", "timeseries", "static", "target"):
        joined = np.concatenate([getattr(batch, name) for batch in batches])
        np.testing.assert_array_equal(joined, np.stack([getattr(window, name) for window in windows]))
    for array in (windows[0].timeseries, first.timeseries):
        assert array.flags.writeable
        assert array.flags.aligned
    assert windows[0].origins is None


def test_a_seed_gives_the_same_order_from_everywhere(published: Published) -> None:
    def order(uri: str, seed: int | None) -> list[Key]:
        return [key_of(window) for window in vitalprep.read(uri, "train", shuffle=seed, buffer=32)]

    assert order(published.sharded, 7) == order(published.sharded, 7) == order(published.s3, 7)
    assert order(published.sharded, 7) != order(published.sharded, 8)
    assert sorted(order(published.sharded, 7)) == sorted(order(published.sharded, None))


def test_false_draws_no_order(published: Published) -> None:
    def order(shuffle: int | None) -> list[Key]:
        return [key_of(window) for window in vitalprep.read(published.sharded, "train", shuffle=shuffle)]

    assert order(False) == order(np.False_) == order(None) != order(0)  # type: ignore[arg-type]
    assert order(np.int64(7)) == order(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("opened", [vitalprep.read, vitalprep.load])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shuffle": True}, r"shuffle is True.* Fix: give a seed, as shuffle=1"),
        ({"shuffle": "yes"}, "shuffle is 'yes'"),
        ({"shuffle": 1.0}, "shuffle is 1.0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"batch_size": True}, "batch_size is True"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"buffer": None}, "buffer is None"),
        ({"buffer": -1}, "buffer is -1"),
    ],
)
def test_arguments_of_another_kind_are_refused(
    published: Published, opened: Callable[..., object], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        opened(published.sharded, "train", **{"batch_size": 4, "shuffle": None, **given})


def test_workers_share_the_files(published: Published) -> None:
    files = len(list(published.folder.glob("vitaldb-train.tfrecord-*")))
    assert files >= 3
    shares = [
        [key_of(window) for window in vitalprep.read(published.sharded, "train", shard=(index, 3), shuffle=1)]
        for index in range(3)
    ]
    assert all(shares)
    together = [key for share in shares for key in share]
    assert len(together) == len(set(together)) == published.windows["train"]
    with pytest.raises(UsageError, match=f"has {files} files, which {files + 1} workers cannot share"):
        vitalprep.read(published.sharded, "train", shard=(0, files + 1))
    with pytest.raises(UsageError, match="no worker"):
        vitalprep.read(published.sharded, "train", shard=(3, 3))


def copied(published: Published, folder: Path) -> Path:
    return Path(shutil.copytree(published.folder, folder / "copy"))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_not_proved_is_refused_unless_asked_for(published: Published, tmp_path: Path) -> None:
    dataset = copied(published, tmp_path)
    verdict = dataset / "validation.json"

    def fail(content: dict[str, Any]) -> None:
        content["passed"] = False
        content["checks"][3] |= {"passed": False, "detail": "record 7 is not within [-1, 1]"}

    edit(verdict, fail)
    with pytest.raises(RefusedError, match=r"did not pass.*record 7 is not within"):
        vitalprep.read(str(dataset), "train")
    edit(verdict, lambda content: content.update(passed=True, dataset_id="0" * 12))
    with pytest.raises(RefusedError, match="belongs to data set 000000000000"):
        vitalprep.describe(str(dataset))
    verdict.unlink()
    with pytest.raises(RefusedError, match="never validated"):
        vitalprep.read(str(dataset), "train")
    assert len(list(vitalprep.read(str(dataset), "train", unproved=True))) == published.windows["train"]
    assert not vitalprep.describe(str(dataset), unproved=True).proved
    assert vitalprep.describe(published.sharded).proved


def test_a_path_is_a_location_too(published: Published) -> None:
    folder = published.folder
    assert vitalprep.describe(folder).uri == vitalprep.describe(published.sharded).uri
    windows = [[key_of(window) for window in vitalprep.read(uri, "test")] for uri in (folder, published.sharded)]
    assert windows[0] == windows[1]


def test_what_is_not_there_is_named(published: Published, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no split 'valid'.*train, validation, test"):
        vitalprep.read(published.sharded, "valid")
    with pytest.raises(UsageError, match="does not exist"):
        vitalprep.read(str(tmp_path / "nowhere"), "train")
    with pytest.raises(RefusedError, match="is neither a data set nor an output with one"):
        vitalprep.read(str(tmp_path), "train")
    with pytest.raises(RefusedError, match="is neither a data set nor an output with one"):
        vitalprep.read(f"{published.s3}/nothing", "train")
    (empty := tmp_path / "datasets" / "0123456789ab").mkdir(parents=True)
    with pytest.raises(RefusedError, match="is no data set"):
        vitalprep.read(empty, "train")
    with pytest.raises(UsageError, match="batch_size is 0"):
        vitalprep.read(published.sharded, "train", batch_size=0)


def test_an_output_stands_for_its_latest_data_set(published: Published, tmp_path: Path) -> None:
    output = published.folder.parents[1]
    latest = json.loads((output / "datasets" / "latest.json").read_bytes())
    about = vitalprep.describe(output)
    assert (about.uri, about.dataset_id) == (f"{output}/datasets/{latest['dataset_id']}", latest["dataset_id"])
    assert about.content_id == latest["content_id"] == vitalprep.describe(about.uri).content_id
    assert sum(1 for _ in vitalprep.read(f"{output}/", "test")) == about.windows["test"]
    unproved = tmp_path / "out"
    shutil.copytree(output / "datasets" / latest["dataset_id"], unproved / "datasets" / latest["dataset_id"])
    with pytest.raises(RefusedError, match="has no data set that passed validation") as caught:
        vitalprep.describe(unproved)
    assert f"vitalprep status {unproved}" in caught.value.fix


def test_a_data_set_of_0_1_0_has_no_content_id(published: Published, tmp_path: Path) -> None:
    dataset = copied(published, tmp_path)
    edit(dataset / "preprocessing_metadata.json", lambda content: content.pop("content_id"))
    about = vitalprep.describe(dataset)
    assert (about.content_id, about.name) == (None, None)
    assert sum(1 for _ in vitalprep.read(dataset, "test")) == published.windows["test"]


def test_a_data_set_of_a_newer_vitalprep_is_refused(published: Published, tmp_path: Path) -> None:
    dataset = copied(published, tmp_path)
    edit(dataset / "preprocessing_metadata.json", lambda content: content.update(schema_version=2))
    with pytest.raises(RefusedError, match="schema version 2"):
        vitalprep.describe(str(dataset))


def test_a_missing_or_cut_file_is_refused_at_once(published: Published, tmp_path: Path) -> None:
    dataset = copied(published, tmp_path)
    file = sorted(dataset.glob("vitaldb-train.tfrecord-*"))[1]
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(RefusedError, match=f"{file.name} has {len(data) - 1} bytes, {len(data)} were written"):
        vitalprep.read(str(dataset), "train")
    file.unlink()
    with pytest.raises(RefusedError, match=f"{file.name} is missing"):
        vitalprep.read(str(dataset), "train")
    assert len(list(vitalprep.read(str(dataset), "test"))) == published.windows["test"]


def changed(data: bytes) -> bytes:
    """Flip a bit in the middle, behind which the content is another one: not every bit of a gzip stream matters."""
    for place in range(len(data) // 2, len(data)):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if not data.startswith(b"\x1f\x8b"):
            return damaged
        try:
            same = gzip.decompress(damaged) == gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            same = False
        if not same:
            return damaged
    raise AssertionError("no bit of it matters")


@pytest.mark.parametrize("form", ["sharded", "gzipped"])
def test_a_changed_byte_is_refused_where_it_is(published: Published, tmp_path: Path, form: str) -> None:
    dataset = Path(shutil.copytree(getattr(published, form), tmp_path / "copy"))
    file = max(dataset.glob("*train.tfrecord*"))
    file.write_bytes(changed(file.read_bytes()))
    with pytest.raises(RefusedError, match=rf"{file.name}, record \d+: "):
        list(vitalprep.read(str(dataset), "train"))


def test_a_file_that_ends_early_is_refused(published: Published, tmp_path: Path) -> None:
    dataset = copied(published, tmp_path)

    def one_more(content: dict[str, Any]) -> None:
        content["splits"]["test"]["files"][0]["windows"] += 1

    edit(dataset / "preprocessing_metadata.json", one_more)
    with pytest.raises(RefusedError, match=r"record \d+: here the file ends; \d+ records were written"):
        list(vitalprep.read(str(dataset), "test"))


def test_without_tensorflow_it_is_said_how_to_install_it(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UsageError, match=r'pip install "/path/to/vitalprep\[tensorflow\]".*make develop'):
        vitalprep.load(published.sharded, "train", batch_size=4, shuffle=None)


def test_importing_the_package_is_light_and_reading_needs_no_tensorflow(published: Published) -> None:
    code = (
        "import sys, vitalprep\n"
        "light = sorted({'numpy', 'pydantic', 'obstore'} & set(sys.modules))\n"
        "windows = sum(1 for _ in vitalprep.read(sys.argv[1], 'test'))\n"
        "print(light, windows, sorted({'tensorflow', 'torch', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, published.sharded]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == f"[] {published.windows['test']} []"
    assert set(vitalprep.__all__) <= set(dir(vitalprep))
    with pytest.raises(AttributeError, match="lode"):
        _ = vitalprep.lode
