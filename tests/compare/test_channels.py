"""Networks of which one has a part of the other's channels, layers or groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.compare._blocks import find_block
from jfilters.report import comparison_text

from ..report.test_summary import shown
from .networks import family
from .test_compare_composed import Weights, cast

WIDTHS = (3, 32, 48, 64, 64, 10)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> Weights:
    sizes = zip(widths[1:], widths, strict=False)
    return {
        f"l{i}.weight": 0.1 * normal(100 * seed + i, out, inner, 3, 3)
        for i, (out, inner) in enumerate(sizes)
    }


def cut(weights: Weights, share: float = 0.6, seed: int = 1) -> Weights:
    """Return a random part of the hidden channels, the same in every layer that has them."""
    rng, result, chosen = np.random.default_rng(seed), {}, None
    names = [name for name, w in weights.items() if w.ndim == 4]
    for name in names:
        weight = weights[name] if chosen is None else weights[name][:, chosen]
        if name != names[-1]:
            count = int(share * len(weight))
            chosen = np.sort(rng.permutation(len(weight))[:count])
            weight = weight[chosen]
        result[name] = weight
    return result


def onward(weights: Weights, size: float = 0.02) -> Weights:
    return {
        name: w + np.float32(size) * normal(7 + i, *w.shape)
        for i, (name, w) in enumerate(weights.items())
    }


def widened(weights: Weights, *, pads: bool) -> Weights:
    """Return Net2Net's wider network of the same function, or one padded with zeros."""
    rng, result, places = np.random.default_rng(3), {}, None
    names = list(weights)
    for name in names:
        weight = weights[name]
        if places is not None:
            further = np.zeros((len(weight), len(places) - weight.shape[1], 3, 3), np.float32)
            counts = np.bincount(places)[None, :, None, None]
            weight = np.concatenate([weight, further], 1) if pads else (weight / counts)[:, places]
        if name != names[-1]:
            n = len(weight)
            places = np.concatenate([np.arange(n), rng.integers(0, n, n // 2)])
            zeros = np.zeros((n // 2, *weight.shape[1:]), np.float32)
            weight = np.concatenate([weight, zeros]) if pads else weight[places]
        result[name] = weight.astype(np.float32)
    return result


def groups_of(weight: np.ndarray, groups: int) -> np.ndarray:
    rows, columns = (n // groups for n in weight.shape[:2])
    blocks = (
        weight[rows * g : rows * (g + 1), columns * g : columns * (g + 1)] for g in range(groups)
    )
    return np.concatenate(list(blocks))


class TestSearch:
    @given(st.integers(0, 200), st.sampled_from([0.0, 0.2]), st.booleans())
    def test_the_places_of_channels(self, seed, noise, is_known):
        rng = np.random.default_rng(seed)
        wide = normal(seed, 32, 24, 3, 3)
        outputs, inputs = rng.permutation(32)[:20], rng.permutation(24)[:15]
        narrow = wide[outputs][:, inputs] + np.float32(noise) * normal(seed + 1, 20, 15, 3, 3)
        block = find_block(wide, narrow, [inputs] if is_known else [])
        np.testing.assert_array_equal(block.outputs, outputs)
        np.testing.assert_array_equal(block.inputs, inputs)
        np.testing.assert_array_equal(block.of(wide), wide[outputs][:, inputs])

    @given(st.integers(0, 200), st.sampled_from([(20, 15), (20, 24), (32, 12), (32, 15)]))
    def test_strangers_have_no_block(self, seed, shape):
        wide, narrow = normal(seed, 32, 24, 3, 3), normal(seed + 1, *shape, 3, 3)
        assert find_block(wide, narrow, [np.arange(shape[1])]) is None

    def test_depthwise_channels_are_those_of_the_layer_before(self):
        wide = normal(0, 64, 1, 3, 3)
        outputs = np.random.default_rng(0).permutation(64)[:40]
        narrow = wide[outputs] + np.float32(0.5) * normal(1, 40, 1, 3, 3)
        assert find_block(wide, narrow) is None
        np.testing.assert_array_equal(find_block(wide, narrow, [outputs]).outputs, outputs)

    @pytest.mark.parametrize("shape", [(32, 24, 3, 3), (40, 24, 3, 3), (20, 24, 5, 5)])
    def test_shapes_that_are_no_part_have_none(self, shape):
        assert find_block(normal(0, 32, 24, 3, 3), normal(0, *shape)) is None

    def test_zeros_and_what_is_not_finite_have_none(self):
        wide = normal(0, 32, 24, 3, 3)
        assert find_block(wide, np.zeros((20, 24, 3, 3), np.float32)) is None
        assert find_block(wide, np.full((20, 24, 3, 3), np.nan, np.float32)) is None


class TestPrunedByChannels:
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    @pytest.mark.parametrize("source", [0, 1])
    def test_the_counts_of_channels_are_told(self, pair, share, source):
        both = (network(), cut(network(), share))
        result = pair(*(both if source == 0 else both[::-1]))
        assert (result.relation.label, result.relation.source) == ("pruned by channels", source)
        text = " ".join(result.relation.reasons)
        assert f"l0.weight {int(share * 32)} of 32 output channels" in text
        assert "output channels of another layer in 4 of 4" in text
        assert "every weight is bit-equal" in text
        assert "adding channels" in result.relation.caveat
        derived, other = (2, 1) if source == 0 else (1, 2)
        words = f"{derived} pruned by channels from {other}"
        assert words in shown(comparison_text([result]), 80)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_rounded(self, pair, dtype):
        relation = pair(network(), cast(cut(network()), dtype)).relation
        assert relation.label == "pruned by channels"
        assert any(f"rounding to {dtype}" in x for x in relation.reasons)

    def test_trained_onward_may_come_from_a_relative(self, pair):
        relation = pair(network(), onward(cut(network()))).relation
        assert relation.label == "pruned by channels"
        assert any("of the weights differ, as training makes" in x for x in relation.reasons)
        assert "a relative of the other" in relation.caveat

    def test_real_training(self, pair):
        net, tuned = (
            {k: w for k, w in family()[x].items() if w.ndim == 4} for x in ("net", "tuned")
        )
        assert pair(net, cut(tuned)).relation.label == "pruned by channels"

    def test_the_inner_channels_of_blocks_alone(self, pair):
        net = network(0, (3, 64, 64, 64, 64, 64))
        chosen = np.arange(0, 64, 2)
        small = net | {
            "l1.weight": net["l1.weight"][chosen],
            "l2.weight": net["l2.weight"][:, chosen],
        }
        result = pair(net, small)
        assert result.relation.label == "pruned by channels"
        blocks = [layer.block for layer in result.layers if layer.block]
        np.testing.assert_array_equal(blocks[1].inputs, chosen)

    def test_other_names(self, pair):
        renamed = {name.replace("l", "conv"): w for name, w in cut(network()).items()}
        assert pair(network(), renamed).relation.label == "pruned by channels"

    def test_groups_along_the_diagonal(self, pair):
        grouped = network() | {"l3.weight": groups_of(network()["l3.weight"], 4)}
        relation = pair(network(), grouped).relation
        assert (relation.label, relation.source) == ("pruned by channels", 0)
        assert any("4 groups of 16 of 64 input channels" in x for x in relation.reasons)

    @pytest.mark.parametrize("widths", [(3, 20, 30, 40, 40, 10), (3, 32, 30, 64, 40, 10)])
    def test_a_stranger_of_other_widths_is_none(self, pair, widths):
        result = pair(network(), network(9, widths))
        assert result.relation.label == "unrelated"
        assert all("of the same name, but" in x.reason for x in result.unmatched)


class TestWidened:
    @pytest.mark.parametrize("pads", [True, False])
    def test_further_channels_without_a_function_of_their_own(self, pair, pads):
        relation = pair(network(), widened(network(), pads=pads)).relation
        assert (relation.label, relation.source) == ("widened", 0)
        assert "may as well have been cut from the wider one" in relation.caveat


class TestLayers:
    def test_a_layer_fewer_with_the_names_as_before(self, pair):
        fewer = {name: w for name, w in network().items() if name != "l2.weight"}
        relation = pair(network(), fewer).relation
        assert (relation.label, relation.source) == ("sub-network", None)
        assert "every matched weight is bit-equal" in relation.reasons

    def test_numbers_that_were_counted_anew(self, pair):
        net = network(0, (3, 64, 64, 64, 64, 64))
        weights = [w for name, w in net.items() if name != "l2.weight"]
        result = pair(net, {f"l{i}.weight": w for i, w in enumerate(weights)})
        assert result.relation.label == "sub-network"
        assert [x.second for x in result.layers] == [f"l{i}.weight" for i in range(4)]
        assert [x.first for x in result.layers] == [f"l{i}.weight" for i in (0, 1, 3, 4)]
