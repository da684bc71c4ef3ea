"""A deployed network is told to be the trained one: folded, rounded, quantized, in any format."""

import copy
import re

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
