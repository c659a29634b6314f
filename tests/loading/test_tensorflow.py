"""TensorFlow's ways to a published data set: `load`, TensorFlow Datasets, and a training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vitalprep
from tests.loading.conftest import Published
from vitalprep.contract.paths import SPLITS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is an extra that only reads data sets back")

NAMES = ("timeseries", "static", "target")


def rows(dataset: Any) -> list[bytes]:
    """Every window of some batches as bytes, in order."""
    return [
        b"".join(part.tobytes() for part in window)
        for batch in dataset
        for window in zip(*map(np.asarray, batch), strict=True)
    ]


def rows_read(uri: str, split: str) -> list[bytes]:
    """The same from `read`."""
    windows = vitalprep.read(uri, split)
    return [b"".join(getattr(window, name).tobytes() for name in NAMES) for window in windows]


def test_batches_are_what_read_gives_in_its_order(published: Published) -> None:
    for split in SPLITS:
        dataset = vitalprep.load(published.sharded, split, batch_size=16, shuffle=None)
        assert rows(dataset) == rows_read(published.sharded, split)
        assert rows(vitalprep.load(published.sharded, split, batch_size=16, shuffle=False)) == rows(dataset)
        assert len(dataset) == -(-published.windows[split] // 16)
    assert rows(vitalprep.load(published.folder, "test", batch_size=16, shuffle=None)) == rows(dataset)
    inputs, static, target = dataset.element_spec
    assert (inputs.shape, static.shape, target.shape) == ((None, 300, 16), (None, 6), (None, 8))
    assert {spec.dtype for spec in dataset.element_spec} == {tf.float32}
    even = vitalprep.load(published.sharded, "train", batch_size=16, shuffle=None, drop_remainder=True)
    assert even.element_spec[0].shape == (16, 300, 16)
    assert len(rows(even)) == published.windows["train"] // 16 * 16


def test_origins_come_along(published: Published) -> None:
    (batch,) = vitalprep.read(published.sharded, "test", batch_size=1000, origin=True)
    dataset = vitalprep.load(published.sharded, "test", batch_size=1000, shuffle=None, origin=True)
    ((_, _, target, origins),) = list(dataset)
    np.testing.assert_array_equal(target, batch.target)
    for name in NAMES:
        np.testing.assert_array_equal(origins[name], getattr(batch.origins, name))
        assert origins[name].dtype == tf.uint8


def test_a_seed_gives_the_same_epochs_and_each_another_order(published: Published) -> None:
    def epochs(uri: str, seed: int) -> list[list[bytes]]:
        dataset = vitalprep.load(uri, "train", batch_size=16, shuffle=seed, buffer=50)
        return [rows(dataset), rows(dataset)]

    first, second = epochs(published.sharded, 3)
    assert [first, second] == epochs(published.sharded, 3)
    assert len({tuple(order) for order in (first, second, epochs(published.sharded, 4)[0])}) == 3
    assert sorted(first) == sorted(second) == sorted(rows_read(published.sharded, "train"))
    repeated = vitalprep.load(published.sharded, "train", batch_size=16, shuffle=3, buffer=50, repeat=2)
    assert rows(repeated) == first + second
    assert len(repeated) == 2 * -(-published.windows["train"] // 16)
    endless = vitalprep.load(published.sharded, "test", batch_size=16, shuffle=3, repeat=None)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.parametrize("shuffle", [None, 3])
def test_s3_gives_the_same_batches_as_a_folder(published: Published, shuffle: int | None) -> None:
    from_folder, from_s3 = (
        vitalprep.load(uri, "train", batch_size=16, shuffle=shuffle, buffer=50)
        for uri in (published.sharded, published.s3)
    )
    for _ in range(2):
        assert rows(from_s3) == rows(from_folder)


def test_gzip_and_shares_of_workers(published: Published) -> None:
    gzipped = vitalprep.load(published.gzipped, "validation", batch_size=16, shuffle=None)
    assert rows(gzipped) == rows_read(published.gzipped, "validation")
    shares = [
        rows(vitalprep.load(published.sharded, "train", batch_size=16, shuffle=1, shard=(index, 2)))
        for index in range(2)
    ]
    assert sorted(shares[0] + shares[1]) == sorted(rows_read(published.sharded, "train"))


def test_damage_ends_the_training_and_is_not_skipped(published: Published, tmp_path: Path) -> None:
    dataset = Path(shutil.copytree(published.folder, tmp_path / "copy"))
    file = min(dataset.glob("vitaldb-train.tfrecord-*"))
    whole = file.read_bytes()
    file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(tf.errors.DataLossError):
        list(vitalprep.load(str(dataset), "train", batch_size=16, shuffle=1))
    length, windows = 16 + int.from_bytes(whole[:8], "little"), published.windows["train"]
    file.write_bytes(whole[length:])  # one window less, each of the others whole
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    metadata["splits"]["train"]["files"][0]["bytes"] -= length
    (dataset / "preprocessing_metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(
        tf.errors.FailedPreconditionError,
        match=f"expected to contain {windows} elements but contained only {windows - 1}",
    ):
        list(vitalprep.load(str(dataset), "train", batch_size=16, shuffle=1))


@pytest.fixture(scope="module")
def builder(published: Published) -> Iterator[Any]:
    tfds = pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is a development tool")
    return tfds.builder_from_directory(published.sharded)


def test_tfds_opens_the_data_set_as_it_lies(published: Published, builder: Any) -> None:
    for split in SPLITS:
        info = builder.info.splits[split]
        files = sorted(published.folder.glob(f"vitaldb-{split}.tfrecord-*"))
        lengths = [sum(1 for _ in tf.data.TFRecordDataset(str(file))) for file in files]
        assert info.shard_lengths == lengths
        assert info.num_examples == published.windows[split]
        assert info.num_bytes == sum(file.stat().st_size for file in files)
        assert [Path(path).name for path in info.filepaths] == [file.name for file in files]
    features = builder.info.features
    assert (features["timeseries"].shape, features["timeseries_origin"].tf_dtype) == ((300, 16), tf.uint8)


def test_tfds_reads_what_read_gives(published: Published, builder: Any) -> None:
    windows = {
        (window.case_id, window.start_second): window
        for window in vitalprep.read(published.sharded, "train", origin=True)
    }
    for found in builder.as_dataset(split="train", shuffle_files=True).as_numpy_iterator():
        window = windows.pop((int(found["case_id"]), int(found["start_second"])))
        assert found["subject_id"] == window.subject_id
        assert window.origins is not None
        for name in NAMES:
            np.testing.assert_array_equal(found[name], getattr(window, name))
            np.testing.assert_array_equal(found[f"{name}_origin"], getattr(window.origins, name))
            assert found[f"{name}_origin"].dtype == np.uint8
    assert not windows
    half = builder.as_dataset(split="train[:50%]")
    assert len(half) == round(published.windows["train"] / 2)
    (inputs, static), target = next(iter(builder.as_dataset(split="test", as_supervised=True, batch_size=4)))
    assert (inputs.shape, static.shape, target.shape) == ((4, 300, 16), (4, 6), (4, 8))


def test_tfds_refuses_gzip_when_it_opens_it(published: Published) -> None:
    tfds = pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is a development tool")
    with pytest.raises(ValueError, match=r"tfrecord\.gz"):
        tfds.builder_from_directory(published.gzipped)


def test_the_example_trains_and_judges_itself_fairly(
    published: Published, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples import train_cnn_lstm

    monkeypatch.setattr("sys.argv", ["train_cnn_lstm.py", published.sharded, "--seconds", "0.1", "--batch-size", "16"])
    train_cnn_lstm.main()
    printed = capsys.readouterr().out
    about = vitalprep.describe(published.sharded)
    assert all(name in printed for name in about.target_names)
    assert "repeating the last value on" in printed

    scores = train_cnn_lstm.scores(train_cnn_lstm.made(about), about, 16)
    (batch,) = vitalprep.read(published.sharded, "test", batch_size=1000, origin=True)
    tidal_volume, input_column = about.target_names.index("TV"), about.input_names.index("TV")
    measured = batch.origins.target[:, tidal_volume] == 0
    errors = 6 * np.abs(batch.target[:, tidal_volume] - batch.timeseries[:, -1, input_column])  # half of 0-12 mL/kg
    score = scores[tidal_volume]
    assert (score.name, score.unit, score.windows) == ("TV", "mL/kg IBW", measured.sum())
    assert score.last_value == pytest.approx(errors[measured].mean(), rel=1e-5)
    assert score.model == pytest.approx(score.last_value, rel=1e-5)  # untrained, it is the baseline
    assert score.verdict == "the same"
