"""Packing: every kernel lands in exactly one segment, in order, in blocks of two shapes."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.engine._blocks import BLOCK_KERNELS, OVERLAP_FROM, SMALL_ROWS, LayerKernels, pack

SHAPES = {(BLOCK_KERNELS // rows, rows, 1) for rows in (BLOCK_KERNELS, SMALL_ROWS)}

SIZES = st.lists(
    st.integers(1, 3000)
    | st.sampled_from([SMALL_ROWS + 1, BLOCK_KERNELS, BLOCK_KERNELS + 1, 200_000, 300_000]),
    max_size=6,
)


def layers(sizes):
    first = 0
    for layer_id, n in enumerate(sizes):
        rows = np.arange(first, first + n, dtype=np.float32)[:, None]
        first += n
        yield LayerKernels(layer_id, rows, layer_id + 1.0, np.full((2, 1), -layer_id, np.float32))


@given(SIZES, st.sampled_from([SMALL_ROWS // 4, 8192, BLOCK_KERNELS]))
def test_every_kernel_lands_in_exactly_one_slot_of_its_layer(sizes, rows):
    found = {layer_id: [] for layer_id in range(len(sizes))}
    for block in pack(layers(sizes)):
        assert block.segments.kernels.shape in SHAPES
        assert (block.segments.valid.sum(axis=1) == block.counts).all()
        segments = block.segments.split(rows)
        assert segments.kernels.shape[1] <= rows
        layer_ids = block.layer_ids.repeat(len(segments.kernels) // len(block.layer_ids))
        for layer_id, kernels, valid, scale, centers in zip(layer_ids, *segments, strict=True):
            if valid.any():
                found[layer_id].append(kernels[valid, 0])
                assert scale == layer_id + 1
                assert (centers == -layer_id).all()
    first = 0
    for layer_id, n in enumerate(sizes):
        whole = np.concatenate(found[layer_id])
        np.testing.assert_array_equal(whole, np.arange(first, first + n))
        first += n


@given(SIZES)
def test_starts_count_the_kernels_of_earlier_slots(sizes):
    seen = np.zeros(len(sizes), int)
    for block in pack(layers(sizes)):
        for layer_id, start, count in zip(block.layer_ids, block.starts, block.counts, strict=True):
            if count:
                assert start == seen[layer_id]
                seen[layer_id] += count
    assert seen.tolist() == sizes


@given(SIZES, SIZES)
def test_how_a_layer_is_divided_does_not_depend_on_its_neighbors(before, after):
    def segments(sizes, layer_id):
        blocks = [block for block in pack(layers(sizes)) if layer_id in block.layer_ids]
        kept = [(b, i) for b in blocks for i in np.flatnonzero(b.layer_ids == layer_id)]
        return [
            (b.starts[i], b.counts[i], b.segments.kernels.shape[1]) for b, i in kept if b.counts[i]
        ]

    assert segments([*before, 140_001, *after], len(before)) == segments([140_001], 0)


def one(n):
    rows = np.arange(n * 9, dtype=np.float32).reshape(n, 9)
    return rows, [LayerKernels(0, rows, 1.0, np.zeros((2, 9), np.float32))]


def test_large_layers_are_not_copied():
    rows, layers = one(BLOCK_KERNELS + 1)
    large, small = pack(layers)
    assert np.shares_memory(large.segments.kernels, rows)
    assert not np.shares_memory(small.segments.kernels, rows)


def test_much_that_is_left_of_a_large_layer_is_not_copied_either():
    rows, layers = one(BLOCK_KERNELS + OVERLAP_FROM)
    _, last = pack(layers)
    assert np.shares_memory(last.segments.kernels, rows)
    np.testing.assert_array_equal(last.segments.kernels[last.segments.valid], rows[BLOCK_KERNELS:])


def test_what_is_left_of_a_large_layer_does_not_hold_the_layer():
    alive = []

    def layers():
        for layer_id in range(3):
            # The packer has the last piece still at hand.
            assert not any(layer() is not None for layer in alive[:-1])
            rows = np.zeros((BLOCK_KERNELS + 5, 1), np.float32)
            alive.append(weakref.ref(rows))
            yield LayerKernels(layer_id, rows, 1.0, np.zeros((2, 1), np.float32))
            del rows

    *large, small = (block.layer_ids for block in pack(layers()))
    assert len(large) == 3
    assert set(small) == {0, 1, 2}


@pytest.mark.parametrize(
    ("n", "blocks"), [(BLOCK_KERNELS, 1), (BLOCK_KERNELS + 1, 2), (1, 1), (0, 0)]
)
def test_padding_stays_small(n, blocks):
    assert sum(1 for _ in pack(layers([n]))) == blocks


def test_small_layers_share_a_block():
    assert sum(1 for _ in pack(layers([10] * (BLOCK_KERNELS // SMALL_ROWS)))) == 1
