"""Which BatchNorm is tied to which convolution, and that its factor is that of a folding."""

from collections import OrderedDict

import flax.linen as nn
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
import torch
from flax import serialization
from onnx import helper, numpy_helper
from safetensors.torch import save_file

from jfilters.converters import open_checkpoint
from jfilters.converters.internal import Folding, folded

torch.manual_seed(0)


def conv(inner: int, out: int, **options) -> torch.nn.Conv2d:
    return torch.nn.Conv2d(inner, out, 3, bias=False, **options)


def norm(size: int) -> torch.nn.BatchNorm2d:
    """A BatchNorm after some training, as far as its numbers tell."""
    made = torch.nn.BatchNorm2d(size)
    torch.nn.init.normal_(made.weight)
    torch.nn.init.uniform_(made.running_var, 0.01, 3)
    return made


class Net(torch.nn.Module):
    """Modules registered in the order of the arguments; never run."""

    def __init__(self, **modules: torch.nn.Module):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


@pytest.fixture
def fold(tmp_path):
    """Fold a torch module that was saved with its order (torch) or without (safetensors)."""

    def done(net: torch.nn.Module, *, ordered: bool = True) -> Folding:
        state = net.state_dict()
        if ordered:
            path = tmp_path / "net.pt"
            torch.save(state, path)
        else:
            path = tmp_path / "net.safetensors"
            whole = {name: x.contiguous() for name, x in state.items()}
            save_file(whole, path, metadata={"format": "pt"})
        return folded(open_checkpoint(path))

    return done


def expected(batchnorm: torch.nn.BatchNorm2d, eps: float = 1e-5) -> np.ndarray:
    gamma, variance = batchnorm.weight.detach().double(), batchnorm.running_var.double()
    return (gamma / torch.sqrt(variance + eps)).numpy()


class TestFactors:
    def test_by_hand_in_float64(self, fold):
        net = Net(conv1=conv(3, 8), bn1=norm(8))
        found = fold(net)
        assert found.norms == {"conv1.weight": "bn1"}
        np.testing.assert_allclose(found.factors["conv1.weight"], expected(net.bn1), rtol=1e-6)

    def test_is_the_folding_of_torch(self, fold):
        net = Net(conv1=conv(3, 8), bn1=norm(8)).eval()
        weight, _ = torch.nn.utils.fusion.fuse_conv_bn_weights(
            net.conv1.weight, None, net.bn1.running_mean, net.bn1.running_var, net.bn1.eps,
            net.bn1.weight, net.bn1.bias,
        )  # fmt: skip
        factor = fold(net).factors["conv1.weight"][:, None, None, None]
        scaled = net.conv1.weight.detach().numpy() * factor
        np.testing.assert_allclose(scaled, weight.detach().numpy(), rtol=1e-5)

    def test_without_a_scale_it_is_one(self, fold):
        net = Net(conv1=conv(3, 8), bn1=torch.nn.BatchNorm2d(8, affine=False))
        np.testing.assert_allclose(fold(net).factors["conv1.weight"], np.full(8, 1 / 1.00001**0.5))

    @pytest.mark.parametrize("broken", [np.nan, np.inf, -1.0])
    def test_a_variance_that_is_none(self, fold, broken):
        net = Net(conv1=conv(3, 8), bn1=norm(8))
        net.bn1.running_var[3] = broken
        found = fold(net)
        assert not found.factors
        assert "not finite, or a negative variance" in found.untied["conv1.weight"]


