"""The order that a seed draws: every item once, and the same one everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from vitalprep.loading.order import FILES_AT_ONCE, in_drawn_order, in_order

SIZES = [30, 0, 7, 50, 12, 1, 22]


def items_of(file: tuple[int, int]) -> Iterator[tuple[int, int]]:
    number, size = file
    return ((number, index) for index in range(size))


def files_of(sizes: list[int]) -> list[tuple[int, int]]:
    return list(enumerate(sizes))


@given(sizes=st.lists(st.integers(0, 9), max_size=12), seed=st.integers(), buffer=st.integers(1, 40))
def test_every_item_comes_once(sizes: list[int], seed: int, buffer: int) -> None:
    files = files_of(sizes)
    found = list(in_drawn_order(files, items_of, seed=seed, buffer=buffer))
    assert sorted(found) == list(in_order(files, items_of))
    assert found == list(in_drawn_order(files, items_of, seed=seed, buffer=buffer))


def test_another_seed_gives_another_order() -> None:
    files = files_of(SIZES)
    orders = {tuple(in_drawn_order(files, items_of, seed=seed, buffer=20)) for seed in range(10)}
    assert len(orders) == 10


def test_what_comes_first_is_drawn_from_several_files() -> None:
    files = files_of([100] * 10)
    first = list(in_drawn_order(files, items_of, seed=1, buffer=50))[:50]
    assert len({number for number, _ in first}) == FILES_AT_ONCE
    assert [index for _, index in first] != sorted(index for _, index in first)


def test_no_more_is_held_than_the_buffer() -> None:
    taken = 0

    def counted(file: tuple[int, int]) -> Iterator[tuple[int, int]]:
        nonlocal taken
        for item in items_of(file):
            taken += 1
            yield item

    for given_out, _ in enumerate(in_drawn_order(files_of([500] * 3), counted, seed=1, buffer=20), 1):
        assert taken <= given_out + 20
