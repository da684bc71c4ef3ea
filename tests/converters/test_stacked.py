"""Layers in one array come out one by one; dense and locally connected layers are none."""

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jfilters.converters import StoredArray, from_params, load, open_checkpoint
from jfilters.converters._select import select
from jfilters.converters._stacks import MOST_LAYERS


def filled(shapes):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def variables(module, *shape):
    return filled(jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.ones(shape))))


def written(path, tree):
    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


class Block(nn.Module):
    extent: tuple[int, ...]
    bias: bool

    @nn.compact
    def __call__(self, x, _):
        y = nn.Conv(8, self.extent, use_bias=self.bias)(x)
        return x + (y if self.bias else nn.LayerNorm()(y)), None


class Scanned(nn.Module):
    extent: tuple[int, ...] = (3, 3)
    length: int = 6
    axis: int = 0
    bias: bool = True

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, self.extent, use_bias=self.bias, name="stem")(x)
        blocks = nn.scan(
            Block,
            variable_axes={"params": self.axis},
            split_rngs={"params": True},
            length=self.length,
        )
        return blocks(self.extent, self.bias, name="blocks")(x, None)[0]


@pytest.mark.parametrize("extent", [(3,), (3, 3), (3, 3, 3)])
@pytest.mark.parametrize("length", [3, 6, 8])
@pytest.mark.parametrize(("axis", "bias"), [(0, True), (0, False), (1, True), (-1, True)])
def test_a_scan_gives_its_layers(tmp_path, extent, length, axis, bias):
    module = Scanned(extent, length, axis, bias)
    tree = variables(module, 1, *[6] * len(extent), 3)
    if len(extent) == 1 and length == 8 and axis:
        pytest.skip("8 layers of 8 channels: the axes of a 1-D kernel do not tell")
    kernels = load(written(tmp_path / "net.msgpack", tree))
    assert len(kernels) == length + 1
    stack = np.moveaxis(tree["params"]["blocks"]["Conv_0"]["kernel"], axis, 0)
    by_name = dict(zip(kernels.names, kernels.weights, strict=True))
    for number, kernel in enumerate(stack):
        reference = kernel.transpose(-1, -2, *range(len(extent)))
        np.testing.assert_array_equal(by_name[f"blocks[{number}]/Conv_0/kernel"], reference)


def test_an_ensemble_is_as_many_networks(tmp_path):
    first = {"kernel": jnp.zeros((5, 3, 3, 3, 8)), "bias": jnp.zeros((5, 8))}
    second = {"kernel": jnp.zeros((5, 3, 3, 8, 4)), "bias": jnp.zeros((5, 4))}
    tree = filled({"params": {"a": first, "b": second}})
    layers = open_checkpoint(written(tmp_path / "net.msgpack", tree)).layers
    assert [layer.layer.network for layer in layers] == [f"[{i}]" for i in range(5) for _ in "ab"]
    assert [layer.layer.depth for layer in layers] == [0, 1] * 5


def test_copies_from_several_devices_count_once(tmp_path):
    tree = variables(nn.Conv(8, (3, 3)), 1, 5, 5, 3)
    copies = jax.tree.map(lambda leaf: np.stack([leaf] * 4), tree)
    [layer] = open_checkpoint(written(tmp_path / "net.msgpack", copies)).layers
    np.testing.assert_array_equal(layer.read(), tree["params"]["kernel"].transpose(3, 2, 0, 1))
    assert layer.layer.note == "the first of 4 equal copies, as several devices save them"


def test_a_kernel_that_is_zero_in_every_layer_is_no_copy(tmp_path):
    first = {"kernel": jnp.zeros((5, 3, 3, 8, 8)), "bias": jnp.zeros((5, 8))}
    blocks = filled({"a": first, "b": first})
    blocks["b"]["kernel"] *= 0
    path = written(tmp_path / "net.msgpack", {"params": {"blocks": blocks}})
    assert len(open_checkpoint(path).layers) == 10


class Dense(nn.Module):
    names: tuple[str | None, str | None]

    @nn.compact
    def __call__(self, x):
        x = nn.DenseGeneral((3, 16), axis=(-2, -1), name=self.names[0])(x)
        return nn.DenseGeneral(8, axis=(-2, -1), name=self.names[1])(x)


class Local(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.ConvLocal(8, (3, 3), padding="VALID", name="positions")(x)


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.MultiHeadDotProductAttention(num_heads=3, name="a")(x, x), None


class ScannedAttention(nn.Module):
    @nn.compact
    def __call__(self, x):
        scanned = nn.scan(
            Attention, variable_axes={"params": 0}, split_rngs={"params": True}, length=5
        )
        return scanned(name="blocks")(x, None)[0]


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Dense((None, None)), (1, 3, 3)),
        (Dense((None, "proj")), (1, 3, 3)),
        (Dense((None, "last")), (1, 3, 3)),
        (Local(), (1, 5, 5, 3)),
        (ScannedAttention(), (1, 4, 48)),
    ],
)
def test_dense_and_local_layers_are_no_convolutions(tmp_path, module, shape):
    checkpoint = open_checkpoint(written(tmp_path / "net.msgpack", variables(module, *shape)))
    assert checkpoint.layers == checkpoint.unread == ()


def test_what_is_a_stack_or_not_is_left_open(tmp_path):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(8, (3, 3), use_bias=False)(x)

    tree = variables(Net(), 1, 5, 5, 3)
    tree["params"]["blocks"] = {"kernel": np.zeros((6, 3, 3, 8, 8), np.float32)}
    checkpoint = open_checkpoint(written(tmp_path / "net.msgpack", tree))
    assert [layer.layer.name for layer in checkpoint.layers] == ["Conv_0/kernel"]
    [unread] = checkpoint.unread
    assert unread.reason.startswith("several layers stacked in one array, or a kernel of more")


def test_kernels_of_three_dimensions_stay_so(tmp_path):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for extent in ((1, 3, 3), (3, 1, 1), (5, 7, 7)):
                x = nn.Conv(8, extent)(x)
            return x

    kernels = load(written(tmp_path / "net.msgpack", variables(Net(), 1, 8, 8, 8, 3)))
    assert [weight.shape[2:] for weight in kernels.weights] == [(1, 3, 3), (3, 1, 1), (5, 7, 7)]


def test_a_live_module_knows_its_stack_under_jit():
    @nnx.split_rngs(splits=4)
    @nnx.vmap
    def make(rngs):
        return nnx.Conv(4, 4, (3, 3), use_bias=False, rngs=rngs)

    graph, state = nnx.split(make(nnx.Rngs(0)))
    weights = jax.jit(lambda state: from_params(nnx.merge(graph, state)).weights)(state)
    assert [weight.shape for weight in weights] == [(4, 4, 3, 3)] * 4
    kernel = state["kernel"].get_value()
    np.testing.assert_array_equal(weights[2], kernel[2].transpose(3, 2, 0, 1))


def test_too_many_layers_are_set_aside():
    shape = (MOST_LAYERS + 1, 3, 3, 2, 2)

    def array(name, shape):
        return StoredArray(name, shape, "float32", lambda: np.zeros(shape), axes="HWIO")

    arrays = [array("a/kernel", shape), array("a/bias", (shape[0], 2))]
    found, skipped = select(arrays, "name-order", compare=False)
    assert found == ()
    [unread] = [item for item in skipped if item.unread]
    assert unread.reason == f"more than {MOST_LAYERS} layers stacked in one array"