class TestTies:
    @pytest.mark.parametrize("ordered", [True, False])
    def test_a_block_of_a_resnet(self, fold, ordered):
        downsample = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 3), norm(32))
        block = Net(
            conv1=conv(16, 32),
            bn1=norm(32),
            conv2=conv(32, 32),
            bn2=norm(32),
            downsample=downsample,
        )
        found = fold(Net(conv1=conv(3, 16), bn1=norm(16), layer1=block), ordered=ordered)
        assert found.norms == {
            "conv1.weight": "bn1",
            "layer1.conv1.weight": "layer1/bn1",
            "layer1.conv2.weight": "layer1/bn2",
            "layer1.downsample.0.weight": "layer1/downsample/1",
        }
        assert not found.untied

    @pytest.mark.parametrize("ordered", [True, False])
    def test_a_sequential(self, fold, ordered):
        net = torch.nn.Sequential(conv(3, 8), norm(8), torch.nn.ReLU(), conv(8, 8), norm(8))
        assert fold(net, ordered=ordered).norms == {"0.weight": "1", "3.weight": "4"}

    @pytest.mark.parametrize("ordered", [True, False])
    def test_something_without_weights_may_lie_between(self, fold, ordered):
        found = fold(torch.nn.Sequential(conv(3, 8), torch.nn.ReLU(), norm(8)), ordered=ordered)
        assert found.untied == {"0.weight": "no BatchNorm at 1"}

    def test_norms_registered_behind_all_convolutions_go_by_name(self, fold):
        net = Net(conv1=conv(3, 8), conv2=conv(8, 8), bn1=norm(8), bn2=norm(8))
        assert fold(net).norms == {"conv1.weight": "bn1", "conv2.weight": "bn2"}

    def test_names_that_do_not_match_go_by_order(self, fold):
        net = Net(_conv_stem=conv(3, 8), _bn0=norm(8), _depthwise_conv=conv(8, 8), _bn1=norm(8))
        assert fold(net).norms == {"_conv_stem.weight": "_bn0", "_depthwise_conv.weight": "_bn1"}

    def test_a_network_that_normalizes_first(self, fold):
        block = Net(bn1=norm(8), conv1=conv(8, 8), bn2=norm(8), conv2=conv(8, 16))
        found = fold(Net(conv1=conv(3, 8), layer=block))
        assert found.norms == {"layer.conv1.weight": "layer/bn2"}
        assert set(found.untied) == {"conv1.weight", "layer.conv2.weight"}

    def test_which_comes_first_is_not_always_stored(self, fold):
        block = Net(bn1=norm(8), conv1=conv(8, 8), bn2=norm(8), conv2=conv(8, 16))
        found = fold(Net(layer=block), ordered=False)
        assert not found.factors
        assert "comes before or behind it is not stored" in found.untied["layer.conv1.weight"]

    def test_a_number_that_counts_other_things(self, fold):
        net = Net(conv1=conv(3, 8), conv2=conv(8, 8), bn1=norm(8))
        assert not fold(net, ordered=False).factors

    def test_one_norm_for_two_layers(self, fold):
        net = Net(conv=conv(3, 8), conv2d=conv(8, 8), norm=norm(8))
        assert not fold(net, ordered=False).factors

    def test_other_channels(self, fold):
        found = fold(torch.nn.Sequential(conv(3, 8), norm(4)))
        assert found.untied == {"0.weight": "1 has 4 channels, not 8"}

    def test_the_norm_of_a_pointwise_convolution_is_its_own(self, fold):
        net = Net(conv1=conv(3, 8), conv2=torch.nn.Conv2d(8, 8, 1), bn2=norm(8))
        assert not fold(net).factors

    def test_no_norm_at_all(self, fold):
        assert fold(Net(conv1=conv(3, 8))).untied == {
            "conv1.weight": "no BatchNorm in the checkpoint"
        }

    def test_a_transposed_convolution(self, fold):
        up = torch.nn.ConvTranspose2d(8, 4, 2)
        net = torch.nn.Sequential(OrderedDict(up_conv=up, up_bn=norm(4)))
        assert fold(net).factors["up_conv.weight"].shape == (4,)


