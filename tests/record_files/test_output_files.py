"""Assignment of windows to files and their order, against the slow reference."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.record_files.output_files import output_files, windows_in_order

records_of_cases = st.dictionaries(st.integers(1, 6388), st.lists(st.integers(1, 60), max_size=6), max_size=20)
starts_of_cases = st.dictionaries(
    st.integers(1, 6388), st.integers(0, 12).map(lambda count: [30 * j for j in range(count)]), max_size=8
)


@settings(max_examples=150, deadline=None)
@given(sizes=records_of_cases, seed=st.integers(0, 10**6), limit=st.integers(1, 400))
def test_any_split_equals_the_reference(sizes: dict[int, list[int]], seed: int, limit: int) -> None:
    windows = {case: len(of_case) for case, of_case in sizes.items()}
    wanted = design4.output_shards(windows, sizes.__getitem__, seed, limit)
    total = {case: sum(of_case) for case, of_case in sizes.items()}
    files = output_files(total, split="train", seed=seed, shard_bytes=limit, layout="sharded")
    assert [[list(part) for part in file.parts] for file in files] == [[shard] for shard in wanted]
    count = len(wanted)
    assert [file.name for file in files] == [f"vitaldb-train.tfrecord-{i:05}-of-{count:05}" for i in range(count)]
    single = output_files(total, split="train", seed=seed, shard_bytes=limit, layout="single")
    assert [file.name for file in single] == ["train.tfrecord"]
    assert [list(part) for part in single[0].parts] == wanted
    other_order = dict(reversed(total.items()))
    assert output_files(other_order, split="train", seed=seed, shard_bytes=limit, layout="sharded") == files


def test_a_shard_may_be_exactly_full_and_a_large_case_gets_its_own() -> None:
    # sha256("42:<case>") puts the cases into the order 1, 4, 3, 2
    total = {1: 60, 2: 50, 3: 40, 4: 40}
    assert parts(total, 100) == [(1, 4), (3, 2)]
    assert parts(total, 99) == [(1,), (4, 3), (2,)]
    assert parts({**total, 4: 500}, 100) == [(1,), (4,), (3, 2)]
    assert parts(dict.fromkeys(total, 0), 100) == []


def parts(total: dict[int, int], limit: int) -> list[tuple[int, ...]]:
    files = output_files(total, split="test", seed=42, shard_bytes=limit, layout="sharded")
    return [part for file in files for part in file.parts]


@settings(max_examples=100, deadline=None)
@given(starts=starts_of_cases, seed=st.integers(0, 10**6))
def test_windows_of_a_shard_are_in_the_order_of_the_reference(starts: dict[int, list[int]], seed: int) -> None:
    wanted = design4.windows_in_order(list(starts), starts, seed)
    assert windows_in_order(starts, seed=seed) == wanted
    assert windows_in_order(dict(reversed(starts.items())), seed=seed) == wanted
