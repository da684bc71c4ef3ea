"""The rule on deployed networks: every model is the trained one, or the reason says which layers differ."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf
from jfilters import CheckpointError
from jfilters.questions import check

RNG = np.random.default_rng(0)
SHAPES = {"a.weight": (24, 3, 3, 3), "b.weight": (32, 24, 3, 3)}


def network():
    return {name: RNG.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def int8(weights):
    steps = {name: np.abs(w).max((1, 2, 3), keepdims=True) / 127 for name, w in weights.items()}
    return {name: (np.round(w / steps[name]) * steps[name]) for name, w in weights.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained network, its eight-bit twin, a network trained on, and a stranger, in a scan."""
    folder, net = tmp_path_factory.mktemp("twins"), network()
    tuned = {name: w + RNG.normal(0, 0.1, w.shape).astype(np.float32) for name, w in net.items()}
    save_file(net, folder / "trained.safetensors", {"format": "pt"})
    (folder / "nets").mkdir()
    networks = {"twin": int8(net), "tuned": tuned, "stranger": network()}
    for name, weights in networks.items():
        save_file(weights, folder / "nets" / f"{name}.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def scan(folder):
    return jf.scan(folder / "nets")


def outcome(scan, folder, *lines):
    rules = folder / "rules.toml"
    rules.write_text("\n".join(["[[rule]]", 'name = "r"', *lines]))
    (result,) = check(scan, rules)
    return result


def test_models_that_are_not_the_trained_network_break_the_rule(scan, folder):
    result = outcome(scan, folder, 'twin = "trained.safetensors"')
    reasons = {broken.model.partition(".")[0]: broken.reason for broken in result.broken}
    assert sorted(reasons) == ["stranger", "tuned"]
    assert reasons["tuned"].startswith("fine-tuned, not the same network: 2 of 2 layers differ")
    assert result.checked == 3
    assert result.broken[0].values["layers_differing"] == 2


def test_where_narrows_the_models(scan, folder):
    where = "where = \"model == 'twin.safetensors'\""
    result = outcome(scan, folder, 'twin = "trained.safetensors"', where)
    assert (result.models, result.broken) == (("twin.safetensors",), ())
    assert result.rule.requirement == "the same network as trained.safetensors"


def test_weights_that_changed_since_are_unknown(folder, tmp_path):
    net = network()
    for name in ("trained", "net/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_file(net, tmp_path / f"{name}.safetensors", {"format": "pt"})
    scan = jf.scan(tmp_path / "net")
    save_file(network(), tmp_path / "net" / "a.safetensors", {"format": "pt"})
    (broken,) = outcome(scan, tmp_path, 'twin = "trained.safetensors"').broken
    assert "changed since the scan" in broken.reason
    passing = outcome(scan, tmp_path, 'twin = "trained.safetensors"', 'unknown = "pass"')
    assert not passing.broken


def test_a_twin_that_is_no_checkpoint_is_an_error(scan, folder):
    with pytest.raises(ValueError, match=r"rules.toml: rule 'r': .*no such file"):
        outcome(scan, folder, 'twin = "other.safetensors"')


def test_keys_that_a_twin_does_not_look_at(scan, folder):
    with pytest.raises(CheckpointError, match="expected no table beside twin"):
        outcome(scan, folder, 'twin = "trained.safetensors"', 'table = "models"')
