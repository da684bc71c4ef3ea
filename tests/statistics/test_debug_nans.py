"""A NaN by definition stops no program of `jax_debug_nans`; errors under tracing name the argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics as s
from jfilters.kernels import Kernels, Layer

STATISTICS = {
    "sparsity": s.sparsity,
    "variance_entropy": s.variance_entropy,
    "norms": lambda x, **options: s.norms(x, **options).l1_standardized,
    "orthogonality": s.orthogonality,
}
NOTHING = {"where": jnp.zeros(1, bool)}
INFINITE = jnp.ones((4, 9)).at[0, 0].set(jnp.inf)
# Undefined in every statistic: no kernel counts, or one is infinite.
UNDEFINED = {"nothing counts": (jnp.ones((1, 9)), NOTHING), "infinite": (INFINITE, {})}
over = pytest.mark.parametrize


@over("case", UNDEFINED)
@over("name", STATISTICS)
def test_a_nan_by_definition_stops_nothing(name, case):
    kernels, options = UNDEFINED[case]
    with jax.debug_nans(True):
        assert jnp.isnan(STATISTICS[name](kernels, **options))
        gradient = jax.grad(lambda x: STATISTICS[name](x, **options))(kernels)
    assert not gradient.any()


@over("name", STATISTICS)
def test_a_layer_without_a_value_stops_no_network(name):
    layers = (Layer("a"), Layer("b", depth=1))
    kernels = Kernels((jax.random.normal(jax.random.key(0), (4, 2, 3, 3)), INFINITE), layers)
    with jax.debug_nans(True):
        values = STATISTICS[name](kernels)
    assert np.isnan(values).tolist() == [False, True]


@over("name", STATISTICS)
def test_a_nan_inside_a_program_stops_nothing(name):
    """JAX checks what a program returns, and only that: there a NaN has to be replaced."""

    @jax.jit
    def or_zero(kernels):
        return jnp.nan_to_num(STATISTICS[name](kernels))

    with jax.debug_nans(True):
        assert or_zero(INFINITE) == 0


def test_padding_stops_nothing():
    padded = jnp.full((2, 3, 3, 3), jnp.nan).at[:, :2].set(jax.random.normal(jax.random.key(0)))
    with jax.debug_nans(True):
        where = jnp.arange(3) < 2
        assert not jnp.isnan(s.sparsity(padded, where=where))
        assert not jnp.isnan(s.norms(padded, where=where).l1)


def test_the_threshold_of_too_few_kernels_stops_nothing():
    with jax.debug_nans(True):
        assert jnp.isnan(s.randomness_threshold(jnp.asarray(3.0), 9))


TRACED = {
    "sparsity strict": ("strict", lambda x: s.sparsity(jnp.ones((3, 9)), strict=x)),
    "sparse_mask strict": ("strict", lambda x: s.sparse_mask(jnp.ones((3, 9)), strict=x)),
    "threshold": ("d", lambda x: s.randomness_threshold(jnp.ones(3), x)),
    "edges": ("edges", lambda x: s.histogram(jnp.ones((3, 9)), x)),
    "bins": (
        "bins",
        lambda x: s.coefficient_histogram(
            jnp.ones((3, 9)),
            s.Basis(np.zeros(9), np.eye(9), np.ones(9) / 9),
            low=-1.0,
            high=1.0,
            bins=x,
        ),
    ),
}


@over("case", TRACED)
def test_a_static_argument_is_named(case):
    name, function = TRACED[case]
    with pytest.raises(TypeError, match=f"^{name}: expected a static value") as error:
        jax.jit(function)(jnp.ones(3))
    assert "Tracer" not in str(error.value)


def test_the_limit_of_sparse_kernels_may_be_traced():
    kernels = jnp.asarray([[1.0], [0.1], [0.01]])
    limits = jnp.asarray([0.5, 0.05, 0.005])
    shares = jax.vmap(lambda eps: s.sparsity(kernels, eps=eps))(limits)
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3, 0], rtol=1e-6)
