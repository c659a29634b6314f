"""Description of a data set from its own metadata: features with units and ranges, splits and files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.data_set_uri import data_set_uri
from vitalprep.contract.metadata import Feature, Metadata
from vitalprep.contract.paths import METADATA, VERDICT
from vitalprep.contract.record import RecordShape
from vitalprep.contract.verdict import Verdict
from vitalprep.features import normalize as scale
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["Description", "Feature", "describe"]


class Description:
    """Description of a data set, as `describe` returns it.

    Attributes
    ----------
    uri, dataset_id : str
    content_id : str or None
        64 hex digits: equal for data sets with equal records, wherever they were made. None for data sets of vitalprep
        0.1.0.
    name : str or None
        As ``vitalprep run --name`` gave it.
    proved : bool
        Whether the data set passed validation; False only with ``unproved=True``.
    inputs, statics, targets : tuple of Feature
        The columns of `timeseries`, `static` and `target`, in order.
    target_columns : tuple of int
        For each target, the column of `timeseries` that holds the same signal.
    window, step, horizon : int
        Seconds in a window, between the starts of two windows, and from a window's last second to its target.
    windows, cases, subjects : dict of str to int
        Counts by split.
    """

    def __init__(self, uri: str, metadata: Metadata, *, proved: bool) -> None:
        by_name = {item.name: item for item in metadata.inputs}
        windowing = metadata.windowing
        self.uri = uri
        self.dataset_id = metadata.dataset_id
        self.content_id = metadata.content_id
        self.name = metadata.name
        self.proved = proved
        self.inputs = metadata.inputs
        self.statics = metadata.statics
        self.targets = tuple(
            by_name[target.input].model_copy(update={"name": target.name}) for target in metadata.targets
        )
        self.target_columns = tuple(self.input_names.index(target.input) for target in metadata.targets)
        self.window, self.step, self.horizon = windowing.window, windowing.step, windowing.target_horizon
        self.windows: dict[str, int] = {name: split.windows for name, split in metadata.splits.items()}
        self.cases: dict[str, int] = {name: split.cases for name, split in metadata.splits.items()}
        self.subjects: dict[str, int] = {name: split.subjects for name, split in metadata.splits.items()}
        self.compression = metadata.compression
        self._files: dict[str, tuple[FileSummary, ...]] = {name: split.files for name, split in metadata.splits.items()}

    def __repr__(self) -> str:
        windows = ", ".join(f"{split} {count}" for split, count in self.windows.items())
        name = f" {self.name!r}" if self.name else ""
        proved = "" if self.proved else ", UNPROVED"
        return f"<data set {self.dataset_id}{name}{proved}: {windows} windows of {self.window} s>"

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the columns of `timeseries`."""
        return tuple(item.name for item in self.inputs)

    @property
    def static_names(self) -> tuple[str, ...]:
        """Names of the columns of `static`."""
        return tuple(item.name for item in self.statics)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the columns of `target`."""
        return tuple(item.name for item in self.targets)

    @property
    def record_shape(self) -> RecordShape:
        """Sizes of a record's parts."""
        return RecordShape(
            window=self.window, inputs=len(self.inputs), statics=len(self.statics), targets=len(self.targets)
        )

    def files(self, split: str, *, shard: tuple[int, int] | None = None) -> tuple[FileSummary, ...]:
        """Return the files of a split that hold windows, or one worker's share of these files.

        Parameters
        ----------
        shard : tuple of int, optional
            (index, count): every `count`-th file, starting with the `index`-th. Each window is in one share only.

        Raises
        ------
        UsageError
            If there is no such split, it has no window, or there are more workers than files.
        """
        if split not in self._files:
            known = ", ".join(self._files)
            raise UsageError(f"{self.uri} has no split {split!r}.", fix=f"name one of {known}.")
        files = tuple(file for file in self._files[split] if file.windows)
        if not files:
            raise UsageError(
                f"The {split} split of {self.uri} has no window.", fix="use another split, or build with more cases."
            )
        if shard is None:
            return files
        index, count = shard
        if not 0 <= index < count:
            raise UsageError(
                f"shard={shard} is no worker of {count}.", fix="give (index, count) with 0 <= index < count."
            )
        if count > len(files):
            raise UsageError(
                f"The {split} split of {self.uri} has {len(files)} files, which {count} workers cannot share.",
                fix="use fewer workers, or build it with a smaller output.shard_mb.",
            )
        return files[index::count]

    def denormalize(self, values: ArrayLike, names: str | Sequence[str]) -> NDArray[np.float64]:
        """Convert normalized values to clinical units.

        ``(value + 1) / 2 * (high - low) + low`` with each feature's own range (docs/design.md, ruling 3).
        Clipped values become the bound of the range. If the clipped value is a default, its origin is 2.

        Parameters
        ----------
        values : array_like, shape (..., len(names))
            Normalized values. Any shape if `names` is a single name.
        names : str or sequence of str
            Names of inputs, statics or targets along the last axis, such as ``description.target_names``.

        Returns
        -------
        ndarray of float64
            The values in the units of the features (``Feature.unit``).

        Raises
        ------
        UsageError
            If the values are not numbers, a name is unknown, no name is given, or the length of the last axis is not
            the number of names.
        """
        return scale.denormalize(*self._with_bounds(values, names))

    def normalize(self, values: ArrayLike, names: str | Sequence[str]) -> NDArray[np.float32]:
        """Convert values in clinical units to [-1, 1], as in the records. Values outside a range are clipped.

        The parameters are those of `denormalize`.
        """
        return scale.normalize(*self._with_bounds(values, names))

    def _with_bounds(
        self, values: ArrayLike, names: str | Sequence[str]
    ) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]]]:
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(f"The values are not an array of numbers: {error}.", fix="give numbers.") from error
        if not isinstance(names, str) and not len(names):
            raise UsageError("No name was given.", fix="give the names of the last axis, in order.")
        ranges = [self._range(name) for name in ([names] if isinstance(names, str) else names)]
        if not isinstance(names, str) and (array.ndim == 0 or array.shape[-1] != len(ranges)):
            raise UsageError(
                f"An array of shape {array.shape} does not have {len(ranges)} columns, one for each name.",
                fix="give the names of the last axis, in order.",
            )
        low, high = np.array(ranges, dtype=np.float64).T
        return array, (low, high)

    def _range(self, name: str) -> tuple[float, float]:
        if name not in self._ranges:
            raise UsageError(f"{self.uri} has no feature {name!r}.", fix=f"name one of {', '.join(self._ranges)}.")
        ranges = self._ranges[name]
        if len(ranges) > 1:
            raise UsageError(
                f"{name!r} is an input and a static of {self.uri}, with different ranges.",
                fix="convert it with the `range` of its entry in `inputs` or `statics`.",
            )
        return next(iter(ranges))

    @cached_property
    def _ranges(self) -> dict[str, set[tuple[float, float]]]:
        found: dict[str, set[tuple[float, float]]] = {}
        for item in (*self.inputs, *self.statics, *self.targets):
            found.setdefault(item.name, set()).add(item.range)
        return found


