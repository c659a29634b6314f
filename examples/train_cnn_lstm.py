"""Train a small CNN-LSTM for about a minute, and hold it against repeating the last value.

    python examples/train_cnn_lstm.py <output>/datasets/<dataset_id>

The model sees 300 s of 16 signals, which of them were measured, and the patient; it predicts the eight drug rates and
ventilator settings 30 s later. It starts from the last value of each and learns what to add, so that it begins as the
baseline that it has to beat. This is an example of loading and judging, not a model to be used on anybody.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf  # noqa: TID251
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import vitalprep

MEASURED = 0  # origin code
FINE = 20.0
RATE = 3e-3


@dataclass(frozen=True)
class Score:
    """One target: mean absolute errors in its unit, over the windows in which it was measured."""

    name: str
    unit: str
    windows: int
    model: float
    last_value: float

    @property
    def verdict(self) -> str:
        """What a difference of more than 1 % says; less is none."""
        if not self.windows:
            return "never measured"
        if abs(self.model - self.last_value) <= 0.01 * self.last_value:
            return "the same"
        return "better" if self.model < self.last_value else "worse"


def main() -> None:
    """Train, evaluate on the test split, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="the data set, a folder or s3://...")
    parser.add_argument("--seconds", type=float, default=60, help="to train (default: %(default)g)")
    parser.add_argument("--batch-size", type=int, default=64, help="windows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and order (default: %(default)s)")
    given = parser.parse_args()
    keras.utils.set_random_seed(given.seed)
    about = vitalprep.describe(given.uri)
    model = made(about)
    train = vitalprep.load(given.uri, "train", batch_size=given.batch_size, shuffle=given.seed, origin=True)
    stop = StopAfter(given.seconds)
    model.fit(train.map(for_keras), epochs=1000, verbose=0, shuffle=False, callbacks=[stop])
    print(f"trained for {stop.seconds:.0f} s: {stop.batches} batches of {given.batch_size}, loss {stop.loss:.4f}")
    report(scores(model, about, given.batch_size))


def made(about: vitalprep.Description) -> keras.Model:
    """Two convolutions (300 s become 50 steps), an LSTM, and an output that is added to the last value."""
    count = len(about.inputs)
    series = keras.Input((about.window, count), name="series")
    measured = keras.Input((about.window, count), name="measured")
    static = keras.Input((len(about.statics),), name="static")
    # A step that matters is a hundredth of a range: the network sees differences from the last second enlarged.
    since = keras.layers.Rescaling(FINE)(series - series[:, -1:, :])
    hidden = keras.layers.Concatenate()([series, since, measured])
    hidden = keras.layers.Conv1D(32, 5, strides=2, padding="same", activation="relu")(hidden)
    hidden = keras.layers.Conv1D(48, 5, strides=3, padding="same", activation="relu")(hidden)
    hidden = keras.layers.LSTM(48)(hidden)
    hidden = keras.layers.Concatenate()([hidden, static])
    hidden = keras.layers.Dense(64, activation="relu")(hidden)
    change = keras.layers.Dense(len(about.targets), kernel_initializer="zeros")(hidden)
    change = keras.layers.Rescaling(1 / FINE)(change)
    last = keras.ops.take(series[:, -1, :], about.target_columns, axis=-1)
    model = keras.Model([series, measured, static], keras.layers.Add()([last, change]))
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss="mean_absolute_error")
    return model


def for_keras(inputs: Any, static: Any, target: Any, origins: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Put a batch into the model's order, with a mask of what was measured."""
    return (inputs, tf.cast(origins["timeseries"] == MEASURED, tf.float32), static), target


class StopAfter(keras.callbacks.Callback):
    """Ends the training after some seconds, towards which the learning rate falls to zero."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.limit = seconds
        self.seconds = 0.0
        self.batches = 0
        self.loss = float("nan")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Note the time."""
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop, if it is time."""
        self.batches += 1
        self.loss = (logs or {}).get("loss", self.loss)
        self.seconds = time.monotonic() - self.began
        self.model.optimizer.learning_rate = RATE * max(0, 1 - self.seconds / self.limit)
        self.model.stop_training = self.seconds >= self.limit


def scores(model: keras.Model, about: vitalprep.Description, batch_size: int) -> list[Score]:
    """Evaluate on the test split: only where the target was measured, a held or default one is not what was done."""
    windows: NDArray[np.int64] = np.zeros(len(about.targets), dtype=np.int64)
    errors = np.zeros((2, len(about.targets)))
    for batch in vitalprep.load(about.uri, "test", batch_size=batch_size, shuffle=None, origin=True):
        values, target = for_keras(*batch)
        predicted = np.clip(model.predict_on_batch(values), -1, 1)
        last = values[0].numpy()[:, -1, about.target_columns]
        wanted = about.denormalize(target.numpy(), about.target_names)
        measured = batch[3]["target"].numpy() == MEASURED
        windows += measured.sum(axis=0)
        for row, guess in enumerate((predicted, last)):
            error = np.abs(about.denormalize(guess, about.target_names) - wanted)
            errors[row] += np.where(measured, error, 0).sum(axis=0)
    means = errors / np.maximum(windows, 1)
    return [
        Score(item.name, item.unit, int(count), *map(float, mean))
        for item, count, mean in zip(about.targets, windows, means.T, strict=True)
    ]


def report(found: list[Score]) -> None:
    """Print the table and what it says."""
    table = Table(title="Mean absolute error 30 s ahead, test split", title_justify="left")
    for heading in ("target", "unit", "windows", "CNN-LSTM", "last value", ""):
        table.add_column(heading, justify="left" if heading in ("target", "unit", "") else "right")
    for score in found:
        errors = (f"{score.model:.4g}", f"{score.last_value:.4g}") if score.windows else ("", "")
        table.add_row(score.name, score.unit, str(score.windows), *errors, score.verdict)
    Console().print(table)
    better = [score.name for score in found if score.verdict == "better"]
    count = sum(score.windows > 0 for score in found)
    if better:
        print(f"The model beats repeating the last value on {len(better)} of {count} targets: {', '.join(better)}.")
    else:
        print(f"The model does not beat repeating the last value on any of {count} targets.")


if __name__ == "__main__":
    main()