class TestOtherFormats:
    def test_flax(self, tmp_path):
        class Block(nn.Module):
            @nn.compact
            def __call__(self, x):
                for name in ("a", "b"):
                    x = nn.Conv(8, (3, 3))(x)
                    x = nn.BatchNorm(use_running_average=True)(x)
                    x = nn.Conv(6, (3, 3), name=f"{name}_conv")(x)
                    x = nn.BatchNorm(use_running_average=True, name=f"{name}_bn")(x)
                return x

        shapes = jax.eval_shape(Block().init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
        variables = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
        variables["batch_stats"]["b_bn"]["var"] = np.arange(6.0)
        variables["params"]["b_bn"]["scale"] = np.arange(6.0) - 2
        path = tmp_path / "net.msgpack"
        path.write_bytes(serialization.to_bytes(variables))
        found = folded(open_checkpoint(path))
        assert found.norms == {
            "Conv_0/kernel": "BatchNorm_0",
            "Conv_1/kernel": "BatchNorm_1",
            "a_conv/kernel": "a_bn",
            "b_conv/kernel": "b_bn",
        }
        by_hand = (np.arange(6.0) - 2) / np.sqrt(np.arange(6.0) + 1e-5)
        np.testing.assert_allclose(found.factors["b_conv/kernel"], by_hand, rtol=1e-6)

    def test_keras(self, tmp_path):
        rng = np.random.default_rng(0)
        with h5py.File(tmp_path / "net.weights.h5", "w") as file:
            for k, (inner, out) in enumerate(((3, 8), (8, 6))):
                suffix = f"_{k}" if k else ""
                kernel = rng.standard_normal((3, 3, inner, out)).astype(np.float32)
                file[f"layers/conv2d{suffix}/vars/0"] = kernel
                for role in range(4):
                    values = np.full(out, role + 1 + k, np.float32)
                    file[f"layers/batch_normalization{suffix}/vars/{role}"] = values
        found = folded(open_checkpoint(tmp_path / "net.weights.h5"))
        assert list(found.norms.values()) == [
            "layers/batch_normalization",
            "layers/batch_normalization_1",
        ]
        first, second = found.factors.values()
        np.testing.assert_allclose(first, np.full(8, 1 / np.sqrt(4 + 1e-3)), rtol=1e-6)
        np.testing.assert_allclose(second, np.full(6, 2 / np.sqrt(5 + 1e-3)), rtol=1e-6)


class TestOnnx:
    def model(self, tmp_path, *, epsilon: float | None = 0.1, also_read: bool = False):
        rng = np.random.default_rng(0)
        values = {
            "w": rng.standard_normal((8, 3, 3, 3)),
            "scale": rng.standard_normal(8),
            "shift": rng.standard_normal(8),
            "mean": rng.standard_normal(8),
            "var": rng.uniform(0.1, 2, 8),
        }
        options = {} if epsilon is None else {"epsilon": epsilon}
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
            helper.make_node(
                "BatchNormalization", ["y", "scale", "shift", "mean", "var"], ["z"], "bn", **options
            ),
        ]
        if also_read:
            nodes.append(helper.make_node("Relu", ["y"], ["r"]))
        stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()]
        shapes = {"x": [1, 3, 5, 5], "z": [1, 8, 3, 3], "y": [1, 8, 3, 3]}
        infos = {k: helper.make_tensor_value_info(k, 1, shape) for k, shape in shapes.items()}
        graph = helper.make_graph(nodes, "net", [infos["x"]], [infos["z"]], stored)
        path = tmp_path / "net.onnx"
        onnx.save(helper.make_model(graph), path)
        return path, values

    @pytest.mark.parametrize(("epsilon", "used"), [(0.1, 0.1), (None, 1e-5)])
    def test_the_scaled_weight_gives_the_output_of_the_model(self, tmp_path, epsilon, used):
        from onnx.reference import ReferenceEvaluator

        path, values = self.model(tmp_path, epsilon=epsilon)
        found = folded(open_checkpoint(path))
        assert found.norms == {"w": "bn"}
        by_hand = values["scale"] / np.sqrt(values["var"] + used)
        np.testing.assert_allclose(found.factors["w"], by_hand, rtol=1e-5)
        inputs = np.random.default_rng(1).standard_normal((2, 1, 3, 5, 5)).astype(np.float32)
        session = ReferenceEvaluator(str(path))
        ran = [session.run(None, {"x": x})[0] for x in inputs]
        scaled = torch.from_numpy((values["w"] * by_hand[:, None, None, None]).astype(np.float32))
        ours = torch.nn.functional.conv2d(torch.from_numpy(inputs[0] - inputs[1]), scaled)
        np.testing.assert_allclose(ran[0] - ran[1], ours.numpy(), atol=1e-4)

    def test_another_reader_of_the_output(self, tmp_path):
        path, _ = self.model(tmp_path, also_read=True)
        assert "read 2 times" in folded(open_checkpoint(path)).untied["w"]

    def test_a_shared_weight(self, tmp_path):
        path, _ = self.model(tmp_path)
        model = onnx.load(path)
        model.graph.node.append(helper.make_node("Conv", ["x", "w"], ["again"]))
        onnx.save(model, path)
        untied = folded(open_checkpoint(path)).untied
        assert untied == {"w": "its weight serves several convolutions"}
