"""One law: every host twin gives what its device form gives, whatever the kernels."""

import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from jfilters import statistics as s
from jfilters.kernels import Kernels, Layer
from jfilters.statistics import internal
from jfilters.training import measure_layers

SHAPES = [(8, 6, 3, 3), (4, 3, 3, 3), (1, 2, 3, 3), (2, 1, 5), (3, 4, 1, 2)]
BINS = 70


def basis(d: int) -> s.Basis:
    components = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    return s.Basis(np.linspace(-0.11, 0.23, d), components, np.full(d, 1 / d))


def rows(weight):
    return weight.reshape(weight.shape[0] * weight.shape[1], -1)


def finite(weight):
    return np.isfinite(rows(weight)).all(axis=1)


def device(function):
    """A statistic of kernels and a mask, of the finite kernels of a weight."""
    return lambda weight: function(jnp.asarray(rows(weight)), where=jnp.asarray(finite(weight)))


def host_moments(weight):
    return internal.host_set_moments(internal.host_normalize(rows(weight)))


def device_moments(kernels, where):
    return s.moments(s.normalize(kernels), where=where)


def host_counts(weight):
    normalized = internal.host_normalize(rows(weight))
    d = normalized.shape[1]
    return np.cumsum(internal.host_counts(normalized, basis(d), s.fixed_edges(d, BINS)), axis=1)


def device_counts(kernels, where):
    edges = s.fixed_edges(kernels.shape[1], BINS)
    bounds = {"low": float(edges[0]), "high": float(edges[-1]), "bins": BINS}
    counts, _ = s.coefficient_histogram(kernels, basis(kernels.shape[1]), **bounds, where=where)
    return np.cumsum(counts, axis=1)


def measured(name):
    """A number of `measure_layers`, which takes a network, for a network of one layer."""

    def of(weight):
        layer = Layer(name="conv")
        kernels = Kernels(weights=(jnp.asarray(weight),), layers=(layer,))
        return getattr(measure_layers(kernels, spatial=weight.shape[2:]), name)[0]

    return of


def quality(name):
    return lambda weight: getattr(s.layer_quality(weight), name)


TWINS = {
    "max_abs": (
        lambda weight: internal.host_max_abs(rows(weight)),
        lambda weight: internal.kernel_max_abs(jnp.asarray(rows(weight))),
    ),
    "normalize": (
        lambda weight: internal.host_normalize(rows(weight)),
        lambda weight: s.normalize(jnp.asarray(rows(weight)))[finite(weight)],
    ),
    "moments": (host_moments, device(device_moments)),
    "counts": (host_counts, device(device_counts)),
    "sparsity": (quality("sparsity"), device(s.sparsity)),
    "variance_entropy": (quality("variance_entropy"), device(s.variance_entropy)),
    "threshold": (
        quality("threshold"),
        lambda weight: s.randomness_threshold(
            jnp.sum(finite(weight)), int(np.prod(weight.shape[2:]))
        ),
    ),
    "orthogonality": (
        lambda weight: internal.host_orthogonality(np.where(np.isfinite(weight), weight, 0)),
        lambda weight: s.orthogonality(jnp.where(jnp.isfinite(weight), weight, 0)),
    ),
    "measured sparsity": (quality("sparsity"), measured("sparsity")),
    "measured entropy": (quality("variance_entropy"), measured("variance_entropy")),
}
MOVED = {"counts": 1.0}  # a coefficient on an edge may fall on either side of it


@st.composite
def weights(draw):
    """Weights of few rows and many, with kernels of zeros, nearly zero and not finite."""
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1.0, 1e-30, 1e30]))
    shares = draw(st.sampled_from([(1, 0, 0), (0.6, 0.2, 0.2), (0, 0, 1)]))
    factor = rng.choice([1.0, 1e-4, 0.0], size=(*shape[:2], *[1] * len(shape[2:])), p=shares)
    weight = (rng.normal(size=shape) * factor * scale).astype(np.float32)
    if draw(st.booleans()):
        weight[0, 0] = draw(st.sampled_from([np.nan, np.inf]))
    return weight


@pytest.mark.parametrize("name", TWINS)
@hypothesis.settings(max_examples=15)
@hypothesis.given(weight=weights())
@hypothesis.example(weight=np.zeros((2, 1, 3, 3), np.float32))
@hypothesis.example(weight=np.full((2, 1, 3, 3), np.nan, np.float32))
def test_host_equals_device(name, weight):
    host, on_device = TWINS[name]
    values, expected = host(weight), on_device(weight)
    pairs = zip(values, expected, strict=True) if name == "moments" else [(values, expected)]
    for value, other in pairs:
        value, other = np.asarray(value), np.asarray(other)
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=MOVED.get(name, 2e-4))
