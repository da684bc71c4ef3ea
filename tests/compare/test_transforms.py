"""Copies whose kernels are mirrored, turned, transposed or negated, and strangers that are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.compare._transforms import Transform, find_transform, negation, transforms
from jfilters.report import comparison_text

from ..report.test_summary import shown
from .test_compare_composed import cast, network, tuned

SHAPES = [(16, 8, 3, 3), (32, 3, 3, 3), (96, 1, 3, 3), (16, 8, 1, 5), (16, 8, 5), (8, 4, 3, 3, 3)]

TURNS = {
    "turned by 180 degrees": lambda w: w[..., ::-1, ::-1],
    "mirrored from top to bottom": lambda w: w[..., ::-1, :],
    "mirrored from left to right": lambda w: w[..., ::-1],
    "height and width exchanged": lambda w: w.swapaxes(2, 3),
    "turned by 90 degrees": lambda w: np.rot90(w, axes=(2, 3)),
    "negated": lambda w: -w,
    "turned by 180 degrees (rot180), negated": lambda w: -w[..., ::-1, ::-1],
}


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class TestSearch:
    @given(st.integers(0, 300), st.sampled_from(SHAPES), st.data())
    def test_every_transformation_is_undone(self, seed, shape, data):
        turn = data.draw(st.sampled_from(list(transforms(len(shape) - 2))))
        turn = turn._replace(negates=data.draw(st.booleans()))
        a = normal(seed, *shape)
        b = turn(a)
        result = find_transform(a, b + 0.1 * normal(seed + 1, *b.shape))
        assert b.shape == turn.shape(shape)
        # A mirrored axis of one tap is as it was.
        if not np.array_equal(b, a):
            np.testing.assert_array_equal(result(b), a)
        else:
            assert result is None

    @given(st.integers(0, 300), st.sampled_from(SHAPES))
    def test_strangers_have_none(self, seed, shape):
        assert find_transform(normal(seed, *shape), normal(seed + 1, *shape)) is None

    @given(st.integers(0, 100))
    def test_scales_of_kernels_change_nothing(self, seed):
        a = normal(seed, 16, 8, 3, 3)
        b = a[..., ::-1, :] * np.exp(normal(seed + 1, 16, 8, 1, 1))
        assert find_transform(a, b).text == "mirrored from top to bottom"

    def test_smooth_kernels_that_are_nearly_symmetric_are_told_from_copies(self):
        smooth = np.exp(-np.square(np.arange(3) - 1.0)).astype(np.float32)
        a = normal(0, 64, 32, 1, 1) * (smooth[:, None] * smooth) + 0.02 * normal(1, 64, 32, 3, 3)
        assert find_transform(a, a + 0.01 * normal(2, *a.shape), 0.99) is None

    def test_other_ranks_and_zeros_have_none(self):
        a = normal(0, 8, 4, 3, 3)
        assert find_transform(a, np.zeros_like(a)) is None
        assert find_transform(a, normal(0, 8, 4, 5, 5)) is None
        assert find_transform(a, normal(0, 8, 4, 3)) is None

    def test_the_words_for_any_number_of_axes(self):
        still = Transform(False, (0, 1, 2), (False, True, False))
        assert still.text == "reversed along spatial axis 1"
        assert Transform(True, (0,), (False,)).text == "output and input channels exchanged"
        assert negation(3).is_negation
        assert not still._replace(negates=True).is_negation


class TestVerdicts:
    @pytest.mark.parametrize("name", TURNS)
    def test_a_copy_is_related_and_the_transformation_named(self, pair, name):
        copy = {key: TURNS[name](w) for key, w in network().items()}
        result = pair(network(), copy)
        assert result.relation.label == "related, transformed"
        assert result.relation.source is None
        assert any(name in reason for reason in result.relation.reasons)
        assert "every weight is bit-equal" in result.relation.reasons
        assert result.relation.caveat == ""
        assert all(name in layer["transformation"] for layer in result.record()["layers"])
        assert "1 and 2: related, transformed" in shown(comparison_text([result]), 80)

    @pytest.mark.parametrize("name", TURNS)
    def test_rounded_and_trained_onward(self, pair, name):
        half = cast({key: TURNS[name](w) for key, w in network().items()}, "float16")
        assert "rounding to float16" in " ".join(pair(network(), half).relation.reasons)
        onward = {key: TURNS[name](w) for key, w in tuned(network()).items()}
        relation = pair(network(), onward).relation
        assert relation.label == "related, transformed"
        assert "from one initialization" in relation.caveat

    def test_exchanged_channels_change_shapes(self, pair):
        copy = {key: w.swapaxes(0, 1) for key, w in network().items()}
        result = pair(network(), copy)
        assert result.relation.label == "related, transformed"
        assert not result.unmatched
        assert any("output and input channels exchanged" in x for x in result.relation.reasons)

    def test_wide_and_high_kernels(self, pair):
        shapes = {"a.weight": (16, 8, 1, 5), "b.weight": (16, 16, 5, 1)}
        net = {name: normal(i, *shape) for i, (name, shape) in enumerate(shapes.items())}
        relation = pair(net, {name: w.swapaxes(2, 3) for name, w in net.items()}).relation
        assert relation.label == "related, transformed"
        assert any("height and width exchanged" in x for x in relation.reasons)

    def test_one_layer_alone_and_colors_in_reverse_order(self, pair):
        bgr = network() | {"a.weight": network()["a.weight"][:, ::-1]}
        relation = pair(network(), bgr).relation
        assert relation.label == "related, transformed"
        assert any(
            "in one layer a.weight: input channels in reverse" in x for x in relation.reasons
        )

    @pytest.mark.parametrize("name", TURNS)
    def test_a_transformed_stranger_is_one(self, pair, name):
        stranger = {key: TURNS[name](w) for key, w in network(9).items()}
        assert pair(network(), stranger).relation.label == "trained apart"

    def test_numbers_of_single_kernels_are_no_channels(self, pair):
        unit = {
            key: w / np.sqrt(np.square(w).sum(axis=(2, 3), keepdims=True))
            for key, w in network().items()
        }
        relation = pair(network(), unit).relation
        assert relation.label == "related, transformed"
        assert any("one for each kernel" in x for x in relation.reasons)