def describe(uri: str | os.PathLike[str], *, unproved: bool = False) -> Description:
    """Return the description of a data set. Refuse a data set that has not passed validation.

    Parameters
    ----------
    uri : str or path
        The data set: ``<output>/datasets/<dataset_id>``, any folder or ``s3://bucket/prefix`` that it was copied to, or
        ``<output>``, whose latest data set is opened.
    unproved : bool
        Accept a data set without a passing verdict, too.

    Raises
    ------
    RefusedError
        If there is no data set, or it has not passed validation.
    UsageError
        If the folder or bucket does not exist or must not be read.
    RetryableError
        If S3 or the disk fails.
    """
    place = Storage(data_set_uri(uri))
    try:
        metadata = Metadata.from_bytes(place.get(METADATA), uri=place.uri_of(METADATA))
    except ObjectMissing as error:
        raise _no_data_set(place) from error
    proved = _proved(place, metadata.dataset_id, demanded=not unproved)
    return Description(place.uri, metadata, proved=proved)


def _proved(place: Storage, dataset_id: str, *, demanded: bool) -> bool:
    fix = (
        f"run `vitalprep validate` on <output>/datasets/{dataset_id} in the output that made it (a copy needs its "
        f"{VERDICT}), or read it with unproved=True."
    )
    try:
        verdict = Verdict.from_bytes(place.get(VERDICT), uri=place.uri_of(VERDICT))
    except ObjectMissing as error:
        if not demanded:
            return False
        raise RefusedError(f"{place.uri} was never validated: it has no {VERDICT}.", fix=fix) from error
    if demanded and verdict.dataset_id != dataset_id:
        raise RefusedError(
            f"The {VERDICT} of {place.uri} belongs to data set {verdict.dataset_id}, not to {dataset_id}.", fix=fix
        )
    if demanded and not verdict.passed:
        failed = next(
            (f"{check.name}: {check.detail}" for check in verdict.checks if not check.passed), "no reason given"
        )
        raise RefusedError(f"{place.uri} did not pass its validation ({failed}).", fix=fix)
    return verdict.passed and verdict.dataset_id == dataset_id


def _no_data_set(place: Storage) -> RefusedError:
    return RefusedError(
        f"{place.uri} is no data set: it has no {METADATA}.",
        fix="give an output folder, or <output>/datasets/<dataset_id> as `vitalprep run` prints it.",
    )
