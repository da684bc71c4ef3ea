"""Kinship of layers and networks: its laws, its null, and the sentences on it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.compare._kinship import (
    FLOOR,
    LEAST_Z,
    Kinship,
    LayerKinship,
    kinship_reasons,
    layer_kinship,
    least_z,
    mean_parallelism,
)
from jfilters.lineage.internal import threshold

SHAPES = [(16, 8, 3, 3), (96, 1, 3, 3), (8, 4, 7, 7), (4, 4, 1, 3), (4, 2, 31, 31)]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def of(*pairs: tuple[np.ndarray, np.ndarray]) -> Kinship:
    return Kinship.of(layer_kinship(a, b) for a, b in pairs)


def scales(seed: int, *shape: int) -> np.ndarray:
    return np.exp(normal(seed, *shape))


class TestLayers:
    @given(st.integers(0, 1000), st.sampled_from(SHAPES))
    def test_the_reference_in_float64(self, seed, shape):
        a, b = normal(seed, *shape) + 1, normal(seed + 1, *shape) + 1
        u, v = (x.reshape(shape[0] * shape[1], -1).astype(np.float64) for x in (a, b))
        u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (u, v))
        u, v = (x - x.mean(axis=0) for x in (u, v))
        squares = np.sum(u**2) * np.sum(v**2)
        result = layer_kinship(a, b)
        assert result.cosine == pytest.approx(np.sum(u * v) / np.sqrt(squares), abs=1e-5)
        variance = np.trace(u.T @ u @ v.T @ v) / ((len(u) - 1) * squares)
        assert result.variance == pytest.approx(variance, rel=1e-4)

    @given(st.integers(0, 100), st.integers(3, 5))
    def test_the_null_is_that_of_all_matchings(self, seed, n):
        a, b = normal(seed, n, 1, 1, 4) + 1, normal(seed + 1, n, 1, 1, 4) + 1
        cosines = [
            layer_kinship(a, b[list(order)]).cosine for order in itertools.permutations(range(n))
        ]
        assert np.mean(cosines) == pytest.approx(0, abs=1e-5)
        assert np.var(cosines) == pytest.approx(layer_kinship(a, b).variance, rel=1e-3)

    @given(st.integers(0, 100), st.sampled_from(SHAPES))
    def test_positive_scales_of_kernels_change_nothing(self, seed, shape):
        a, b = normal(seed, *shape), normal(seed, *shape) + normal(seed + 1, *shape)
        scaled = b * scales(seed, *shape[:2], 1, 1)
        assert layer_kinship(a, scaled) == pytest.approx(layer_kinship(a, b), abs=1e-5)

    @given(st.integers(0, 100), st.sampled_from(SHAPES))
    def test_symmetry_and_sign(self, seed, shape):
        a, b = normal(seed, *shape), normal(seed, *shape) + normal(seed + 1, *shape)
        result = layer_kinship(a, b)
        assert layer_kinship(b, a) == pytest.approx(result, abs=1e-6)
        assert layer_kinship(a, -b).cosine == pytest.approx(-result.cosine, abs=1e-6)

    def test_equal_layers(self):
        a = normal(0, 16, 8, 3, 3)
        assert layer_kinship(a, a).cosine == pytest.approx(1, abs=1e-6)
        assert layer_kinship(a, a.copy()) == pytest.approx(layer_kinship(a, a), abs=1e-6)

    def test_the_smoothness_that_networks_share_is_no_kinship(self):
        a, b = normal(0, 64, 32, 3, 3) + 3, normal(1, 64, 32, 3, 3) + 3
        assert abs(layer_kinship(a, b).z) < 4

    def test_kernels_that_are_zero_or_not_finite_in_either_are_left_out(self):
        a, b = normal(0, 10, 8, 3, 3), normal(0, 10, 8, 3, 3)
        a[0], b[1], b[2, 0, 0, 0], b[3, 0, 1, 1] = 0, 0, np.nan, np.inf
        result = layer_kinship(a, b)
        assert result.n == 80 - 8 - 8 - 2
        assert result.cosine == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    def test_extreme_scales(self, scale):
        a, b = normal(0, 16, 8, 3, 3), normal(0, 16, 8, 3, 3) * np.float32(scale)
        assert layer_kinship(a, b).cosine == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        "weight",
        [
            np.zeros((8, 4, 3, 3), np.float32),
            np.ones((8, 4, 3, 3), np.float32),
            np.tile(normal(0, 1, 1, 3, 3), (64, 8, 1, 1)) * scales(0, 64, 8, 1, 1),
            np.full((8, 4, 3, 3), np.nan, np.float32),
        ],
        ids=["zero", "constant", "one direction", "not finite"],
    )
    def test_layers_that_cannot_tell(self, weight):
        result = layer_kinship(weight, weight.copy())
        assert math.isnan(result.cosine)
        assert math.isnan(result.z)
        assert not result.is_evident

    def test_one_kernel_cannot_tell(self):
        assert math.isnan(layer_kinship(normal(0, 1, 1, 3, 3), normal(0, 1, 1, 3, 3)).cosine)


class TestNetworks:
    @pytest.mark.parametrize("shapes", [SHAPES[:1], SHAPES[:3], [(4, 3, 3, 3)], SHAPES])
    def test_strangers_are_standard_normal_and_no_kin(self, shapes):
        z = []
        for seed in range(0, 100 * len(shapes), len(shapes)):
            pairs = [
                (normal(seed + i, *s), normal(~seed - i + 10**6, *s)) for i, s in enumerate(shapes)
            ]
            kinship = of(*pairs)
            assert not kinship.are_kin
            assert not kinship.are_partly_kin
            z.append(kinship.z)
        assert np.std(z) == pytest.approx(1, abs=0.25)
        assert abs(np.mean(z)) < 0.35

    def test_precise_layers_count_more(self):
        large, small = normal(0, 64, 64, 3, 3), normal(1, 4, 4, 3, 3)
        kinship = of((large, normal(2, *large.shape)), (small, small))
        precise, coarse = (layer_kinship(x, x).variance for x in (large, small))
        share = (1 / coarse) / (1 / coarse + 1 / precise)
        assert kinship.cosine == pytest.approx(share, abs=0.02)
        assert kinship.cosine / kinship.deviation == pytest.approx(kinship.z)

    def test_negated_kernels_are_kin(self):
        a = normal(0, 32, 16, 3, 3)
        kinship = of((a, -a))
        assert kinship.are_kin
        assert kinship.cosine == pytest.approx(-1, abs=1e-6)
        assert "negated" in kinship_reasons(kinship, ["a"])[1]

    def test_the_floor_is_for_very_large_networks(self):
        kinship = Kinship.of([LayerKinship(10**6, 0.02, 1e-6)])
        assert kinship.z == pytest.approx(20)
        assert (kinship.smallest, kinship.are_kin) == (FLOOR, False)

    def test_two_layers_make_networks_partly_kin_and_one_does_not(self):
        layers = [LayerKinship(10**5, 0.0, 1e-5)] * 50
        evident = LayerKinship(64, 0.5, 0.005)
        assert not Kinship.of([*layers, evident]).are_partly_kin
        kinship = Kinship.of([*layers, evident, evident])
        assert kinship.are_partly_kin
        assert kinship.evident == (50, 51)

    @pytest.mark.parametrize(
        "layer",
        [LayerKinship(63, 0.9, 0.01), LayerKinship(9999, 0.09, 1e-5), LayerKinship(64, 0.6, 0.01)],
        ids=["few kernels", "small cosine", "small z"],
    )
    def test_layers_that_are_no_evidence_by_themselves(self, layer):
        assert not layer.is_evident

    def test_without_layers_nothing_is_kin(self):
        kinship = Kinship.of([])
        assert not kinship.are_kin
        assert kinship.record()["cosine"] is None
        assert kinship_reasons(kinship, []) == ["no kernels that could show kinship"]

    def test_the_z_of_many_networks_is_that_of_lineage(self):
        assert least_z(2) == least_z(100) == LEAST_Z
        assert least_z(650) == threshold(650).z > LEAST_Z

    def test_networks_that_are_too_small_say_so(self):
        a, b = normal(0, 4, 3, 3, 3), normal(1, 4, 3, 3, 3)
        (reason,) = kinship_reasons(of((a, b)), ["a"])
        assert f"kin of r {of((a, b)).smallest:.2g} or more would have been seen" in reason
        (reason,) = kinship_reasons(of((a[:1, :2], b[:1, :2])), ["a"])
        assert "too few kernels" in reason


class TestParallelism:
    @given(st.integers(0, 100))
    def test_any_number_for_each_kernel(self, seed):
        a = normal(seed, 16, 8, 3, 3)
        assert mean_parallelism(a, a * normal(seed + 1, 16, 8, 1, 1)) == pytest.approx(1, abs=1e-6)

    def test_strangers_are_far_from_it(self):
        assert mean_parallelism(normal(0, 32, 16, 3, 3), normal(1, 32, 16, 3, 3)) < 0.5

    def test_zero_kernels_have_none(self):
        a = normal(0, 4, 4, 3, 3)
        assert math.isnan(mean_parallelism(a, np.zeros_like(a)))
