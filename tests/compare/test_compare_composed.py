"""What networks are to each other whose weights are made of several stored arrays, or in several ways.

A masked or merged network is saved here as the product that its reader makes of it.
"""

import dataclasses
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from jfilters.compare import Comparison, compare
from jfilters.compare._compare import compare_pair
from jfilters.converters import Checkpoint, StoredLayer, open_checkpoint
from jfilters.report import comparison_text

from ..engine.unread import REASON, unread_layers
from ..report.test_summary import shown

Weights = dict[str, np.ndarray]

SHAPES = {"a.weight": (24, 3, 3, 3), "b.weight": (32, 24, 3, 3), "c.weight": (32, 32, 5, 5)}


def network(seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return {
        name: (0.1 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def tuned(weights: Weights, size: float = 0.01) -> Weights:
    rng = np.random.default_rng(1)
    return {
        name: w + (size * rng.standard_normal(w.shape)).astype(np.float32)
        for name, w in weights.items()
    }


def masked(weights: Weights, share: float = 0.5) -> Weights:
    return {name: w * (np.abs(w) > np.quantile(np.abs(w), share)) for name, w in weights.items()}


def without_channels(weights: Weights, names: tuple[str, ...] = tuple(SHAPES)) -> Weights:
    def mask(w: np.ndarray) -> np.ndarray:
        return (np.arange(len(w)) % 4 > 0).reshape(-1, 1, 1, 1)

    return weights | {name: weights[name] * mask(weights[name]) for name in names}


def cast(weights: Weights, name: str) -> Weights:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    return {key: w.astype(dtype).astype(np.float32) for key, w in weights.items()}


def rounded_to_grid(weight: np.ndarray, levels: int, *, per_channel: bool) -> np.ndarray:
    axes = (1, 2, 3) if per_channel else None
    step = np.abs(weight).max(axis=axes, keepdims=True) / levels
    return (np.rint(weight / step) * step).astype(np.float32)


def saved(path: Path, weights: Weights) -> Path:
    save_file({k: np.ascontiguousarray(w) for k, w in weights.items()}, path, {"format": "pt"})
    return path


class TestPruned:
    def test_a_mask_over_equal_weights(self, pair):
        found = pair(network(), masked(network())).relation
        assert (found.label, found.source) == ("pruned", 0)
        assert "50.0% of the weights are zero in one alone; the rest is equal" in found.reasons

    def test_whole_channels(self, pair):
        found = pair(without_channels(network()), network()).relation
        assert (found.label, found.source) == ("pruned", 1)

    def test_few_zeros_and_no_other_change(self, pair):
        few = network()
        few["a.weight"] = few["a.weight"].copy()
        few["a.weight"][:3] = 0  # 0.3 % of all weights
        found = pair(network(), few).relation
        assert (found.label, found.source) == ("pruned", 0)

    def test_the_rest_rounded_to_another_type(self, pair):
        found = pair(network(), cast(masked(network()), "float16")).relation
        assert (found.label, found.source) == ("pruned", 0)
        assert any("the rest is equal up to rounding to float16" in x for x in found.reasons)

    def test_values_that_a_type_is_too_narrow_for_are_not_pruned(self, pair):
        small = network() | {"a.weight": network()["a.weight"] * np.float32(1e-8)}
        assert pair(small, cast(small, "float16")).relation.label == "re-saved"
        more = cast(small, "float16") | {"head.weight": network(5)["a.weight"]}
        assert pair(small, more).relation.label == "sub-network"

    @pytest.mark.parametrize("prune", [masked, without_channels])
    def test_a_mask_over_a_fine_tuned_network(self, pair, prune):
        found = pair(network(), prune(tuned(network())))
        relation = found.relation
        assert (relation.label, relation.source) == ("pruned and fine-tuned", 0)
        assert "2 pruned and fine-tuned from 1" in shown(comparison_text([found]), 80)

    def test_a_mask_over_a_stranger(self, pair):
        assert pair(network(), masked(network(7))).relation.label == "trained apart"


class TestSameFunction:
    def parametrized(self, tmp_path, norm, remove) -> Comparison:
        """A network as torch folds its norm, and as a reader computes it in float64."""
        torch.manual_seed(0)
        net = torch.nn.Sequential(norm(torch.nn.Conv2d(64, 64, 3)), norm(torch.nn.Conv2d(64, 8, 3)))
        net(torch.randn(1, 64, 8, 8))
        net.eval()
        state = {name: x.numpy().astype(np.float64) for name, x in net.state_dict().items()}
        read = {f"{i}.weight": _effective(state, f"{i}.weight") for i in range(2)}
        for module in net:
            remove(module)
        folded = {name: x.numpy() for name, x in net.state_dict().items() if x.ndim == 4}
        a, b = saved(tmp_path / "a.safetensors", read), saved(tmp_path / "b.safetensors", folded)
        return compare([a, b], detailed=False)[0]

    @pytest.mark.filterwarnings("ignore::FutureWarning")
    @pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
    def test_a_folded_norm_is_re_saved(self, tmp_path, kind):
        utils = torch.nn.utils
        found = self.parametrized(
            tmp_path, getattr(utils, kind), getattr(utils, f"remove_{kind}")
        ).relation
        assert found.label == "re-saved"
        assert "rounding in float32 arithmetic makes" in found.reasons[-1]

    def test_one_value_off_is_more(self, pair):
        other = network()
        other["b.weight"] = other["b.weight"].copy()
        other["b.weight"][0, 0, 0, 0] *= np.float32(1.001)
        assert pair(network(), other).relation.label == "fine-tuned"

    def test_computed_and_saved_in_half_precision(self, pair):
        rounded = {k: w * np.float32(1 + 3e-7) for k, w in network().items()}
        found = pair(network(), cast(rounded, "float16")).relation
        assert found.label == "re-saved"
        assert "rounding to float16 makes" in found.reasons[-1]

    def test_equal_weights_made_in_another_way_are_not_identical(self, tmp_path):
        path = saved(tmp_path / "a.safetensors", network())
        first = open_checkpoint(path)
        layers = tuple(_applied(layer, "masked") for layer in first.layers)
        second = Checkpoint(first.path, first.format, layers, first.skipped)
        found = compare_pair(first, second).relation
        assert found.label == "re-saved"
        assert "composition (as stored and masked)" in found.reasons[1]


class TestQuantized:
    @pytest.mark.parametrize("code", ["float8_e4m3fn", "float8_e5m2"])
    @pytest.mark.parametrize("per_channel", [True, False])
    @pytest.mark.parametrize("stored", ["float32", "bfloat16"])
    def test_float8_with_a_scale(self, pair, code, per_channel, stored):
        dtype = np.dtype(getattr(ml_dtypes, code))
        top = np.float32(ml_dtypes.finfo(dtype).max)

        def dequantized(w: np.ndarray) -> np.ndarray:
            axes = (1, 2, 3) if per_channel else None
            scale = np.abs(w).max(axis=axes, keepdims=True) / top
            return (w / scale).astype(dtype).astype(np.float32) * scale

        small = {name: dequantized(w) for name, w in network().items()}
        found = pair(network(), cast(small, stored)).relation
        assert (found.label, found.source) == ("quantized", 0)
        assert any(f"values of {code} times one scale" in x for x in found.reasons)

    @pytest.mark.parametrize("stored", ["float16", "bfloat16"])
    @pytest.mark.parametrize("levels", [127, 7])
    @pytest.mark.parametrize("per_channel", [True, False])
    def test_integers_stored_in_half_precision(self, pair, stored, levels, per_channel):
        small = {
            name: rounded_to_grid(w, levels, per_channel=per_channel)
            for name, w in network().items()
        }
        relation = pair(network(), cast(small, stored)).relation
        assert (relation.label, relation.source) == ("quantized", 0)
        assert relation.caveat == ""

    def test_a_folded_norm_before_it(self, pair):
        rng = np.random.default_rng(0)
        small = {}
        for name, w in network().items():
            folded = w * np.exp(rng.standard_normal((len(w), 1, 1, 1))).astype(np.float32)
            small[name] = rounded_to_grid(folded, 127, per_channel=True)
        relation = pair(network(), small).relation
        assert (relation.label, relation.source) == ("quantized", 0)

    def test_integers_of_a_stranger_are_none(self, pair):
        small = {name: rounded_to_grid(w, 127, per_channel=True) for name, w in network(9).items()}
        assert pair(network(), small).relation.label == "trained apart"


class TestMergedAdapter:
    def test_the_change_has_the_rank_of_the_adapter(self, pair):
        rng = np.random.default_rng(3)
        merged = {}
        for name, w in network().items():
            up, down = rng.standard_normal((len(w), 4)), rng.standard_normal((4, w[0].size))
            merged[name] = w + (0.005 * up @ down).reshape(w.shape).astype(np.float32)
        found = pair(network(), merged).relation
        assert found.label == "fine-tuned"
        assert any("the change of 3 layers has rank 4 at most" in x for x in found.reasons)

    def test_a_trained_change_has_no_low_rank(self, pair):
        assert "rank" not in " ".join(pair(network(), tuned(network())).relation.reasons)


class TestReadInPart:
    def test_the_comparison_says_what_it_is_not_about(self, tmp_path):
        a = saved(tmp_path / "a.safetensors", network())
        whole = open_checkpoint(a)
        with unread_layers("c.weight"):
            part = open_checkpoint(a)
        found = compare_pair(whole, part)
        unread = f"2 of 3 layers read; not read: {REASON} (1)"
        assert f"of the second only {unread}" in found.relation.reasons
        assert found.record()["unread"] == {"first": None, "second": unread}
        assert "2 of 3 layers read" in " ".join(shown(comparison_text([found]), 80).split())


def _applied(layer: StoredLayer, word: str) -> StoredLayer:
    return dataclasses.replace(layer, layer=dataclasses.replace(layer.layer, applied=word))


def _effective(state: dict[str, np.ndarray], name: str) -> np.ndarray:
    if f"{name}_g" in state:
        v = state[f"{name}_v"]
        weight = state[f"{name}_g"] * v / np.sqrt(np.square(v).sum(axis=(1, 2, 3), keepdims=True))
    else:
        w = state[f"{name}_orig"]
        weight = w / (state[f"{name}_u"] @ w.reshape(len(w), -1) @ state[f"{name}_v"])
    return weight.astype(np.float32)
