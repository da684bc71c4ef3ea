"""Packing: every kernel lands in exactly one slot, in order, in blocks of two shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.engine._blocks import BLOCK_KERNELS, SMALL_ROWS, Piece, pack

SHAPES = {(BLOCK_KERNELS // rows, rows, 1) for rows in (BLOCK_KERNELS, SMALL_ROWS)}

SIZES = st.lists(
    st.integers(1, 3000)
    | st.sampled_from([SMALL_ROWS + 1, BLOCK_KERNELS, BLOCK_KERNELS + 1, 300_000]),
    max_size=6,
)


def layers(sizes):
    first = 0
    for owner, n in enumerate(sizes):
        rows = np.arange(first, first + n, dtype=np.float32)[:, None]
        first += n
        yield Piece(owner, rows, scale=owner + 1.0)


@given(SIZES, st.sampled_from([SMALL_ROWS // 4, 8192, BLOCK_KERNELS]))
def test_every_kernel_lands_in_exactly_one_slot_of_its_layer(sizes, rows):
    found = {owner: [] for owner in range(len(sizes))}
    for block in pack(layers(sizes)):
        assert block.kernels.shape in SHAPES
        block = block.split(rows)
        assert block.kernels.shape[1] <= rows
        for slot, valid in enumerate(block.valid):
            if valid.any():
                part = block.starts[slot], block.kernels[slot, valid, 0]
                found[block.owners[slot]].append(part)
                assert block.scales[slot] == block.owners[slot] + 1
            assert not block.kernels[slot, ~valid].any()
            assert (np.diff(valid.astype(int)) <= 0).all()  # no hole
    first = 0
    for owner, n in enumerate(sizes):
        starts = [start for start, _ in found[owner]]
        assert starts == np.cumsum([0, *(len(part) for _, part in found[owner])]).tolist()[:-1]
        whole = np.concatenate([part for _, part in found[owner]])
        np.testing.assert_array_equal(whole, np.arange(first, first + n))
        first += n


@given(SIZES, SIZES)
def test_how_a_layer_is_divided_does_not_depend_on_its_neighbors(before, after):
    def slots(sizes, owner):
        blocks = [block for block in pack(layers(sizes)) if owner in block.owners]
        kept = [(b, i) for b in blocks for i in np.flatnonzero(b.owners == owner)]
        return [
            (b.starts[i], b.valid[i].sum(), b.kernels.shape[1]) for b, i in kept if b.valid[i].any()
        ]

    assert slots([*before, 140_001, *after], len(before)) == slots([140_001], 0)


def test_large_layers_are_not_copied():
    rows = np.zeros((BLOCK_KERNELS + 1, 9), np.float32)
    large, small = pack([Piece(0, rows, 1.0)])
    assert np.shares_memory(large.kernels, rows)
    assert not np.shares_memory(small.kernels, rows)


@pytest.mark.parametrize(
    ("n", "blocks"), [(BLOCK_KERNELS, 1), (BLOCK_KERNELS + 1, 2), (1, 1), (0, 0)]
)
def test_padding_stays_small(n, blocks):
    assert sum(1 for _ in pack(layers([n]))) == blocks


def test_small_layers_share_a_block():
    assert sum(1 for _ in pack(layers([10] * (BLOCK_KERNELS // SMALL_ROWS)))) == 1
