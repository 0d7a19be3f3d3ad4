"""The kernels' integers against a list comprehension."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.moe.routing import NO_EXPERT, make_tiles, most_tiles

EXPERTS = 8
IDS = st.lists(
    st.permutations(range(EXPERTS)).map(lambda order: order[:4]), min_size=0, max_size=40
)
BLOCKS = st.sampled_from([1, 2, 8, 16, 64])


def as_tensor(ids: list[list[int]]) -> torch.Tensor:
    return torch.tensor(ids, dtype=torch.int64).reshape(-1, 4)


@settings(max_examples=50)
@given(IDS, BLOCKS, st.booleans())
def test_every_slot_is_in_one_tile_of_its_expert(
    ids: list[list[int]], block: int, largest_first: bool
) -> None:
    tensor = as_tensor(ids)
    tiles = make_tiles(tensor, experts=EXPERTS, block=block, largest_first=largest_first)
    flat, slots = tensor.flatten().tolist(), tiles.slots.tolist()
    seen: list[int] = []
    cut = zip(tiles.expert.tolist(), tiles.start.tolist(), tiles.rows.tolist(), strict=True)
    for expert, start, rows in cut:
        if expert == NO_EXPERT:
            assert rows == 0
            continue
        assert 1 <= rows <= block
        covered = slots[start : start + rows]
        assert {flat[slot] for slot in covered} == {expert}
        assert covered == sorted(covered)
        seen += covered
    assert sorted(seen) == list(range(len(flat)))
    assert tiles.counts.tolist() == [flat.count(expert) for expert in range(EXPERTS)]


@settings(max_examples=50)
@given(IDS, BLOCKS)
def test_tiles_are_as_many_as_a_slow_count_says_and_never_more_than_allowed(
    ids: list[list[int]], block: int
) -> None:
    tiles = make_tiles(as_tensor(ids), experts=EXPERTS, block=block)
    flat = [expert for token in ids for expert in token]
    counts = [flat.count(expert) for expert in range(EXPERTS)]
    needed = sum(-(-count // block) for count in counts)
    assert (tiles.expert != NO_EXPERT).sum() == needed
    assert needed <= most_tiles(len(flat), EXPERTS, block) == len(tiles.expert)


@settings(max_examples=50)
@given(IDS, BLOCKS)
def test_the_largest_tiles_come_first_when_asked(ids: list[list[int]], block: int) -> None:
    tiles = make_tiles(as_tensor(ids), experts=EXPERTS, block=block, largest_first=True)
    assert tiles.rows.tolist() == sorted(tiles.rows.tolist(), reverse=True)


def test_the_bound_is_reached() -> None:
    skewed = as_tensor([[0, 1, 2, 3]] * 5)  # 5 slots each, in blocks of 4: one left over each
    tiles = make_tiles(skewed, experts=4, block=4)
    assert (tiles.expert != NO_EXPERT).all()
    assert len(tiles.expert) == 8
