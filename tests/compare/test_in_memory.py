"""Networks that are compared without a file: parameters, modules and `Kernels`, also beside files."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf

from ..training.networks import NETWORKS, arrays, weights

torch = pytest.importorskip("torch")


def state(seed=0):
    return {f"conv{i}.weight": weight for i, weight in enumerate(weights(seed))}


def module(seed=0):
    torch.manual_seed(seed)
    convolutions = [torch.nn.Conv2d(3, 16, 3), torch.nn.Conv2d(16, 16, 3)]
    return torch.nn.Sequential(convolutions[0], torch.nn.BatchNorm2d(16), convolutions[1])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(state(), path)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_any_framework_has_the_kernels_of_the_file(name, file):
    pair = jf.compare(file, NETWORKS[name](), axes="OIHW")
    assert pair.relation.label in ("identical", "re-saved")
    assert all(layer.difference.changed == 0 for layer in pair.layers)
    assert pair.other_arrays is None  # of a file and a network in memory


def test_the_comparison_of_files_is_that_of_what_they_hold(file, tmp_path):
    other = tmp_path / "other.safetensors"
    tuned = {name: weight + 0.1 * weights(1)[0].mean() for name, weight in state().items()}
    save_file(tuned, other)
    of_files = jf.compare(file, other).record()[0]
    in_memory = jf.compare(jf.load(file), jf.load(other)).record()[0]
    names = {"first", "second"}
    assert (of_files.pop("first"), in_memory.pop("first")) == (str(file), "a")
    assert {k: v for k, v in of_files.items() if k not in names} == {
        k: v for k, v in in_memory.items() if k not in names
    }


class TestNames:
    def test_are_letters_for_what_has_no_path(self, file):
        pairs = jf.compare(arrays(), file, jf.load(file))
        assert [(pair.first.path, pair.second.path) for pair in pairs] == [
            ("a", str(file)),
            ("a", "c"),
            (str(file), "c"),
        ]

    def test_are_those_that_are_given(self, file):
        pair = jf.compare(file, arrays(1), names=("base", "tuned")).pair
        assert (pair.first.path, pair.second.path) == ("base", "tuned")
        assert pair.record()["second"] == "tuned"

    @pytest.mark.parametrize("names", ["ab", ("a",), ("a", ""), (1, 2)])
    def test_that_do_not_fit(self, names):
        with pytest.raises(ValueError, match="names: expected"):
            jf.compare(arrays(), arrays(), names=names)

    def test_of_an_unreadable_network_are_in_the_error(self):
        with pytest.raises(jf.CheckpointError, match=r"^b: expected parameters, .* got int"):
            jf.compare(arrays(), 3)


class TestOtherArrays:
    def test_of_two_torch_modules(self):
        net = module()
        other = copy.deepcopy(net)
        assert jf.compare(net, other).relation.label == "identical"
        with torch.no_grad():
            other[1].weight.mul_(2)
        pair = jf.compare(net, other)
        assert pair.relation.label == "kernels identical, other arrays differ"
        assert pair.other_arrays.differing == ("1.weight",)

    def test_of_two_trees_of_parameters(self):
        a = arrays() | {"head": {"kernel": jnp.ones((16, 3))}}
        b = arrays() | {"head": {"kernel": jnp.zeros((16, 3))}}
        assert jf.compare(a, b).other_arrays.differing == ("head/kernel",)

    def test_of_kernels_are_none(self):
        kernels = jf.from_params(arrays())
        assert jf.compare(kernels, kernels).relation.label == "identical"
        assert jf.compare(kernels, kernels).other_arrays is None


def test_tensors_of_torch_are_read_in_every_dtype():
    net = module()
    half = {name: tensor.to(torch.bfloat16) for name, tensor in net.state_dict().items()}
    pair = jf.compare(net.state_dict(), half)
    assert pair.relation.label == "re-saved"
    assert [layer.stored[1].dtype for layer in pair.layers] == ["bfloat16", "bfloat16"]


def test_one_list_of_networks_is_those_networks():
    assert len(jf.compare([arrays(), arrays(1), arrays(2)])) == 3


def test_several_pairs_have_no_one_relation():
    with pytest.raises(ValueError, match="one pair of networks, got 3"):
        _ = jf.compare(arrays(), arrays(1), arrays(2)).relation


def test_under_jit_one_sentence_says_what_to_use():
    with pytest.raises(ValueError, match="call it outside") as raised:
        jax.jit(lambda params: jf.compare(params, params))(arrays())
    assert "racer" not in str(raised.value)


def test_donated_arrays_are_named():
    params = jax.tree.map(lambda x: x + 0, arrays())
    jax.tree.map(lambda x: x.delete(), params)
    with pytest.raises(jf.CheckpointError, match="b: conv0/kernel: Array has been deleted"):
        jf.compare(arrays(), params)


def test_a_part_of_the_parameters_is_chosen_by_network():
    params = {"online": {"params": arrays()}, "target": {"params": arrays(1)}}
    chosen = jf.compare(params, {"target": {"params": arrays(1)}}, network="target")
    assert chosen.layers[0].difference.changed == 0
    assert np.isclose(chosen.layers[0].similarity.mean, 1)
