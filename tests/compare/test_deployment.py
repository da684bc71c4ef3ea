"""A deployed network is told to be the trained one: folded, rounded, quantized, in any format."""

import copy
import re

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from jfilters.compare import compare_pair
from jfilters.converters import open_checkpoint

RNG = np.random.default_rng(0)


def trained():
    """Weights of a few layers, of several sizes and one of them depthwise."""
    shapes = [(24, 3, 3, 3), (32, 24, 3, 3), (32, 1, 3, 3), (16, 32, 5, 5)]
    return [RNG.normal(size=shape).astype(np.float32) for shape in shapes]


def folded(weight):
    """The weight times the numbers by which a norm that was folded multiplies its output channels."""
    numbers = np.exp(RNG.normal(0, 0.7, len(weight))) * RNG.choice((-1, 1), len(weight))
    return (weight * numbers.reshape(-1, 1, 1, 1)).astype(np.float32)


def int8(weight, per_channel=True):
    axes = (1, 2, 3) if per_channel else None
    step = np.abs(weight).max(axes, keepdims=True) / 127
    return (np.round(weight / step) * step).astype(np.float32)


DEPLOYED = {
    "as it is": (lambda w: w, "the same network", 0.0),
    "float16": (lambda w: w.astype(np.float16), "rounded to float16; .* in the last place", 0.51),
    "folded": (folded, "the same network, folded; largest deviation .* of float32", 4.0),
    "folded, float16": (lambda w: folded(w).astype("float16"), "folded and rounded to float16", 1.1),
    "int8": (int8, "the same network, quantized to int8; .* 0.5 steps of int8", 0.51),
    "folded, int8": (lambda w: int8(folded(w)), "folded and quantized to int8; .* 0.5 steps", 0.56),
    "folded, int8 a tensor": (
        lambda w: int8(folded(w), per_channel=False), "folded and quantized to int8", 0.56
    ),
}  # fmt: skip


@pytest.fixture
def told(tmp_path):
    def told(first, second):
        for name, weights in (("a", first), ("b", second)):
            arrays = {f"{name}{i}.weight": w for i, w in enumerate(weights)}
            save_file(arrays, tmp_path / f"{name}.safetensors", {"format": "pt"})
        return compare_pair(*(open_checkpoint(tmp_path / f"{x}.safetensors") for x in "ab"))

    return told


@pytest.mark.parametrize("label", DEPLOYED)
def test_a_deployed_network_is_the_trained_one(told, label):
    change, words, most = DEPLOYED[label]
    weights = trained()
    result = told(weights, [change(weight) for weight in weights])
    assert result.deployment.is_same
    assert max(layer.deviation.steps for layer in result.layers) <= most
    assert re.search(words, result.deployment.text), result.deployment.text


@pytest.mark.parametrize("label", DEPLOYED)
def test_a_stranger_is_none(told, label):
    change, *_ = DEPLOYED[label]
    result = told(trained(), [change(weight) for weight in trained()])
    assert not result.deployment.is_same
    assert "not the same network" in result.deployment.text


@pytest.mark.parametrize("label", ["as it is", "folded", "folded, int8"])
def test_training_on_is_no_deployment(told, label):
    change, *_ = DEPLOYED[label]
    weights = trained()
    tuned = [w + RNG.normal(0, 0.05, w.shape).astype(np.float32) for w in weights]
    result = told(weights, [change(weight) for weight in tuned])
    assert not result.deployment.is_same
    assert "4 of 4 layers differ" in result.deployment.text


def test_the_layer_that_differs_is_named(told):
    weights = trained()
    other = [int8(folded(weight)) for weight in weights]
    other[1] = int8(folded(weights[1] + RNG.normal(0, 0.05, weights[1].shape)))
    result = told(weights, other)
    assert not result.deployment.is_same
    assert "1 of 4 layers differ: b1.weight (" in result.deployment.text


def test_a_layer_without_a_partner_is_told(told):
    weights = trained()
    result = told(weights, weights[:-1])
    assert not result.deployment.is_same
    assert "one layer has no partner" in result.deployment.text


def test_a_folded_norm_of_torch_in_an_exported_program(tmp_path):
    torch.manual_seed(0)
    convs = (nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3))
    net = nn.Sequential(convs[0], nn.BatchNorm2d(16), convs[1], nn.BatchNorm2d(16))
    net.train()
    for _ in range(3):
        net(torch.randn(4, 3, 16, 16))
    for norm in (net[1], net[3]):
        nn.init.uniform_(norm.weight, 0.3, 2.0)
    torch.save(net.state_dict(), tmp_path / "trained.pth")
    net.eval()
    pairs = ((net[0], net[1]), (net[2], net[3]))
    fused = nn.Sequential(*(fuse_conv_bn_eval(*copy.deepcopy(pair)) for pair in pairs))
    program = torch.export.export(fused, (torch.randn(1, 3, 16, 16),))
    torch.export.save(program, tmp_path / "deployed.pt2")
    paths = (tmp_path / "trained.pth", tmp_path / "deployed.pt2")
    result = compare_pair(*map(open_checkpoint, paths))
    assert result.deployment.is_same
    assert "the same network, folded; largest deviation" in result.deployment.text
    assert {layer.deviation.folded for layer in result.layers} == {"output channel"}


