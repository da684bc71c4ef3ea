"""Pairs whose truth is known because they were made here."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from flax import serialization
from safetensors.numpy import save_file

from jfilters.compare._compare import compare
from jfilters.compare._comparison import RELATIONSHIPS, Comparison
from jfilters.converters import open_checkpoint
from jfilters.engine import inspect
from jfilters.shift import kernel_drift

from .networks import family

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def trained() -> dict[str, Weights]:
    """A network, one trained on from it, one from the same start, and one from another."""
    return family()


def kernels(weights: Weights) -> list[str]:
    return [name for name, value in weights.items() if value.ndim == 4]


def changed(weights: Weights, change) -> Weights:
    """The weights with `change` of every convolution kernel."""
    names = kernels(weights)
    return weights | {name: change(weights[name]) for name in names}


def saved(path: Path, weights: Weights) -> Path:
    whole = {name: np.ascontiguousarray(value) for name, value in weights.items()}
    save_file(whole, path, metadata={"format": "pt"})
    return path


@pytest.fixture
def pair(tmp_path, trained):
    """Compare the network with other weights."""

    def compared(second: Weights, first: Weights | None = None) -> Comparison:
        first = trained["net"] if first is None else first
        a = saved(tmp_path / "a.safetensors", first)
        b = saved(tmp_path / "b.safetensors", second)
        return compare([a, b])[0]

    return compared


def rounded_to_grid(weight: np.ndarray, levels: int, *, per_channel: bool) -> np.ndarray:
    axes = (1, 2, 3) if per_channel else None
    step = np.abs(weight).max(axis=axes, keepdims=True) / levels
    return (np.rint(weight / step) * step).astype(np.float32)


def pruned(weight: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.abs(weight) < np.quantile(np.abs(weight), share), 0, weight)


def without_channels(weight: np.ndarray) -> np.ndarray:
    weight = weight.copy()
    weight[np.argsort(np.abs(weight).sum(axis=(1, 2, 3)))[: len(weight) // 4]] = 0
    return weight


class TestVerdicts:
    def test_identical(self, pair, trained):
        found = pair(trained["net"])
        assert found.relation.label == "identical"
        assert all(x.difference.changed == 0 for x in found.layers)
        assert all(x.detail.drift == pytest.approx(0, abs=1e-12) for x in found.layers)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_re_saved_in_another_dtype_and_format(self, tmp_path, trained, dtype):
        a = saved(tmp_path / "a.safetensors", trained["net"])
        state = {name: torch.from_numpy(x).to(dtype) for name, x in trained["net"].items()}
        torch.save(state, tmp_path / "b.pt")
        found = compare([a, tmp_path / "b.pt"])[0]
        assert found.relation.label == "re-saved"
        assert "format safetensors and torch, dtype" in found.relation.reasons[1]

    def test_re_saved_by_flax_in_its_axes_and_names(self, tmp_path, trained):
        a = saved(tmp_path / "a.safetensors", trained["net"])
        tree = {
            f"Conv_{k}": {"kernel": trained["net"][name].transpose(2, 3, 1, 0)}
            for k, name in enumerate(kernels(trained["net"]))
        }
        path = tmp_path / "b.msgpack"
        path.write_bytes(serialization.msgpack_serialize({"params": tree}))
        found = compare([a, path])[0]
        assert found.relation.label == "re-saved"
        assert "axes, names" in found.relation.reasons[1]
        assert [x.second for x in found.layers] == [f"Conv_{k}/kernel" for k in range(3)]

    def test_bfloat16_values_kept_as_float32(self, pair, trained):
        def rounded(weight):
            return torch.from_numpy(weight).bfloat16().float().numpy()

        found = pair(changed(trained["net"], rounded))
        assert found.relation.label == "re-saved"
        assert "rounding to bfloat16" in " ".join(found.relation.reasons)

    @pytest.mark.parametrize("per_channel", [False, True])
    @pytest.mark.parametrize("levels", [127, 7])
    @pytest.mark.parametrize("source", [0, 1])
    def test_quantized(self, pair, trained, per_channel, levels, source):
        net = trained["net"]
        small = changed(net, lambda w: rounded_to_grid(w, levels, per_channel=per_channel))
        found = pair(*((small, net) if source == 0 else (net, small)))
        assert (found.relation.label, found.relation.source) == ("quantized", source)
        assert f"at most {levels} from zero" in found.relation.reasons[1]

    @pytest.mark.parametrize("share", [0.1, 0.9])
    @pytest.mark.parametrize("source", [0, 1])
    def test_pruned_by_magnitude(self, pair, trained, share, source):
        small = changed(trained["net"], lambda w: pruned(w, share))
        both = (small, trained["net"]) if source == 0 else (trained["net"], small)
        found = pair(*both)
        assert (found.relation.label, found.relation.source) == ("pruned", source)
        assert "the rest is equal" in found.relation.reasons[1]

    def test_pruned_by_channel(self, pair, trained):
        found = pair(changed(trained["net"], without_channels))
        assert found.relation.label == "pruned"

    def test_pruned_and_trained_on(self, pair, trained):
        tuned = trained["tuned"]
        found = pair(changed(tuned, lambda w: pruned(w, 0.5)))
        assert found.relation.label == "pruned and fine-tuned"
        assert "of the rest differ" in found.relation.reasons[1]

    def test_zeros_on_both_sides_are_no_direction(self, pair, trained):
        def without(weight, rest):
            places = np.arange(weight.size).reshape(weight.shape)
            return np.where(places % 5 == rest, np.float32(0), weight)

        both = [changed(trained["net"], lambda w, r=rest: without(w, r)) for rest in (0, 1)]
        assert pair(*both).relation.label == "fine-tuned"

    def test_fine_tuned(self, pair, trained):
        found = pair(trained["tuned"])
        assert found.relation.label == "fine-tuned"
        assert found.relation.source is None
        assert all(x.similarity.mean > 0.9 for x in found.layers)

    def test_one_start_says_that_it_looks_the_same(self, pair, trained):
        found = pair(trained["sibling"])
        assert found.relation.label == "fine-tuned"
        assert "from one initialization" in found.relation.reasons[-1]

    @pytest.mark.parametrize("first", ["net", "tuned", "sibling"])
    def test_trained_apart(self, pair, trained, first):
        found = pair(trained["other"], trained[first])
        assert found.relation.label == "trained apart"
        assert all(abs(x.similarity.excess) < 0.1 for x in found.layers)

    def test_unrelated(self, pair):
        rng = np.random.default_rng(0)
        other = {"a.weight": rng.standard_normal((8, 4, 5, 5)).astype(np.float32)}
        found = pair(other)
        assert found.relation.label == "unrelated"
        assert {x.side for x in found.unmatched} == {"first", "second"}

    def test_a_part_of_a_larger_network(self, pair, trained):
        net = trained["net"]
        larger = {f"module.backbone.{name}": value for name, value in net.items()}
        rng = np.random.default_rng(0)
        larger["module.head.weight"] = rng.standard_normal((99, 32, 3, 3)).astype(np.float32)
        found = pair(larger)
        assert found.relation.label == "sub-network"
        assert "every matched weight is bit-equal" in found.relation.reasons
        assert [x.how for x in found.layers] == ["name"] * 3
        assert [x.layer for x in found.unmatched] == ["head.weight"]

    def test_channels_in_another_order(self, pair, trained):
        rng, net = np.random.default_rng(0), trained["net"]
        names, before, shuffled = kernels(net), np.arange(3), {}
        for name in names:
            after = rng.permutation(len(net[name]))
            shuffled[name], before = net[name][after][:, before], after
        found = pair(net | shuffled)
        assert found.relation.label == "re-saved"
        assert "order of channels" in found.relation.reasons[1]
        assert all(x.reordered for x in found.layers)

    def test_every_word_has_a_pair(self):
        assert len(RELATIONSHIPS) == 17


class TestMatching:
    def test_content_beats_the_order_where_names_are_lost(self, pair):
        rng = np.random.default_rng(0)
        layers = [rng.standard_normal((8, 8, 3, 3)).astype(np.float32) for _ in range(4)]
        first = {f"conv{i}.weight": x for i, x in enumerate(layers)}
        second = {f"layer{i}.weight": x for i, x in enumerate(layers[::-1])}
        found = pair(second, first)
        assert [x.second for x in found.layers] == [f"layer{3 - i}.weight" for i in range(4)]
        assert {x.how for x in found.layers} == {"content"}

    def test_a_name_of_another_shape_is_told(self, pair, trained):
        second = dict(trained["net"])
        rng = np.random.default_rng(0)
        second["4.weight"] = rng.standard_normal((32, 16, 3, 3)).astype(np.float32)
        found = pair(second)
        assert [x.reason for x in found.unmatched] == [
            "of the same name, but 32x16x3x3",
            "of the same name, but 32x32x3x3",
        ]


class TestNumbers:
    def test_drift_and_quality_are_those_of_the_other_commands(self, tmp_path, trained):
        a = saved(tmp_path / "a.safetensors", trained["net"])
        b = saved(tmp_path / "b.safetensors", trained["other"])
        layers = compare([a, b])[0].layers
        rows = inspect(a).layers.to_pylist()
        for layer, row in zip(layers, rows, strict=True):
            quality = layer.detail.first
            assert quality.verdict.label == row["verdict"]
            assert quality.sparsity == pytest.approx(row["sparsity"])
            assert quality.variance_entropy == pytest.approx(row["variance_entropy"], abs=1e-5)
            assert quality.orthogonality == pytest.approx(row["orthogonality"], abs=1e-5)

    def test_one_layer_has_the_drift_of_kernel_drift(self, pair, trained):
        first, second = ({"conv.weight": trained[name]["4.weight"]} for name in ("net", "other"))
        detail = pair(second, first).layers[0].detail
        expected = kernel_drift(*(x["conv.weight"].reshape(-1, 9) for x in (first, second)))
        assert detail.drift == pytest.approx(expected, rel=0.02)
        assert 0 < detail.null_mean < 1

    def test_the_record_is_json_without_nan(self, pair, trained):
        constant = changed(trained["net"], np.zeros_like)
        record = pair(constant).record()
        text = json.dumps(record, allow_nan=False)
        assert json.loads(text)["layers"][0]["cosine"] is None

    def test_degenerate_weights_are_no_error(self, pair, trained):
        def broken(weight):
            weight = weight.copy()
            weight[0, 0, 0, 0], weight[1, 0, 0, 0] = np.nan, np.inf
            return weight

        found = pair(changed(trained["net"], broken))
        assert found.relation.label == "fine-tuned"
        assert found.layers[0].detail.second.verdict.label == "non-finite"
        assert pair(changed(trained["net"], np.zeros_like)).relation.label == "pruned"

    def test_strangers_that_are_not_finite(self, pair, trained):
        def broken(weight):
            return np.where(np.arange(weight.size).reshape(weight.shape) % 5, weight, np.inf)

        found = pair(changed(trained["other"], lambda w: broken(w).astype(np.float32)))
        assert found.relation.label == "trained apart"
        assert found.layers[0].record()["relative_change"] is not None

    def test_memory_is_that_of_the_largest_pair(self, tmp_path):
        rng = np.random.default_rng(0)
        shape, n = (128, 128, 3, 3), 9
        layers = {f"c{i}.weight": rng.standard_normal(shape).astype(np.float32) for i in range(n)}
        both = 2 * layers["c0.weight"].nbytes
        a = saved(tmp_path / "a.safetensors", layers)
        b = saved(tmp_path / "b.safetensors", {k: v + 1 for k, v in layers.items()})
        compare([a, b])  # what is imported and compiled once does not count
        tracemalloc.start()
        compare([a, b])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * both < n * both


class TestMany:
    def test_every_pair_and_details_with_the_first(self, tmp_path, trained):
        names = ("net", "tuned", "other")
        paths = [saved(tmp_path / f"{name}.safetensors", trained[name]) for name in names]
        found = compare(paths)
        assert [x.relation.label for x in found] == ["fine-tuned", "trained apart", "trained apart"]
        assert [x.layers[0].detail is None for x in found] == [False, False, True]

    def test_one_is_too_few(self, tmp_path, trained):
        with pytest.raises(ValueError, match="two networks or more to compare, got 1"):
            compare([saved(tmp_path / "a.safetensors", trained["net"])])

    def test_checkpoints_without_layers(self, tmp_path, trained):
        a = saved(tmp_path / "a.safetensors", trained["net"])
        b = saved(tmp_path / "b.safetensors", {"fc.weight": np.ones((2, 3), np.float32)})
        assert open_checkpoint(b).layers == ()
        assert compare([a, b])[0].relation.label == "unrelated"
        assert compare([b, b])[0].relation.label == "unrelated"
