"""Laws that every statistic of a kernel set obeys; a new one gets them all by one line."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics as s
from jfilters.statistics.internal import coefficient_range

N, D = 24, 4
_rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0]
BASIS = s.Basis(
    mean=np.linspace(-0.1, 0.2, D), components=_rotation, variance_ratio=np.full(D, 1 / D)
)


def coefficient_histogram(kernels, valid):
    return s.coefficient_histogram(kernels, BASIS, low=-2.0, high=2.0, bins=32, where=valid)


def histogram(kernels, valid):
    return s.histogram(kernels, np.linspace(-1.03, 1.01, 33), where=valid)


SCALE_FREE = {
    "coefficient_histogram": coefficient_histogram,
    "coefficient_range": lambda kernels, valid: coefficient_range(kernels, BASIS, where=valid),
    "normalized_moments": lambda kernels, valid: s.moments(s.normalize(kernels), where=valid),
    "orthogonality": lambda kernels, valid: s.orthogonality(kernels, where=valid),
    "sparsity": lambda kernels, valid: s.sparsity(kernels, where=valid),
    "standardized_norms": lambda kernels, valid: s.norms(kernels, where=valid).l1_standardized,
    "variance_entropy": lambda kernels, valid: s.variance_entropy(kernels, where=valid),
}
SCALES = {
    "l1": lambda kernels, valid: s.norms(kernels, where=valid).l1,
    "l2": lambda kernels, valid: s.norms(kernels, where=valid).l2,
    "max_abs": lambda kernels, valid: s.max_abs(kernels, where=valid),
    "mean": lambda kernels, valid: s.moments(kernels, where=valid).mean,
}
OTHERS = {
    "histogram": histogram,
    "moments": lambda kernels, valid: s.moments(kernels, where=valid),
}
STATISTICS = SCALE_FREE | SCALES | OTHERS
DIFFERENTIABLE = sorted(
    set(STATISTICS) - {"coefficient_histogram", "coefficient_range", "histogram", "sparsity"}
)
OVERFLOWS = {("normalized_moments", "tiny")}  # float32 holds no such gradient
JITTED = {name: jax.jit(function) for name, function in STATISTICS.items()}
SPECIAL = {
    "zero": np.zeros((N, D)),
    "constant": np.full((N, D), 0.1),
    "equal": np.tile(np.arange(D) / 7, (N, 1)),
    "one line": np.outer(np.arange(N), np.arange(D)),
    "tiny": np.random.default_rng(2).normal(size=(N, D)) * 1e-30,
    "huge": np.random.default_rng(3).normal(size=(N, D)) * 1e30,
}


def total(function):
    def of(kernels):
        leaves = jax.tree.leaves(function(kernels, jnp.arange(N) < 20))
        return sum(jnp.sum(leaf) for leaf in leaves)

    return of


GRADIENTS = {name: jax.jit(jax.grad(total(STATISTICS[name]))) for name in DIFFERENTIABLE}


@st.composite
def layers(draw):
    """Kernels, some of them zero or sparse, and a mask that keeps at least ten."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = rng.choice(
        [1.0, 1e-4, 0.0], size=(N, 1), p=draw(st.sampled_from([(1, 0, 0), (0.7, 0.2, 0.1)]))
    )
    kernels = (rng.normal(size=(N, D)) * scale).astype(np.float32)
    return jnp.asarray(kernels), jnp.asarray(np.arange(N) < draw(st.integers(10, N)))


def assert_close(got, expected, rtol=1e-5, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), got, expected)


over = pytest.mark.parametrize
few = hypothesis.settings(max_examples=10)


@over("name", STATISTICS)
@few
@hypothesis.given(layers(), st.sampled_from([0.0, 7.0, np.nan, np.inf]))
def test_padding_is_invisible(name, layer, filling):
    kernels, valid = layer
    filled = jnp.where(valid[:, None], kernels, filling)
    assert_close(JITTED[name](filled, valid), JITTED[name](kernels, valid))


@over("name", STATISTICS)
@few
@hypothesis.given(layers(), st.randoms(use_true_random=False))
def test_order_does_not_matter(name, layer, random):
    order = np.asarray(random.sample(range(N), N))
    kernels, valid = layer
    assert_close(JITTED[name](kernels[order], valid[order]), JITTED[name](kernels, valid))


@over("name", SCALE_FREE)
@few
@hypothesis.given(layers(), st.integers(-20, 20))
def test_scale_does_not_matter(name, layer, power):
    kernels, valid = layer
    assert_close(JITTED[name](kernels * 2.0**power, valid), JITTED[name](kernels, valid))


@over("name", SCALES)
@few
@hypothesis.given(layers(), st.integers(-20, 20))
def test_scales_along(name, layer, power):
    kernels, valid = layer
    scaled = JITTED[name](kernels * 2.0**power, valid)
    assert_close(scaled / 2.0**power, JITTED[name](kernels, valid))


@over("name", STATISTICS)
def test_padding_rows_can_be_cut_off(name):
    kernels = jax.random.normal(jax.random.key(0), (N, D))
    some = jnp.arange(N) < 15
    assert_close(JITTED[name](kernels, some), JITTED[name](kernels[:15], jnp.ones(15, bool)))


@over("name", STATISTICS)
def test_jit_equals_no_jit(name):
    kernels, valid = jax.random.normal(jax.random.key(1), (N, D)), jnp.arange(N) < 20
    assert_close(JITTED[name](kernels, valid), STATISTICS[name](kernels, valid))


@over("name", STATISTICS)
def test_vmap_equals_loop(name):
    kernels = jax.random.normal(jax.random.key(2), (4, N, D))
    valid = jnp.arange(N)[None] < jnp.asarray([[24], [10], [1], [0]])
    got = jax.jit(jax.vmap(STATISTICS[name]))(kernels, valid)
    for index in range(len(kernels)):
        assert_close(
            jax.tree.map(lambda leaf, i=index: leaf[i], got),
            JITTED[name](kernels[index], valid[index]),
        )


@over("special", SPECIAL)
@over("name", DIFFERENTIABLE)
def test_gradient_is_finite(name, special):
    gradient = GRADIENTS[name](jnp.asarray(SPECIAL[special], jnp.float32))
    assert jnp.isfinite(gradient).all() == ((name, special) not in OVERFLOWS)
