"""One transposed convolution, written by several frameworks, gives one and the same kernel."""

import pickle

import equinox as eqx
import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from jfilters.converters import StoredArray, from_params, load, open_checkpoint
from jfilters.converters._select import select

KERNEL = np.random.default_rng(5).normal(size=(4, 6, 3, 3)).astype(np.float32)
STEM = np.random.default_rng(6).normal(size=(4, 3, 3, 3)).astype(np.float32)
IMAGE = np.random.default_rng(7).normal(size=(1, 4, 5, 5)).astype(np.float32)


def of_torch(path):
    state = {"stem.weight": STEM, "up.weight": KERNEL, "up.bias": np.zeros(6, np.float32)}
    torch.save({name: torch.tensor(value) for name, value in state.items()}, path)
    kernels = load(path)
    assert [layer.transposed for layer in kernels.layers] == [False, True]
    return kernels.weights[1]


def activations():
    return torch.nn.functional.conv_transpose2d(torch.tensor(IMAGE), torch.tensor(KERNEL)).numpy()


def of_linen(path, *, turned, bias=True):
    """The same function in Flax, which the activations prove."""
    kernel = (
        KERNEL.transpose(2, 3, 1, 0) if turned else KERNEL[..., ::-1, ::-1].transpose(2, 3, 0, 1)
    )
    module = nn.ConvTranspose(6, (3, 3), padding="VALID", transpose_kernel=turned, use_bias=False)
    found = module.apply({"params": {"kernel": kernel}}, IMAGE.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(np.transpose(found, (0, 3, 1, 2)), activations(), atol=1e-5)
    params = {
        "Conv_0": {"kernel": STEM.transpose(2, 3, 1, 0)},
        "ConvTranspose_0": {"kernel": kernel},
    }
    if bias:
        params["ConvTranspose_0"]["bias"] = np.zeros(6, np.float32)
    path.write_bytes(flax.serialization.to_bytes({"params": params}))
    return open_checkpoint(path)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torch_and_flax_agree(tmp_path, turned, bias):
    """Without a bias the channels of the stem tell which axis goes in."""
    checkpoint = of_linen(tmp_path / "net.msgpack", turned=turned, bias=bias)
    [layer] = [layer for layer in checkpoint.layers if layer.layer.transposed]
    np.testing.assert_array_equal(layer.read(), of_torch(tmp_path / "net.pth"))
    assert layer.layer.note == ""


def test_torch_and_haiku_agree(tmp_path):
    kernel = KERNEL[..., ::-1, ::-1].transpose(2, 3, 1, 0)
    found = jax.lax.conv_transpose(
        IMAGE, kernel, (1, 1), "VALID", dimension_numbers=("NCHW", "HWOI", "NCHW")
    )
    np.testing.assert_allclose(found, activations(), atol=1e-5)
    tree = {"conv2_d": {"w": STEM.transpose(2, 3, 1, 0)}, "conv2_d_transpose": {"w": kernel}}
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(tree))
    [layer] = [x for x in open_checkpoint(tmp_path / "net.pkl").layers if x.layer.transposed]
    np.testing.assert_array_equal(layer.read(), of_torch(tmp_path / "net.pth"))


def test_torch_and_live_modules_agree(tmp_path):
    reference = of_torch(tmp_path / "net.pth")
    mirrored = KERNEL[..., ::-1, ::-1]
    module = eqx.nn.ConvTranspose2d(4, 6, 3, use_bias=False, key=jax.random.key(0))
    module = eqx.tree_at(lambda m: m.weight, module, jnp.asarray(mirrored.swapaxes(0, 1)))
    np.testing.assert_allclose(module(jnp.asarray(IMAGE[0])), activations()[0], atol=1e-5)
    np.testing.assert_array_equal(from_params(module).weights[0], reference)
    for turned in (False, True):
        live = nnx.ConvTranspose(4, 6, (3, 3), transpose_kernel=turned, rngs=nnx.Rngs(0))
        kernel = KERNEL.transpose(2, 3, 1, 0) if turned else mirrored.transpose(2, 3, 0, 1)
        live.kernel.set_value(jnp.asarray(kernel))
        np.testing.assert_array_equal(from_params(live).weights[0], reference)


def test_the_leaves_of_equinox_are_turned_where_the_module_is_given(tmp_path):
    module = eqx.nn.ConvTranspose2d(4, 6, 3, key=jax.random.key(0))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", module)
    [weight] = load(tmp_path / "net.eqx", like=module).weights
    np.testing.assert_array_equal(weight, module.weight[:, :, ::-1, ::-1])


@pytest.mark.parametrize(
    ("size", "neighbors", "axes", "note"),
    [
        ((3, 3, 8, 4), {}, "HWIO", True),
        ((3, 3, 8, 8), {"a": (3, 3, 3, 8)}, "HWIO", True),
        ((3, 3, 8, 4), {"a": (3, 3, 3, 8)}, "HWIO", False),
        ((3, 3, 8, 4), {"a": (3, 3, 3, 4)}, "HWOI", False),
        ((3, 3, 8, 4), {"a": (3, 3, 8, 5)}, "HWOI", False),
        ((3, 3, 8, 4), {"a": (3, 3, 3, 4), "b": (3, 3, 4, 8)}, "HWIO", False),
    ],
)
def test_what_is_assumed_about_a_flax_kernel_is_said(size, neighbors, axes, note):
    shapes = {f"{name}/kernel": shape for name, shape in neighbors.items()}
    shapes["ConvTranspose_0/kernel"] = size
    arrays = [
        StoredArray(name, shape, "float32", lambda s=shape: np.zeros(s), axes="HWIO")
        for name, shape in shapes.items()
    ]
    layers = {item.layer.name: item.layer for item in select(arrays, "name-order")[0]}
    layer = layers["ConvTranspose_0/kernel"]
    assert (layer.axes, layer.transposed) == (axes, True)
    assert ("axes assumed" in layer.note) == note
