"""One tiny network of torch and of Equinox, of the same values, for all tests that compare formats."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch

CONVOLUTIONS = ("layer0", "layer1", "layer2", "layer3")
SHAPES = ((8, 3, 3, 3), (8, 4, 3, 3), (8, 1, 3, 3), (6, 8, 2, 2))
TRANSPOSED = (False, False, False, True)
GROUPS = (1, 2, 8, 1)
# A grouped layer that is not depthwise looks like any other; only a graph or a module can tell.
# Two groups look like a gate or a split that halves the channels.
GROUPS_OF_WEIGHTS_ALONE = (1, None, 8, 1)
DEPTHS = (0, 0.25, 0.5, 0.75)


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

    def of_batch(self, images):
        apply = eqx.filter_jit(lambda module, batch: jax.vmap(module)(batch))
        return apply(self, images)


@functools.cache
def network():
    torch.manual_seed(0)
    return Torch().eval()


@functools.cache
def images():
    return np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)


@functools.cache
def activations():
    with torch.no_grad():
        return network()(torch.from_numpy(images())).numpy()


@functools.cache
def expected():
    """The weights of the convolutions as (out, in, *spatial)."""
    weights = [getattr(network(), name).weight.detach().numpy() for name in CONVOLUTIONS]
    return [*weights[:3], weights[3].swapaxes(0, 1)]


def torch_arrays():
    """The state of the network by name, in the axes of torch."""
    return {name: value.numpy() for name, value in network().state_dict().items()}


def flax_params():
    """The values of the network where Flax wants them."""
    axes = {"layer5": (1, 0)}
    params = {}
    for name, module in network().named_children():
        order = axes.get(name, (2, 3, 1, 0))
        kernel = module.weight.detach().numpy().transpose(order).copy()
        params[name] = {"bias": module.bias.detach().numpy(), "kernel": kernel}
    return params


def shaped_tower():
    """The shapes of the network in Equinox."""
    return eqx.filter_eval_shape(Equinox, jax.random.key(0))


def tower():
    """The values of the network where Equinox wants them: the transposed kernel turned around in space."""
    modules = list(network().children())
    weights = [module.weight.detach().numpy() for module in modules]
    weights[3] = weights[3].swapaxes(0, 1)[:, :, ::-1, ::-1]

    def parts(tree):
        return [*tree.layers, tree.last]

    shaped = [
        module.bias.detach().numpy().reshape(part.bias.shape)
        for module, part in zip(modules, parts(shaped_tower()), strict=True)
    ]
    return eqx.tree_at(
        lambda tree: [part.weight for part in parts(tree)] + [part.bias for part in parts(tree)],
        shaped_tower(),
        [jnp.asarray(value) for value in [*weights, *shaped]],
    )


def assert_agree(kernels, *, names, groups, transposed=TRANSPOSED, references=None):
    """The layers are those of the network, bit by bit and in its order."""
    assert kernels.names == tuple(names)
    for weight, reference in zip(kernels.weights, references or expected(), strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)
    assert tuple(weight.shape for weight in kernels.weights) == SHAPES
    assert tuple(layer.groups for layer in kernels.layers) == groups
    assert tuple(layer.transposed for layer in kernels.layers) == transposed
