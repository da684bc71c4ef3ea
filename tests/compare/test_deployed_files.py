"""Files that the frameworks' own writers made of a network of torch are that network, in every format."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import jfilters as jf

from ..converters.deployed.networks import NETWORKS
from ..converters.deployed.torch_networks import network

FOLDER = Path(__file__).parents[1] / "converters"
TENSORFLOW, DEPLOYED = FOLDER / "tensorflow", FOLDER / "deployed"
TRUTH = dict(np.load(TENSORFLOW / "truth.npz"))

SAME = {
    "float32.tflite": "the same network, folded; largest deviation 0.67 units .* of float32",
    "float16.tflite": "folded and rounded to float16; largest deviation 0.55 units in the last place",
    "int8.tflite": "the same network, quantized to int8; largest deviation 0.55 steps of int8",
    "saved_model": "the same network$",
    "frozen.pb": "the same network$",
    "checkpoint/model.index": "the same network$",
}

PARTS = ("web", "web_layers", "web_float16", "web_integers", "v1/model.ckpt.index", "frozen_v1.pb")
"""Writers that know no convolution in groups left a layer out."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "trained.pth"
    torch.save({name: torch.from_numpy(x) for name, x in TRUTH.items()}, path)
    return path


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("order", [1, -1])
def test_a_network_of_torch_in_tensorflow(trained, name, order):
    result = jf.compare(*(trained, TENSORFLOW / name)[::order], detailed=False)
    assert result.deployment.is_same
    # Of two types of one size neither is the deployed one.
    is_first = order == -1 and name != "float32.tflite"
    words = SAME[name].replace("network, ", "network, the first ") if is_first else SAME[name]
    assert re.search(words, result.deployment.text), result.deployment.text


@pytest.mark.parametrize("name", PARTS)
def test_the_layers_that_a_writer_kept(trained, name):
    result = jf.compare(trained, TENSORFLOW / name, detailed=False)
    assert result.relation.label == "sub-network"
    assert not result.deployment.is_same
    assert not result.deployment.differing
    assert "one layer has no partner" in result.deployment.text


def test_sixteen_bits_are_steps_too(trained):
    result = jf.compare(trained, TENSORFLOW / "web_integers", detailed=False)
    storages = {layer.deviation.storage: layer.deviation.steps for layer in result.layers}
    assert 0.4 < storages["int8"] <= 0.51
    assert 0.4 < storages["int16"] <= 0.51
    assert "the others are the same, quantized to int16 and int8" in result.deployment.text


FILES = [(name, f"{name}{suffix}") for name in NETWORKS for suffix in (".ncnn.param", ".xml")]
HALVES = [("two", "two-half.ncnn.param"), ("two", "two-half.xml")]


@pytest.mark.parametrize(("name", "file"), FILES + HALVES)
@pytest.mark.parametrize("is_file", [True, False])
def test_a_network_of_torch_in_ncnn_and_openvino(tmp_path, name, file, is_file):
    module, _ = network(name)
    torch.save(module.state_dict(), tmp_path / "trained.pth")
    trained = tmp_path / "trained.pth" if is_file else module
    result = jf.compare(trained, DEPLOYED / file, detailed=False)
    assert result.deployment.is_same
    assert result.deployment.text == "the same network"


def test_another_network_of_the_same_shapes_is_none(trained, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        name: torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))
        for name, x in TRUTH.items()
    }
    torch.save(arrays, tmp_path / "other.pth")
    for name in SAME:
        result = jf.compare(tmp_path / "other.pth", TENSORFLOW / name, detailed=False)
        assert not result.deployment.is_same
        assert result.relation.label in ("trained apart", "unrelated")
