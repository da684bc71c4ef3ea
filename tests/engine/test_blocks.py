"""Packing: every kernel lands in exactly one slot, in order, in blocks of two shapes."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.engine._blocks import BLOCK_KERNELS, OVERLAP_FROM, SMALL_ROWS, Piece, pack

SHAPES = {(BLOCK_KERNELS // rows, rows, 1) for rows in (BLOCK_KERNELS, SMALL_ROWS)}

SIZES = st.lists(
    st.integers(1, 3000)
    | st.sampled_from([SMALL_ROWS + 1, BLOCK_KERNELS, BLOCK_KERNELS + 1, 200_000, 300_000]),
    max_size=6,
)


def layers(sizes):
    first = 0
    for owner, n in enumerate(sizes):
        rows = np.arange(first, first + n, dtype=np.float32)[:, None]
        first += n
        yield Piece(owner, rows, owner + 1.0, np.full((2, 1), -owner, np.float32))


@given(SIZES, st.sampled_from([SMALL_ROWS // 4, 8192, BLOCK_KERNELS]))
def test_every_kernel_lands_in_exactly_one_slot_of_its_layer(sizes, rows):
    found = {owner: [] for owner in range(len(sizes))}
    for block in pack(layers(sizes)):
        assert block.slots.kernels.shape in SHAPES
        assert (block.slots.valid.sum(axis=1) == block.counts).all()
        slots = block.slots.split(rows)
        assert slots.kernels.shape[1] <= rows
        owners = block.owners.repeat(len(slots.kernels) // len(block.owners))
        for owner, kernels, valid, scale, centers in zip(owners, *slots, strict=True):
            if valid.any():
                found[owner].append(kernels[valid, 0])
                assert scale == owner + 1
                assert (centers == -owner).all()
    first = 0
    for owner, n in enumerate(sizes):
        whole = np.concatenate(found[owner])
        np.testing.assert_array_equal(whole, np.arange(first, first + n))
        first += n


@given(SIZES)
def test_starts_count_the_kernels_of_earlier_slots(sizes):
    seen = np.zeros(len(sizes), int)
    for block in pack(layers(sizes)):
        for owner, start, count in zip(block.owners, block.starts, block.counts, strict=True):
            if count:
                assert start == seen[owner]
                seen[owner] += count
    assert seen.tolist() == sizes


@given(SIZES, SIZES)
def test_how_a_layer_is_divided_does_not_depend_on_its_neighbors(before, after):
    def slots(sizes, owner):
        blocks = [block for block in pack(layers(sizes)) if owner in block.owners]
        kept = [(b, i) for b in blocks for i in np.flatnonzero(b.owners == owner)]
        return [
            (b.starts[i], b.counts[i], b.slots.kernels.shape[1]) for b, i in kept if b.counts[i]
        ]

    assert slots([*before, 140_001, *after], len(before)) == slots([140_001], 0)


def one(n):
    rows = np.arange(n * 9, dtype=np.float32).reshape(n, 9)
    return rows, [Piece(0, rows, 1.0, np.zeros((2, 9), np.float32))]


def test_large_layers_are_not_copied():
    rows, pieces = one(BLOCK_KERNELS + 1)
    large, small = pack(pieces)
    assert np.shares_memory(large.slots.kernels, rows)
    assert not np.shares_memory(small.slots.kernels, rows)


def test_much_that_is_left_of_a_large_layer_is_not_copied_either():
    rows, pieces = one(BLOCK_KERNELS + OVERLAP_FROM)
    _, last = pack(pieces)
    assert np.shares_memory(last.slots.kernels, rows)
    np.testing.assert_array_equal(last.slots.kernels[last.slots.valid], rows[BLOCK_KERNELS:])


def test_what_is_left_of_a_large_layer_does_not_hold_the_layer():
    alive = []

    def pieces():
        for owner in range(3):
            # The packer has the last piece still at hand.
            assert not any(layer() is not None for layer in alive[:-1])
            rows = np.zeros((BLOCK_KERNELS + 5, 1), np.float32)
            alive.append(weakref.ref(rows))
            yield Piece(owner, rows, 1.0, np.zeros((2, 1), np.float32))
            del rows

    *large, small = (block.owners for block in pack(pieces()))
    assert len(large) == 3
    assert set(small) == {0, 1, 2}


@pytest.mark.parametrize(
    ("n", "blocks"), [(BLOCK_KERNELS, 1), (BLOCK_KERNELS + 1, 2), (1, 1), (0, 0)]
)
def test_padding_stays_small(n, blocks):
    assert sum(1 for _ in pack(layers([n]))) == blocks


def test_small_layers_share_a_block():
    assert sum(1 for _ in pack(layers([10] * (BLOCK_KERNELS // SMALL_ROWS)))) == 1
