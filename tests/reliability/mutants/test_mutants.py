"""Any stored file changed in any way: the same bytes, or a refusal that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.in_process import in_process, passed
from tests.reliability.mutants.attack import Attack
from tests.reliability.mutants.moments import World, world

SEED = 0
MUTANTS, TOGETHER = 2000, 100  # `make soak` tries 100,000


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with in_process():
        yield world(tmp_path_factory.mktemp("mutants"))


@pytest.mark.parametrize("first", range(0, MUTANTS, TOGETHER))
def test_no_mutant_passes_with_other_bytes_or_ends_unexplained(outputs: World, first: int) -> None:
    found = list(map(str, Attack(outputs, SEED).violations(range(first, first + TOGETHER))))
    assert not found, "\n\n".join(found)


def test_every_kind_of_document_is_changed(outputs: World) -> None:
    """A kind that is missing here would never be changed, and nobody would notice."""
    names = {Path(path).name.split("-")[0].partition(".tfrecord")[0] for path in outputs.moments[-1].files}
    kinds = {name for name in names if not name.isdecimal()}
    described = {"README.md", "cases.csv", "config.yaml", "croissant.json", "dataset_info.json", "features.json"}
    described |= {"preprocessing_metadata.json", "report.html", "validation.json", "latest.json"}
    assert kinds == described | {"accounting.json", "plan", "shard", "progress", "build", "vitaldb"}
    suffixes = {path.rpartition(".")[2] for path in outputs.moments[-1].files if path.startswith("harmonized/")}
    assert suffixes == {"json", "parquet"}


def test_an_untouched_output_ends_with_the_same_bytes_from_every_moment(outputs: World) -> None:
    for moment in outputs.moments:
        for goes_on in (moment.stages, moment.run_again):
            ends = list(goes_on())
            assert all(end.exit_code == 0 for end in ends), (moment.name, [end.text for end in ends])
            assert passed(moment.output)[moment.dataset] == outputs.digests[moment.dataset], moment.name
            moment.restore()
