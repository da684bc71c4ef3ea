"""Sketches of layers: the laws that make them comparable, and bytes that no version may change."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.lineage import sketch
from jfilters.lineage._sketch import signs
from jfilters.lineage.internal import WIDTH, Sketcher, Sketches, kernel_hashes

SHAPE = (32, 16, 3, 3)
seeds = st.integers(0, 2**32 - 1)

SIGNS = "+-+-+-++---+++---+------"
SIGNS_DIGEST = "7f4b796c9b0797ac"
FIRST_NUMBERS = [94, -46, -54, 71, -46, 21, -55, 84, 68, -94, -69, -18, -85, 61, 17, 8]
ROWS_DIGEST = "f9d087ea7b6da6e0"
NARROW_DIGEST = "6b2ac986cacf7318"
SPREAD, ZEROS = 7.909880, 3 / 576
HASHES = [-7659973413307491175, -5708690155633743513, -4130681102122720814]


def weight(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cosine(a, b):
    a, b = (rows.astype(np.float64).ravel() for rows in (a, b))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def directions(weight):
    """Unit kernels less their mean, in float64."""
    kernels = weight.reshape(-1, weight[0, 0].size).astype(np.float64)
    units = kernels / np.linalg.norm(kernels, axis=1, keepdims=True)
    return units - units.mean(axis=0)


def integer_weight():
    """A weight of whole numbers that no generator has to give again."""
    numbers = np.arange(16 * 4 * 9, dtype=np.int64)
    return ((numbers * 7919 + numbers**2 * 31) % 401 - 200).reshape(16, 4, 3, 3).astype(np.float32)


class TestFrozen:
    """Scans of all versions have to be comparable: these bytes must never change."""

    def test_the_signs(self):
        assert "".join("-+"[int(sign > 0)] for sign in signs(24)) == SIGNS
        assert digest(np.packbits(signs(4608) > 0)) == SIGNS_DIGEST

    def test_the_sketch(self):
        result = sketch(integer_weight())
        assert result.rows.shape == (16, WIDTH)
        assert result.rows[0, :16].tolist() == FIRST_NUMBERS
        assert digest(result.rows) == ROWS_DIGEST
        assert digest(sketch(integer_weight(), 64).rows) == NARROW_DIGEST
        assert (result.n, result.spread, result.zeros) == pytest.approx((64, SPREAD, ZEROS))

    def test_the_hashes(self):
        kernels = integer_weight().reshape(-1, 9)
        assert kernel_hashes(kernels)[:3].tolist() == HASHES


class TestLaws:
    @given(seeds)
    def test_rescaling_of_channels_changes_nothing(self, seed):
        rng = np.random.default_rng(seed)
        scale = rng.uniform(0.1, 10, (32, 16, 1, 1)).astype(np.float32)
        first, second = sketch(weight(seed)), sketch(weight(seed) * scale)
        # Of float32 roundings alone a number in a thousand may fall on the next whole one.
        assert cosine(first.rows, second.rows) > 0.99999
        assert np.abs(first.rows.astype(int) - second.rows).max() <= 1

    @given(seeds, st.sampled_from([0.25, 2.0, 1024.0]))
    def test_a_power_of_two_leaves_the_bytes(self, seed, scale):
        first, second = sketch(weight(seed)), sketch(weight(seed) * np.float32(scale))
        np.testing.assert_array_equal(first.rows, second.rows)

    @given(seeds)
    def test_itself_and_its_negative(self, seed):
        rows = sketch(weight(seed)).rows
        assert cosine(rows, rows) == pytest.approx(1)
        assert cosine(rows, sketch(-weight(seed)).rows) == pytest.approx(-1)

    @pytest.mark.parametrize("n_layers", [1, 16, 64])
    def test_the_cosine_of_relatives_is_that_of_their_kernels(self, n_layers):
        errors = []
        for seed in range(100):
            a = weight(seed)
            b = a + weight(seed + 1000)
            expected = cosine(directions(a), directions(b))
            pair = sketch(a, n_layers).rows, sketch(b, n_layers).rows
            errors.append(cosine(*pair) - expected)
            assert 0.5 < expected < 0.9
        limit = 1 / np.sqrt(pair[0].size)
        assert abs(np.mean(errors)) < 4 * limit / 10
        assert np.std(errors) < limit

    @pytest.mark.parametrize("shape", [SHAPE, (64, 1, 3, 3), (8, 32, 5, 5)])
    def test_strangers_have_cosines_of_the_promised_variance(self, shape):
        cosines, variances = [], []
        for seed in range(500):
            a, b = (sketch(weight(2 * seed + i, shape), 16) for i in range(2))
            cosines.append(cosine(a.rows, b.rows))
            kernels = 1 / ((a.n - 1) * np.sqrt(a.spread * b.spread))
            variances.append(kernels + 1 / a.rows.size)
        z = np.array(cosines) / np.sqrt(variances)
        assert abs(z.mean()) < 4 / np.sqrt(500)
        # The sketch of a layer with hardly more weights than it has numbers varies less than promised.
        least = 0.5 if a.rows.size * 4 > np.prod(shape) else 1 - 4 * np.sqrt(2 / 500)
        assert least < z.var() < 1 + 4 * np.sqrt(2 / 500)

    @given(seeds)
    def test_folding_gives_the_sketch_of_half_as_many_rows(self, seed):
        wide, narrow = (sketch(weight(seed, (8, 8, 3, 3)), n).rows for n in (4, 8))
        assert (len(wide), len(narrow)) == (16, 8)
        folded = wide.reshape(2, -1).sum(axis=0, dtype=float)
        unit, expected = folded / np.abs(folded).max(), narrow.ravel() / 127
        # Both numbers of a sum are rounded to half a step, and so is the result and the largest.
        np.testing.assert_allclose(unit, expected, atol=4 / 127)

    @given(seeds, st.integers(1, 400))
    def test_rows_are_a_power_of_two(self, seed, n_layers):
        rows = len(sketch(weight(seed, (4, 4, 3, 3)), n_layers).rows)
        assert rows in (1, 2, 4, 8, 16, 32, 64)
        assert rows == 1 or rows * WIDTH * n_layers <= 4096

    @given(seeds)
    def test_half_precision_leaves_the_sketch_nearly_the_same(self, seed):
        half = weight(seed).astype(np.float16).astype(np.float32)
        assert cosine(sketch(weight(seed)).rows, sketch(half).rows) > 0.9999


class TestDegenerate:
    def test_zeros(self):
        result = sketch(np.zeros(SHAPE, np.float32))
        assert not result.rows.any()
        assert (result.n, result.spread, result.zeros) == (0, 0, 1)

    def test_kernels_without_a_direction_count_for_nothing(self):
        damaged = weight(1)
        damaged[0, 0] = 0
        damaged[1, 1, 0, 0] = np.nan
        damaged[2, 2, 1, 1] = np.inf
        result = sketch(damaged)
        assert result.n == 32 * 16 - 3
        assert cosine(result.rows, sketch(weight(1)).rows) > 0.97

    def test_one_kernel(self):
        result = sketch(weight(1, (1, 1, 3, 3)))
        assert (result.rows.any(), result.n) == (False, 1)

    def test_an_empty_layer(self):
        assert sketch(np.zeros((0, 4, 3, 3), np.float32)).n == 0

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    def test_weights_whose_squares_leave_float32(self, scale):
        far = weight(1) * np.float32(scale)
        assert cosine(sketch(far).rows, sketch(weight(1)).rows) > 0.9999

    def test_no_network(self):
        assert len(Sketcher([]).sketches()) == len(Sketches.of_nothing()) == 0


class TestSketcher:
    def test_networks_are_told_apart_by_their_sizes(self):
        weights = [weight(seed) for seed in range(3)]
        sketcher = Sketcher([2, 1])
        assert [id(x) for x in sketcher.watch(iter(weights))] == [id(x) for x in weights]
        sketches = sketcher.sketches()
        assert sketches.n_rows.tolist() == [32, 32, 64]
        np.testing.assert_array_equal(sketches.rows[:32], sketch(weights[0], 2).rows)
        np.testing.assert_array_equal(sketches.rows[64:], sketch(weights[2], 1).rows)

    def test_hashes_are_those_of_each_network_by_layer(self):
        weights = [weight(seed, (64, 64, 3, 3)) for seed in range(2)]
        sketcher = Sketcher([2])
        assert len(list(sketcher.watch(weights))) == 2
        sketches = sketcher.sketches()
        parts = [kernel_hashes(x.reshape(-1, 9)) for x in weights]
        expected = np.sort(np.concatenate(parts))[:128]
        assert sorted(sketches.hashes.tolist()) == expected.tolist()
        for layer, part in enumerate(parts):
            hashes = sketches.hashes[sketches.hash_layer == layer]
            assert hashes.tolist() == [x for x in expected.tolist() if x in part]
        assert (np.diff(sketches.hash_layer) >= 0).all()
