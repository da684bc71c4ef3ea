"""One tiny network, the same values in every framework: the same `Kernels` and the same activations.

Weights are kept as stored, never flipped. PyTorch, and Flax with `transpose_kernel`, apply the kernel of
a transposed convolution mirrored in space; Equinox applies it as it is, so that there the activations
agree only for the mirrored kernel.
"""

import equinox as eqx
import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from flax import nnx

from jfilters.converters import from_params, load

CONVOLUTIONS = ("layer0", "layer1", "layer2", "layer3")
GROUPS = (1, 2, 8, 1)
SHAPES = ((8, 3, 3, 3), (8, 4, 3, 3), (8, 1, 3, 3), (6, 8, 2, 2))


class Torch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer0 = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = torch.nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.layer2 = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.layer3 = torch.nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.layer4 = torch.nn.Conv2d(6, 5, 1)
        self.layer5 = torch.nn.Linear(5, 4)

    def forward(self, x):
        for layer in (self.layer0, self.layer1, self.layer2, self.layer3, self.layer4):
            x = torch.relu(layer(x))
        return self.layer5(x[:, :, 2, 5])


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


class Equinox(eqx.Module):
    layers: tuple[eqx.nn.Conv2d | eqx.nn.ConvTranspose2d, ...]
    last: eqx.nn.Linear

    def __init__(self, key):
        self.layers = (
            eqx.nn.Conv2d(3, 8, 3, padding=1, key=key),
            eqx.nn.Conv2d(8, 8, 3, padding=1, groups=2, key=key),
            eqx.nn.Conv2d(8, 8, 3, padding=1, groups=8, key=key),
            eqx.nn.ConvTranspose2d(8, 6, 2, stride=2, key=key),
            eqx.nn.Conv2d(6, 5, 1, key=key),
        )
        self.last = eqx.nn.Linear(5, 4, key=key)

    def __call__(self, x):
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.last(x[:, 2, 5])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Torch().eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def activations(network, images):
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="module")
def flax_params(network):
    """The values of the network where Flax wants them."""
    axes = {"layer5": (1, 0)}
    params = {}
    for name, module in network.named_children():
        order = axes.get(name, (2, 3, 1, 0))
        kernel = module.weight.detach().numpy().transpose(order).copy()
        params[name] = {"bias": module.bias.detach().numpy(), "kernel": kernel}
    return params


@pytest.fixture(scope="module")
def live(flax_params):
    graph, _ = nnx.split(nnx.eval_shape(lambda: Nnx(nnx.Rngs(0))))
    return nnx.merge(
        graph, nnx.State(jax.tree.map(lambda v: nnx.Param(jnp.asarray(v)), flax_params))
    )


@pytest.fixture(scope="module")
def tower(network):
    """The values of the network where Equinox wants them, and the mirrored transposed kernel."""
    weights = [module.weight.detach().numpy() for module in network.children()]
    biases = [module.bias.detach().numpy() for module in network.children()]
    weights[3] = weights[3].swapaxes(0, 1)
    module = eqx.filter_eval_shape(Equinox, jax.random.key(0))

    def parts(tree):
        return [*tree.layers, tree.last]

    shaped = [b.reshape(m.bias.shape) for b, m in zip(biases, parts(module), strict=True)]
    values = [jnp.asarray(value) for value in [*weights, *shaped]]
    return eqx.tree_at(
        lambda t: [m.weight for m in parts(t)] + [m.bias for m in parts(t)], module, values
    )


@pytest.fixture(scope="module")
def expected(network):
    weights = [getattr(network, name).weight.detach().numpy() for name in CONVOLUTIONS]
    return [*weights[:3], weights[3].swapaxes(0, 1)]


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


WRITERS = [
    written_by_torch,
    written_by_torch_of_old,
    written_as_safetensors,
    written_as_safetensors_of_unknown_axes,
    written_by_linen,
    written_by_nnx,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_file_gives_the_same_weights(tmp_path, write, network, flax_params, expected):
    write(tmp_path / "weights", network, flax_params)
    kernels = load(tmp_path / "weights")
    assert [name.replace("/", ".").split(".")[0] for name in kernels.names] == list(CONVOLUTIONS)
    assert [weight.shape for weight in kernels.weights] == list(SHAPES)
    for weight, reference in zip(kernels.weights, expected, strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)
    # A grouped layer that is not depthwise looks like any other; a module can tell, a file cannot.
    assert [layer.groups for layer in kernels.layers] == [1, 1, 8, 1]
    assert [layer.transposed for layer in kernels.layers] == [False, False, False, True]
    assert [layer.relative_depth for layer in kernels.layers] == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("module", ["live", "tower"])
def test_every_module_gives_the_same_weights(module, expected, request):
    kernels = from_params(request.getfixturevalue(module))
    for weight, reference in zip(kernels.weights, expected, strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)
    assert [layer.groups for layer in kernels.layers] == list(GROUPS)
    assert [layer.transposed for layer in kernels.layers] == [False, False, False, True]


def test_linen_computes_the_same(images, activations, flax_params):
    found = jax.jit(Linen().apply)({"params": flax_params}, images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found, activations, atol=1e-5)


def test_nnx_computes_the_same(images, activations, live):
    found = nnx.jit(live)(jnp.asarray(images.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(found, activations, atol=1e-5)


def test_equinox_computes_the_same_with_the_mirrored_kernel(images, activations, tower):
    flipped = tower.layers[3].weight[:, :, ::-1, ::-1]
    mirrored = eqx.tree_at(lambda tree: tree.layers[3].weight, tower, flipped)
    apply = eqx.filter_jit(lambda module, batch: jax.vmap(module)(batch))
    np.testing.assert_allclose(apply(mirrored, images), activations, atol=1e-5)
    assert not np.allclose(apply(tower, images), activations, atol=1e-5)
