"""Networks whose kernels are multiples of one another's, and those that only look like it."""

import numpy as np
import pytest
import torch

from jfilters.report import comparison_text

from ..report.test_summary import shown
from .test_compare_composed import Weights, network, tuned


def scales(seed: int, n: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def signs(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), n)


def with_factors(weights: Weights, factors) -> Weights:
    """Multiply the output channels of each layer, and divide the inputs of the next, as ReLU permits."""
    scaled, before = {}, np.ones(3, np.float32)
    for k, (name, weight) in enumerate(weights.items()):
        after = factors(k, len(weight))
        scaled[name] = weight * after[:, None, None, None] / before[None, :, None, None]
        before = after
    return scaled


class TestRescaled:
    @pytest.mark.parametrize("factors", [scales, signs], ids=["ReLU", "signs"])
    def test_channels_in_and_out(self, pair, factors):
        result = pair(network(), with_factors(network(), factors))
        assert result.relation.label == "rescaled per channel"
        assert result.relation.source is None
        assert "every kernel is its partner times a number" in result.relation.reasons[1]
        assert ("the number is negative" in result.relation.reasons[2]) == (factors is signs)
        assert "rescaled per channel, one from the other" in shown(comparison_text([result]), 80)

    def test_a_folded_batchnorm(self, pair):
        torch.manual_seed(0)
        folded = {}
        for name, weight in network().items():
            conv = torch.nn.Conv2d(weight.shape[1], len(weight), weight.shape[2]).eval()
            conv.weight.data = torch.from_numpy(weight)
            norm = torch.nn.BatchNorm2d(len(weight)).eval()
            norm.weight.data = torch.randn(len(weight)).exp()
            norm.running_var = torch.rand(len(weight)) + 0.5
            fused = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
            folded[name] = fused.weight.detach().numpy()
        assert pair(network(), folded).relation.label == "rescaled per channel"

    def test_one_layer_alone(self, pair):
        other = network()
        other["b.weight"] = other["b.weight"] * scales(0, 32)[:, None, None, None]
        result = pair(network(), other).relation
        assert result.label == "rescaled per channel"
        assert "in one layer every kernel" in result.reasons[1]

    def test_signs_of_channels_and_of_a_whole_layer(self, pair):
        other = with_factors(network(), signs)
        other["c.weight"] = -network()["c.weight"]
        result = pair(network(), other).relation
        assert result.label == "rescaled per channel"
        assert any("c.weight: negated" in x for x in result.reasons)

    def test_the_reasons_say_for_which_channels(self, pair):
        result = pair(network(), with_factors(network(), scales)).relation
        numbers = "one for each output and input channel; one for each output channel"
        assert any(numbers in x for x in result.reasons)

    @pytest.mark.parametrize("size", [1e-5, 1e-3, 1e-2])
    def test_a_step_of_training_is_none_however_small(self, pair, size):
        assert pair(network(), tuned(network(), size)).relation.label == "fine-tuned"

    def test_rescaled_and_trained_onward_is_fine_tuned(self, pair):
        other = with_factors(tuned(network()), scales)
        assert pair(network(), other).relation.label == "fine-tuned"

    def test_strangers_of_three_taps_are_none(self, pair):
        rng = np.random.default_rng(0)
        first, second = (
            {"a.weight": rng.standard_normal((16, 16, 1, 3)).astype(np.float32)} for _ in range(2)
        )
        assert pair(first, second).relation.label == "trained apart"


class TestPartlyKin:
    def larger(self, seed: int) -> Weights:
        rng = np.random.default_rng(seed)
        return {
            f"w{i}.weight": rng.standard_normal((128, 64, 3, 3)).astype(np.float32)
            for i in range(8)
        }

    def with_small(self, seed: int, small: Weights) -> Weights:
        return small | self.larger(seed)

    def test_two_layers_of_many_are_named(self, pair):
        small = {name: network()[name] for name in ("a.weight", "b.weight")}
        result = pair(self.with_small(10, small), self.with_small(20, tuned(small, 0.05)))
        assert result.relation.label == "partly kin"
        assert not result.kinship.are_kin
        assert result.relation.reasons[-1].endswith("a.weight, b.weight")
        assert "a few layers go back to one another" in shown(comparison_text([result]), 80)

    def test_one_layer_of_many_is_no_evidence(self, pair):
        small = {"b.weight": network()["b.weight"]}
        result = pair(self.with_small(10, small), self.with_small(20, tuned(small, 0.3)))
        assert result.relation.label == "trained apart"

    def test_kin_of_which_most_layers_have_no_partner(self, pair):
        rng = np.random.default_rng(5)
        heads = (
            {"h.weight": rng.standard_normal((64, n, 3, 3)).astype(np.float32)} for n in (90, 91)
        )
        first, second = (network() | head for head in heads)
        result = pair(first, second).relation
        assert result.label == "partly kin"
        assert "the matched layers are kin: a.weight, b.weight, c.weight" in result.reasons

    def test_negated_kernels_are_said_to_be(self, pair):
        negated = {name: -w for name, w in tuned(network()).items()}
        result = pair(network(), negated).relation
        assert result.label == "related, transformed"
        assert any("negated" in reason for reason in result.reasons)

    def test_strangers_go_with_the_rate_of_false_alarms(self, pair):
        result = pair(network(), network(1))
        assert "(strangers: at most one pair in 1.7 million)" in result.relation.reasons[-1]
        assert result.record()["kinship"]["alarm"] == pytest.approx(5.7e-7, rel=0.01)
        assert result.record()["kinship"]["smallest"] == pytest.approx(result.kinship.smallest)
