"""The penalties do in training what they say: on handwritten digits, at next to no cost of accuracy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

from jfilters.training import measure_layers, orthogonality_penalty, variance_entropy_penalty

pytestmark = pytest.mark.slow

STEPS, BATCH, TRAINED = 250, 64, 1_400
SMALL_LOSS_OF_ACCURACY = 0.03
PENALTIES = {"orthogonality": orthogonality_penalty, "variance_entropy": variance_entropy_penalty}


class Network(eqx.Module):
    convs: list[eqx.nn.Conv2d]
    head: eqx.nn.Linear

    def __init__(self, key):
        *keys, last = jax.random.split(key, 4)
        sizes = ((1, 16, 1), (16, 32, 2), (32, 32, 2))
        self.convs = [
            eqx.nn.Conv2d(inner, out, 3, stride, padding=1, key=key)
            for (inner, out, stride), key in zip(sizes, keys, strict=True)
        ]
        self.head = eqx.nn.Linear(32, 10, key=last)

    def __call__(self, x):
        for conv in self.convs:
            x = jax.nn.relu(conv(x))
        return self.head(x.mean((1, 2)))


def digits():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = (images[order].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(labels[order].astype(np.int32))


@pytest.fixture(scope="module")
def trained():
    """From the weight of each penalty to the layers after training, and the accuracy on unseen digits."""
    images, labels = digits()
    batches = jnp.asarray(np.random.default_rng(1).integers(0, TRAINED, (STEPS, BATCH)))
    start, static = eqx.partition(Network(jax.random.key(0)), eqx.is_array)
    optimizer = optax.adam(3e-3)

    def loss(arrays, chosen, weights):
        network = eqx.combine(arrays, static)
        logits = jax.vmap(network)(images[chosen])
        wrong = optax.softmax_cross_entropy_with_integer_labels(logits, labels[chosen]).mean()
        penalties = [penalty(network) for penalty in PENALTIES.values()]
        return wrong + jnp.dot(weights, jnp.stack(penalties))

    @jax.jit
    def trained_arrays(weights):
        def step(carry, chosen):
            arrays, state = carry
            updates, state = optimizer.update(jax.grad(loss)(arrays, chosen, weights), state)
            return (optax.apply_updates(arrays, updates), state), None

        (arrays, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), batches)
        return arrays

    def train(**weights):
        asked = jnp.asarray([weights.get(name, 0.0) for name in PENALTIES])
        with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
            arrays = trained_arrays(asked)
        network = eqx.combine(arrays, static)
        right = jax.vmap(network)(images[TRAINED:]).argmax(axis=1) == labels[TRAINED:]
        return measure_layers(network), float(right.mean())

    return train


@pytest.fixture(scope="module")
def plain(trained):
    layers, accuracy = trained()
    assert accuracy > 0.93
    return layers, accuracy


@pytest.mark.parametrize("name", PENALTIES)
def test_what_it_asks_for_rises_in_every_layer(plain, trained, name):
    layers, accuracy = trained(**{name: 1.0})
    assert (getattr(layers, name) > getattr(plain[0], name) + 0.04).all()
    assert accuracy > plain[1] - SMALL_LOSS_OF_ACCURACY
