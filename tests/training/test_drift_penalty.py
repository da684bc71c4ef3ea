"""The penalty that holds a network near a reference: its value, its gradient, and what it does."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.test_util import check_grads
from sklearn.datasets import load_digits

import jfilters as jf
from jfilters.shift import Reference, drift, soft_drift
from jfilters.training import drift_penalty

from .networks import NETWORKS, weights


def rows(seed=5, n=400):
    return np.random.default_rng(seed).normal(size=(n, 9)).astype(np.float32) ** 3


REFERENCE = Reference.of(rows())
PENALTY = drift_penalty(REFERENCE)


def of_all():
    return jnp.concatenate([jnp.asarray(weight).reshape(-1, 9) for weight in weights()])


@pytest.mark.parametrize("network", NETWORKS)
def test_of_parameters_it_is_of_all_kernels_together(network):
    expected = float(soft_drift(of_all(), REFERENCE, width=1.0))
    assert expected > 0.1
    assert float(PENALTY(NETWORKS[network]())) == pytest.approx(expected, rel=1e-5)


def test_of_a_weight_and_of_kernels():
    weight = jnp.asarray(weights()[0])
    expected = float(soft_drift(weight, REFERENCE, width=1.0))
    assert float(PENALTY(weight)) == pytest.approx(expected, rel=1e-5)
    narrow = drift_penalty(REFERENCE, width=0.05)
    assert float(narrow(weight)) == pytest.approx(float(soft_drift(weight, REFERENCE)), rel=1e-5)
    assert float(PENALTY(jf.from_params(NETWORKS["linen params"]()))) > 0


def test_differentiates_parameters_of_every_framework():
    of_linen = jax.jit(jax.grad(PENALTY))(NETWORKS["linen params"]())
    of_nnx = nnx.jit(nnx.grad(lambda module: PENALTY(module)))(NETWORKS["nnx module"]())
    of_equinox = eqx.filter_jit(eqx.filter_grad(PENALTY))(NETWORKS["equinox"]())
    expected = np.asarray(of_linen["conv1"]["kernel"])
    assert np.abs(expected).max() > 1e-6
    np.testing.assert_allclose(of_nnx.conv1.kernel[...], expected, atol=1e-5)
    np.testing.assert_allclose(
        np.transpose(of_equinox.convs[1].weight, (2, 3, 1, 0)), expected, atol=1e-5
    )


def test_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        weight = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 3, 3)))
        check_grads(jax.jit(PENALTY), (weight,), order=1, modes=["fwd", "rev"], rtol=1e-4, eps=1e-7)


def test_pruned_kernels_stay_pruned():
    weight = jnp.asarray(weights()[0]).at[:3].set(0)
    gradient = jax.grad(PENALTY)(weight)
    assert not np.asarray(gradient[:3]).any()
    assert np.asarray(gradient[3:]).any()


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_for_every_platform(platform):
    traced = jax.jit(jax.grad(PENALTY)).trace(jnp.zeros((8, 4, 3, 3)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "custom_call" not in text


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"expected a jf.Reference, got ndarray"):
        drift_penalty(rows())
    with pytest.raises(ValueError, match="expected convolution layers"):
        PENALTY({"dense": {"kernel": jnp.ones((8, 3))}})
    five = {"conv": {"kernel": jnp.ones((5, 5, 3, 4))}}
    with pytest.raises(ValueError, match=r"of 9 taps, got kernels of sizes \[\(5, 5\)\]"):
        PENALTY(five)
    of_weight = drift_penalty(Reference.of(rows(n=12).reshape(4, 3, 3, 3)))
    with pytest.raises(ValueError, match="expected 3x3 kernels, got kernels of sizes 5x5"):
        of_weight(five)


class Network(eqx.Module):
    convs: list[eqx.nn.Conv2d]
    head: eqx.nn.Linear

    def __init__(self, key):
        first, second, last = jax.random.split(key, 3)
        self.convs = [
            eqx.nn.Conv2d(1, 16, 3, 2, padding=1, key=first),
            eqx.nn.Conv2d(16, 32, 3, 2, padding=1, key=second),
        ]
        self.head = eqx.nn.Linear(32, 10, key=last)

    def __call__(self, x):
        for conv in self.convs:
            x = jax.nn.relu(conv(x))
        return self.head(x.mean((1, 2)))


TRAINED, STEPS = 1_400, 200


def test_a_network_trained_onward_stays_nearer_at_equal_accuracy():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = jnp.asarray(images[order].reshape(-1, 1, 8, 8) / 16, jnp.float32)
    labels = jnp.asarray(labels[order].astype(np.int32))
    batches = jnp.asarray(np.random.default_rng(1).integers(0, TRAINED, (STEPS, 64)))
    optimizer = optax.adam(5e-3)
    first, static = eqx.partition(Network(jax.random.key(0)), eqx.is_array)

    @jax.jit
    def train(arrays, images, reference, weight):
        def loss(arrays, batch):
            network = eqx.combine(arrays, static)
            logits = jax.vmap(network)(images[batch])
            wrong = optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch]).mean()
            return wrong + weight * drift_penalty(reference)(network)

        def step(carry, batch):
            arrays, state = carry
            updates, state = optimizer.update(jax.grad(loss)(arrays, batch), state)
            return (optax.apply_updates(arrays, updates), state), None

        return jax.lax.scan(step, (arrays, optimizer.init(arrays)), batches)[0][0]

    def reference_of(arrays, **options):
        return Reference.of(jf.from_params(arrays), **options)

    def accuracy(arrays, images):
        logits = jax.vmap(eqx.combine(arrays, static))(images[TRAINED:])
        return float((logits.argmax(axis=1) == labels[TRAINED:]).mean())

    with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
        start = train(first, images, jax.tree.map(jnp.asarray, reference_of(first)), 0.0)
        reference = jax.tree.map(jnp.asarray, reference_of(start))
        mirrored = 1 - images[..., ::-1]
        free, near = (train(start, mirrored, reference, weight) for weight in (0.0, 1.0))
    distances = [
        float(drift(reference, reference_of(arrays, basis=reference.basis, edges=reference.edges)))
        for arrays in (free, near)
    ]
    assert distances[1] < 0.5 * distances[0]
    assert accuracy(near, mirrored) > accuracy(free, mirrored) - 0.02
