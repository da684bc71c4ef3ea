"""Packing: every kernel lands in exactly one slot, in order, in blocks of one shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.engine._blocks import BLOCK_KERNELS, LARGE_ROWS, SMALL_ROWS, Piece, pack

SHAPES = {(BLOCK_KERNELS // rows, rows, 1) for rows in (LARGE_ROWS, SMALL_ROWS)}

SIZES = st.lists(
    st.integers(1, 3000)
    | st.sampled_from([SMALL_ROWS + 1, LARGE_ROWS, BLOCK_KERNELS, BLOCK_KERNELS + 1, 300_000]),
    max_size=6,
)


def layers(sizes):
    first = 0
    for owner, n in enumerate(sizes):
        rows = np.arange(first, first + n, dtype=np.float32)[:, None]
        first += n
        yield Piece(owner, rows, scale=owner + 1.0)


@given(SIZES)
def test_every_kernel_lands_in_exactly_one_slot_of_its_layer(sizes):
    found = {owner: [np.zeros(0)] for owner in range(len(sizes))}
    for block in pack(layers(sizes)):
        assert block.kernels.shape in SHAPES
        for slot in range(block.used):
            found[block.owners[slot]].append(block.kernels[slot, : block.counts[slot], 0])
            assert block.scales[slot] == block.owners[slot] + 1
            assert not block.kernels[slot, block.counts[slot] :].any()
        assert not block.counts[block.used :].any()
    first = 0
    for owner, n in enumerate(sizes):
        np.testing.assert_array_equal(np.concatenate(found[owner]), np.arange(first, first + n))
        first += n


@pytest.mark.parametrize(
    ("n", "blocks"), [(BLOCK_KERNELS, 1), (BLOCK_KERNELS + 1, 2), (1, 1), (0, 0)]
)
def test_padding_stays_small(n, blocks):
    assert sum(1 for _ in pack(layers([n]))) == blocks


def test_small_layers_share_a_block():
    assert sum(1 for _ in pack(layers([10] * (BLOCK_KERNELS // SMALL_ROWS)))) == 1