def bfloat16(weight):
    return weight.astype(ml_dtypes.bfloat16).astype(np.float32)


def int4(weight):
    step = np.abs(weight).max((1, 2, 3), keepdims=True) / 7
    return (np.round(weight / step) * step).astype(np.float32)


def affine(weight, levels):
    """Integers from the smallest to the largest value of a tensor, as TensorFlow.js has, with zero."""
    low, high = weight.min(), weight.max()
    step = (high - low) / levels
    low = -np.round(-low / step) * step
    integers = np.clip(np.round((weight - low) / step), 0, levels)
    return (integers * step + low).astype(np.float32)


def float8(weight):
    scale = np.abs(weight).max((1, 2, 3), keepdims=True) / 448
    return ((weight / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float32) * scale).astype(
        "f4"
    )


def before(weight):
    """The weight with a norm before it folded: a number for each input channel."""
    numbers = np.exp(RNG.normal(0, 0.7, weight.shape[1]))
    return (weight * numbers.reshape(1, -1, 1, 1)).astype(np.float32)


FOLDS = {"": lambda w: w, "output": folded, "input": before, "both": lambda w: before(folded(w))}
STORAGES = {
    "rounded to bfloat16": bfloat16,
    "quantized to int4": int4,
    "quantized to int8": lambda w: affine(w, 255),
    "quantized to int16": lambda w: affine(w, 65535),
    "quantized to float8_e4m3fn": float8,
}


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_behind_every_fold(told, fold, storage):
    weights = trained()
    other = [STORAGES[storage](FOLDS[fold](weight)) for weight in weights]
    changes = f"folded and {storage}" if fold else storage
    result = told(weights, other)
    assert result.deployment.is_same
    assert result.deployment.text.startswith(f"the same network, {changes}; largest deviation 0.")
    # In the other order the first network is the deployed one.
    backwards = told(other, weights)
    assert backwards.deployment.text.startswith(f"the same network, the first {changes}; largest")
    strangers = [STORAGES[storage](FOLDS[fold](weight)) for weight in trained()]
    assert not told(weights, strangers).deployment.is_same


def test_dead_channels_hide_no_grid(told):
    weights = trained()
    for weight in weights:
        weight[: len(weight) * 3 // 4] = 0
    steps = [np.abs(w).max((1, 2, 3), keepdims=True) / 127 + (w == 0) for w in weights]
    pairs = zip(weights, steps, strict=True)
    result = told(weights, [(np.round(w / s) * s).astype("f4") for w, s in pairs])
    assert "quantized to int8" in result.deployment.text
    assert {layer.grids[1].levels for layer in result.layers} == {127}


def test_pruned_channels_are_not_folded_ones(told):
    weights = trained()
    pruned = [weight.copy() for weight in weights]
    pruned[1][:8] = 0
    result = told(weights, pruned)
    assert result.relation.label == "pruned"
    assert not result.deployment.is_same
    assert result.deployment.differing == ("b1.weight",)


def test_a_mirrored_network_is_another(told):
    weights = trained()
    result = told(weights, [int8(np.ascontiguousarray(w[..., ::-1])) for w in weights])
    assert not result.deployment.is_same
    assert "b0.weight (mirrored from left to right)" in result.deployment.text


def test_the_sentence_is_a_reason_and_part_of_the_record(told):
    weights = trained()
    result = told(weights, [int8(folded(weight)) for weight in weights])
    record = result.record()
    assert result.deployment.text in record["reason"]
    assert record["deployment"]["same_network"] is True
    assert record["deployment"]["changes"] == ["folded", "quantized to int8"]
    assert record["deployment"]["largest_deviation"] == max(
        x["deviation"] for x in record["layers"]
    )
    assert {(x["folded"], x["storage"]) for x in record["layers"]} == {("output channel", "int8")}


def test_trained_arrays_beside_equal_kernels_are_no_deployment(tmp_path):
    weights = {"conv.weight": trained()[1], "head.weight": RNG.normal(size=(5, 7)).astype("f4")}
    save_file(weights, tmp_path / "a.safetensors", {"format": "pt"})
    head = weights["head.weight"] + np.float32(0.1)
    save_file(weights | {"head.weight": head}, tmp_path / "b.safetensors", {"format": "pt"})
    result = compare_pair(*(open_checkpoint(tmp_path / f"{x}.safetensors") for x in "ab"))
    assert not result.deployment.is_same
    assert "other arrays differ" in result.deployment.text
