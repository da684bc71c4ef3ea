import equinox as eqx
import flax.linen as nn
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from jfilters import statistics
from jfilters.kernels import Kernels
from jfilters.training import orthogonality_penalty, variance_entropy_penalty

from .networks import NETWORKS, weights

PENALTIES = {
    "orthogonality": orthogonality_penalty,
    "variance_entropy": variance_entropy_penalty,
}
JITTED = {name: jax.jit(penalty) for name, penalty in PENALTIES.items()}
GRADIENTS = {name: jax.jit(jax.grad(penalty)) for name, penalty in PENALTIES.items()}
SHAPE = (8, 4, 3, 3)


def parallel(weight):
    """1 - O in float64."""
    rows = np.float64(weight).reshape(len(weight), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.abs(rows @ rows.T)[~np.eye(len(rows), dtype=bool)].mean()


def uneven(weight):
    """1 - H2 / log10 d in float64, from eigenvalues."""
    kernels = np.float64(weight).reshape(weight.shape[0] * weight.shape[1], -1)
    p = np.linalg.eigvalsh(np.cov(kernels.T)) / np.trace(np.cov(kernels.T))
    return 1 + np.log10(np.sum(p**2)) / np.log10(kernels.shape[1])


REFERENCES = {"orthogonality": parallel, "variance_entropy": uneven}
every = pytest.mark.parametrize("name", PENALTIES)


def sample(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@every
@pytest.mark.parametrize("shape", [SHAPE, (16, 2, 5, 5), (6, 3, 7), (5, 4, 2, 2, 2)])
def test_against_float64(name, shape):
    weight = sample(shape=shape)
    assert float(JITTED[name](weight)) == pytest.approx(REFERENCES[name](weight), abs=1e-5)


@every
@hypothesis.settings(max_examples=15)
@hypothesis.given(st.integers(0, 2**32), st.integers(-60, 60), st.randoms(use_true_random=False))
def test_lies_in_0_to_1_and_sees_neither_scale_nor_order(name, seed, power, random):
    weight = sample(seed)
    value = float(JITTED[name](weight))
    assert -1e-6 <= value <= 1 + 1e-6
    order = np.asarray(random.sample(range(len(weight)), len(weight)))
    other = np.ldexp(weight[order], power)
    assert float(JITTED[name](other)) == pytest.approx(value, abs=1e-5)


@hypothesis.settings(max_examples=15)
@hypothesis.given(st.integers(0, 2**32), st.floats(0.01, 1))
def test_variance_entropy_is_at_least_what_the_penalty_leaves(seed, spread):
    weight = sample(seed) * np.geomspace(spread, 1, 9, dtype=np.float32).reshape(3, 3)
    rows = jnp.asarray(weight.reshape(-1, 9))
    entropy = float(jax.jit(statistics.variance_entropy)(rows))
    assert entropy / np.log10(9) >= 1 - float(JITTED["variance_entropy"](weight)) - 1e-5


def test_ends_of_the_ranges():
    identity = np.concatenate([np.eye(9), -np.eye(9)]).reshape(18, 1, 3, 3).astype(np.float32)
    line = (np.arange(1, 33)[:, None] * np.arange(1, 10)).reshape(SHAPE).astype(np.float32)
    assert float(JITTED["variance_entropy"](identity)) == pytest.approx(0, abs=1e-6)
    assert float(JITTED["variance_entropy"](line)) == pytest.approx(1, abs=1e-6)
    assert float(JITTED["orthogonality"](identity[:9])) == pytest.approx(0, abs=1e-6)
    assert float(JITTED["orthogonality"](np.tile(line[:1], (8, 1, 1, 1)))) == pytest.approx(1)


@every
def test_gradients_are_those_of_finite_differences(name):
    check_grads(JITTED[name], (sample(3),), order=1, modes=["fwd", "rev"], rtol=1e-2, eps=1e-2)


DEGENERATE = {
    "zero": (np.zeros(SHAPE), 0, 1),
    "some zero": (sample() * (np.arange(8) > 2)[:, None, None, None], None, None),
    "constant": (np.full(SHAPE, 0.1), 1, 1),
    "equal kernels": (np.tile(sample(shape=(1, 1, 3, 3)), (8, 4, 1, 1)), 1, 1),
    "equal eigenvalues": (np.concatenate([np.eye(9), -np.eye(9)])[:, None].reshape(18, 1, 3, 3), None, 0),
    "one line": (np.arange(8.0)[:, None, None, None] * np.ones(SHAPE), 1, 1),
    "one channel": (sample(shape=(1, 4, 3, 3)), 0, None),
    "one kernel": (sample(shape=(1, 1, 3, 3)), 0, 0),
    "huge": (sample() * 1e30, parallel(sample()), uneven(sample())),
    "small": (sample() * 1e-25, parallel(sample()), uneven(sample())),
}  # fmt: skip


@every
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_weights_have_a_value_and_a_finite_gradient(name, case):
    weight, *expected = DEGENERATE[case]
    weight = np.asarray(weight, np.float32)
    value = expected[list(PENALTIES).index(name)]
    assert jnp.isfinite(GRADIENTS[name](weight)).all()
    if value is not None:
        # Of one line, the zero channel counts as orthogonal to the others.
        value = 42 / 56 if (case, name) == ("one line", "orthogonality") else value
        assert float(JITTED[name](weight)) == pytest.approx(value, abs=1e-5)


@every
@pytest.mark.parametrize("network", NETWORKS)
def test_of_parameters_it_is_the_mean_over_layers(name, network):
    expected = np.mean([REFERENCES[name](weight) for weight in weights()])
    assert float(PENALTIES[name](NETWORKS[network]())) == pytest.approx(expected, abs=1e-5)


@every
def test_pointwise_and_dense_weights_do_not_count(name):
    kernel = jnp.asarray(np.transpose(sample(), (2, 3, 1, 0)))
    params = {"conv": {"kernel": kernel}, "one": {"kernel": jnp.ones((1, 1, 8, 8))}}
    params["dense"] = {"kernel": jnp.ones((8, 3))}
    assert float(PENALTIES[name](params)) == pytest.approx(REFERENCES[name](sample()), abs=1e-5)


@every
def test_differentiates_parameters_of_every_framework(name):
    penalty = PENALTIES[name]
    of_linen = jax.jit(jax.grad(penalty))(NETWORKS["linen params"]())
    of_nnx = nnx.jit(nnx.grad(lambda module: penalty(module)))(NETWORKS["nnx module"]())
    of_equinox = eqx.filter_jit(eqx.filter_grad(penalty))(NETWORKS["equinox"]())
    expected = np.asarray(of_linen["conv1"]["kernel"])
    assert np.abs(expected).max() > 1e-6
    np.testing.assert_allclose(of_nnx.conv1.kernel[...], expected, atol=1e-6)
    of_equinox = np.transpose(of_equinox.convs[1].weight, (2, 3, 1, 0))
    np.testing.assert_allclose(of_equinox, expected, atol=1e-6)


@every
def test_half_precision_is_computed_in_float32(name):
    weight = jnp.asarray(sample(), jnp.bfloat16)
    assert PENALTIES[name](weight).dtype == jnp.float32
    assert GRADIENTS[name](weight).dtype == jnp.bfloat16


@every
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_for_every_platform_without_an_eigen_decomposition(name, platform):
    traced = jax.jit(jax.grad(PENALTIES[name])).trace(jnp.asarray(sample()))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "custom_call" not in text


@every
@pytest.mark.parametrize("shape", [(3, 3), (4, 4, 1, 1), (0, 4, 3, 3)])
def test_refuses_what_is_no_weight_of_a_convolution(name, shape):
    with pytest.raises(ValueError, match=r"\(out, in, \*spatial\)"):
        PENALTIES[name](np.zeros(shape, np.float32))


@every
def test_refuses_parameters_without_convolutions(name):
    empty = Kernels(weights=(), layers=())
    with pytest.raises(ValueError, match="expected convolution layers"):
        PENALTIES[name](empty)
    with pytest.raises(ValueError, match="expected convolution layers"):
        PENALTIES[name]({"dense": {"kernel": jnp.ones((8, 3))}})


def test_linen_boxes_of_metadata_are_opened():
    kernel = nn.Partitioned(jnp.asarray(np.transpose(sample(), (2, 3, 1, 0))), names=(None,) * 4)
    got = orthogonality_penalty({"params": {"conv": {"kernel": kernel}}})
    assert float(got) == pytest.approx(parallel(sample()), abs=1e-5)
