"""One tiny network, the same values in every framework: the same `Kernels` and the same activations.

PyTorch, and Flax with `transpose_kernel`, apply the kernel of a transposed convolution mirrored in space;
Equinox applies it as it is, and so stores it mirrored. It is turned on reading.
"""

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from flax import nnx

from jfilters.converters import from_module, from_params, load

from . import agreement
from .agreement import (
    CONVOLUTIONS,
    DEPTHS,
    GROUPS,
    GROUPS_OF_WEIGHTS_ALONE,
    activations,
    assert_agree,
    images,
)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="layer0")(x))
        x = nn.relu(nn.Conv(8, (3, 3), feature_group_count=2, name="layer1")(x))
        x = nn.relu(nn.Conv(8, (3, 3), feature_group_count=8, name="layer2")(x))
        up = nn.ConvTranspose(6, (2, 2), (2, 2), transpose_kernel=True, name="layer3")
        x = nn.relu(nn.Conv(5, (1, 1), name="layer4")(nn.relu(up(x))))
        return nn.Dense(4, name="layer5")(x[:, 2, 5])


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.layer0 = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.layer1 = nnx.Conv(8, 8, (3, 3), feature_group_count=2, rngs=rngs)
        self.layer2 = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.layer3 = nnx.ConvTranspose(8, 6, (2, 2), (2, 2), transpose_kernel=True, rngs=rngs)
        self.layer4 = nnx.Conv(6, 5, (1, 1), rngs=rngs)
        self.layer5 = nnx.Linear(5, 4, rngs=rngs)

    def __call__(self, x):
        for layer in (self.layer0, self.layer1, self.layer2, self.layer3, self.layer4):
            x = nnx.relu(layer(x))
        return self.layer5(x[:, 2, 5])


@pytest.fixture(scope="module")
def network():
    return agreement.network()


@pytest.fixture(scope="module")
def flax_params():
    return agreement.flax_params()


@pytest.fixture(scope="module")
def live(flax_params):
    graph, _ = nnx.split(nnx.eval_shape(lambda: Nnx(nnx.Rngs(0))))
    return nnx.merge(
        graph, nnx.State(jax.tree.map(lambda v: nnx.Param(jnp.asarray(v)), flax_params))
    )


@pytest.fixture(scope="module")
def tower():
    return agreement.tower()


def written_by_torch(path, network, flax_params):
    torch.save(network.state_dict(), path)


def written_by_torch_of_old(path, network, flax_params):
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)


def written_as_safetensors(path, network, flax_params):
    safetensors.torch.save_file(network.state_dict(), path, {"format": "pt"})


def written_as_safetensors_of_unknown_axes(path, network, flax_params):
    safetensors.torch.save_file(network.state_dict(), path)


def written_by_linen(path, network, flax_params):
    path.write_bytes(flax.serialization.to_bytes({"params": flax_params}))


def written_by_nnx(path, network, flax_params):
    boxed = jax.tree.map(lambda value: {"value": value}, flax_params)
    path.write_bytes(flax.serialization.to_bytes(boxed))


WRITERS = {
    written_by_torch: "{}.weight",
    written_by_torch_of_old: "{}.weight",
    written_as_safetensors: "{}.weight",
    written_as_safetensors_of_unknown_axes: "{}.weight",
    written_by_linen: "{}/kernel",
    written_by_nnx: "{}/kernel",
}


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_file_gives_the_same_weights(tmp_path, write, network, flax_params):
    write(tmp_path / "weights", network, flax_params)
    kernels = load(tmp_path / "weights")
    names = [WRITERS[write].format(name) for name in CONVOLUTIONS]
    assert_agree(kernels, names=names, groups=GROUPS_OF_WEIGHTS_ALONE)
    assert tuple(layer.relative_depth for layer in kernels.layers) == DEPTHS


MODULES = {"live": "layer{}.kernel", "tower": "layers.{}.weight"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_gives_the_same_weights(module, request):
    kernels = from_params(request.getfixturevalue(module))
    assert_agree(kernels, names=[MODULES[module].format(i) for i in range(4)], groups=GROUPS)


def test_the_torch_module_gives_the_same_weights(network):
    names = [f"{name}.weight" for name in CONVOLUTIONS]
    assert_agree(from_module(network), names=names, groups=GROUPS)


def test_linen_computes_the_same(flax_params):
    found = jax.jit(Linen().apply)({"params": flax_params}, images().transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found, activations(), atol=1e-5)


def test_nnx_computes_the_same(live):
    found = nnx.jit(live)(jnp.asarray(images().transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(found, activations(), atol=1e-5)


def test_equinox_computes_the_same(tower):
    np.testing.assert_allclose(tower.of_batch(images()), activations(), atol=1e-5)
