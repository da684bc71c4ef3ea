"""One small network in each framework, with the same weights: the second and third layer are alike."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

CHANNELS = ((1, 8), (8, 8), (8, 8), (8, 16))


def weights(seed=0):
    """Weights (out, in, 3, 3) of the four layers."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(out, inner, 3, 3)).astype(np.float32) for inner, out in CHANNELS]


def arrays(seed=0):
    """The same as parameters of Linen keep them, (3, 3, in, out)."""
    return {f"conv{i}": {"kernel": jnp.asarray(_hwio(w))} for i, w in enumerate(weights(seed))}


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        for index, (_, out) in enumerate(CHANNELS):
            x = nn.Conv(out, (3, 3), name=f"conv{index}")(x)
        return nn.Dense(3, name="head")(x.mean((1, 2)))


def linen():
    shapes = jax.eval_shape(Linen().init, jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    params = _zeros(shapes)["params"]
    return {"params": params | {name: params[name] | layer for name, layer in arrays().items()}}


ZEROS = nnx.initializers.zeros_init()


class Nnx(nnx.Module):
    def __init__(self, rngs):
        for index, (inner, out) in enumerate(CHANNELS):
            conv = nnx.Conv(inner, out, (3, 3), kernel_init=ZEROS, rngs=rngs)
            setattr(self, f"conv{index}", conv)
        self.head = nnx.Linear(16, 3, kernel_init=ZEROS, rngs=rngs)

    def __call__(self, x):
        for index in range(len(CHANNELS)):
            x = getattr(self, f"conv{index}")(x)
        return self.head(x.mean((1, 2)))


def nnx_module():
    module = Nnx(nnx.Rngs(0))
    for index, weight in enumerate(weights()):
        getattr(module, f"conv{index}").kernel[...] = jnp.asarray(_hwio(weight))
    return module


class Equinox(eqx.Module):
    convs: list[eqx.nn.Conv2d]
    head: eqx.nn.Linear

    def __call__(self, x):
        for conv in self.convs:
            x = conv(x)
        return self.head(x.mean((1, 2)))


def equinox():
    network = _zeros(eqx.filter_eval_shape(_equinox, jax.random.key(0)))
    kernels = [jnp.asarray(weight) for weight in weights()]
    return eqx.tree_at(lambda net: [conv.weight for conv in net.convs], network, kernels)


def _equinox(key):
    convs = [eqx.nn.Conv2d(inner, out, 3, padding=1, key=key) for inner, out in CHANNELS]
    return Equinox(convs, eqx.nn.Linear(16, 3, key=key))


def _zeros(shapes):
    return jax.tree.map(
        lambda x: jnp.asarray(np.zeros(x.shape, x.dtype)) if hasattr(x, "dtype") else x, shapes
    )


def _hwio(weight):
    return np.transpose(weight, (2, 3, 1, 0))


NETWORKS = {
    "linen variables": linen,
    "linen params": lambda: linen()["params"],
    "nnx module": nnx_module,
    "nnx state": lambda: nnx.state(nnx_module(), nnx.Param),
    "equinox": equinox,
}
