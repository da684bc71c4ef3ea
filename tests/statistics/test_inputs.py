"""Every statistic takes rows, a weight or Kernels, in any floating type, and refuses all else alike."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import scipy.stats

from jfilters import statistics as s
from jfilters.kernels import Kernels, Layer

OUT, IN = 24, 6
D = 9


def entropy(rows):
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    return scipy.stats.entropy(values, base=10)


def sparsity(rows):
    largest = np.abs(rows).max(axis=1)
    return np.mean(largest < 0.01 * largest.max())


def orthogonality(rows):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return 1 - np.abs(units @ units.T)[~np.eye(len(rows), dtype=bool)].mean()


def standardized(rows):
    flat = rows.ravel()
    return np.abs((flat - flat.mean()) / flat.std(ddof=1)).sum()


def scatter(rows):
    centered = rows - rows.mean(axis=0)
    return centered.T @ centered


# Each in JAX, and of rows in float64.
STATISTICS = {
    "max_abs": (s.max_abs, lambda rows: np.abs(rows).max()),
    "sparsity": (s.sparsity, sparsity),
    "variance_entropy": (s.variance_entropy, entropy),
    "count": (lambda x, **o: s.moments(x, **o).count, len),
    "mean": (lambda x, **o: s.moments(x, **o).mean, lambda rows: rows.mean(axis=0)),
    "scatter": (lambda x, **o: s.moments(x, **o).scatter, scatter),
    "l1": (lambda x, **o: s.norms(x, **o).l1, lambda rows: np.abs(rows).sum()),
    "l2": (lambda x, **o: s.norms(x, **o).l2, lambda rows: np.sqrt(np.sum(rows**2))),
    "standardized": (lambda x, **o: s.norms(x, **o).l1_standardized, standardized),
    "orthogonality": (s.orthogonality, orthogonality),
}
OF_KERNELS = {name: pair for name, pair in STATISTICS.items() if name != "orthogonality"}
# A NaN or infinity of one kernel spoils these.
SPOILED = {name: pair for name, pair in STATISTICS.items() if name not in ("count", "max_abs")}
KINDS = ("rows", "weight", "Kernels")
TYPES = (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float32)
over = pytest.mark.parametrize


def weight(dtype=np.float32, out=OUT, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.where(rng.random((out, IN, 1, 1)) < 0.2, 1e-3, 1)
    return jnp.asarray((rng.normal(size=(out, IN, 3, 3)) + 0.2) * scale, jnp.dtype(dtype))


def wide(array):
    return np.asarray(array).astype(np.float64)


def as_kind(kind, array, name):
    """The same layer in every form, and what a statistic of it returns as one layer's value."""
    if kind == "Kernels":
        return Kernels((array, array), (Layer("a"), Layer("b", depth=1))), lambda x: x[1]
    length = array.size // len(array) if name == "orthogonality" else D
    return (array if kind == "weight" else array.reshape(-1, length)), lambda x: x


def rows_of(array, name):
    return wide(array).reshape(OUT, -1) if name == "orthogonality" else wide(array).reshape(-1, D)


@over(
    ("kind", "dtype"),
    [*((kind, np.float32) for kind in KINDS), *(("weight", dtype) for dtype in TYPES[:3])],
)
@over("name", STATISTICS)
def test_every_type_and_form_against_float64(name, kind, dtype):
    statistic, reference = STATISTICS[name]
    array = weight(dtype)
    kernels, of_layer = as_kind(kind, array, name)
    value = of_layer(jax.jit(statistic)(kernels))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, reference(rows_of(array, name)), rtol=2e-5, atol=1e-4)


@over("name", OF_KERNELS)
def test_many_kernels_of_16_bits(name):
    """Counts above 2048 and sums above 65504 fit no float16, and 256 is where bfloat16 stops."""
    statistic, reference = STATISTICS[name]
    for dtype in (jnp.float16, jnp.bfloat16):
        kernels = weight(dtype, out=2_000).reshape(-1, D)
        np.testing.assert_allclose(statistic(kernels), reference(wide(kernels)), rtol=1e-3)


def test_orthogonality_of_300_channels_in_float16():
    kernels = weight(np.float16, out=300)
    expected = orthogonality(wide(kernels).reshape(300, -1))
    assert expected < 0.9
    assert float(s.orthogonality(kernels)) == pytest.approx(expected, abs=1e-6)
    assert s.layer_quality(np.asarray(kernels)).orthogonality == pytest.approx(expected, abs=1e-6)


@over("name", STATISTICS)
def test_float64_is_as_accurate_as_its_type(name):
    statistic, reference = STATISTICS[name]
    with jax.enable_x64(True):
        rows = 1 + 1e-8 * np.random.default_rng(0).normal(size=(60, D)) * np.arange(1, D + 1)
        value = statistic(jnp.asarray(rows))
        assert value.dtype == jnp.float64
        expected = reference(rows)
        tolerance = max(1e-6 * np.abs(expected).max(), 1e-14)
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=tolerance)


def test_a_small_spread_in_float64_on_the_host_and_in_a_basis():
    rows = 1 + 1e-8 * np.random.default_rng(0).normal(size=(60, D)) * np.arange(1, D + 1)
    found = s.layer_quality(rows.reshape(10, 6, 3, 3)).variance_entropy
    assert found == pytest.approx(entropy(rows), rel=1e-6)
    with jax.enable_x64(True):
        basis = s.fit_basis(s.moments(jnp.asarray(rows)))
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    np.testing.assert_allclose(basis.variance_ratio, values / values.sum(), atol=1e-6)


@over("dtype", [np.int8, np.int32, bool, np.complex64])
@over("kind", KINDS[:2])
@over("name", [*STATISTICS, "normalize", "sparse_mask", "project", "histogram"])
def test_only_floating_point_is_a_weight(name, kind, dtype):
    others = {
        "normalize": s.normalize,
        "sparse_mask": s.sparse_mask,
        "project": lambda x: s.project(x, BASIS),
        "histogram": lambda x: s.coefficient_histogram(x, BASIS, low=-1.0, high=1.0, bins=4),
    }
    statistic = others.get(name) or STATISTICS[name][0]
    kernels, _ = as_kind(kind, jnp.ones((OUT, IN, 3, 3)).astype(dtype), name)
    with pytest.raises(TypeError, match=f"floating-point weights, got {np.dtype(dtype).name}"):
        statistic(kernels)


BASIS = s.Basis(np.zeros(D), np.eye(D), np.full(D, 1 / D))
WRONG = {
    "list": ([[1.0, 2.0]], "got list"),
    "None": (None, "got NoneType"),
    "number": (2.0, "got float"),
    "dict": ({"kernel": np.ones((3, 3))}, "got dict"),
    "vector": (np.ones(9, np.float32), r"got float32 of shape \(9,\)"),
    "scalar": (np.float32(1), "got float32 of shape"),
}


@over("wrong", WRONG)
@over("name", STATISTICS)
def test_anything_else_is_refused_alike(name, wrong):
    value, got = WRONG[wrong]
    expected = r"expected \(n, d\) rows, \(out, in, \*spatial\) weights or Kernels, " + got
    with pytest.raises((TypeError, ValueError), match=expected):
        STATISTICS[name][0](value)


@over("value", [np.nan, np.inf, -np.inf])
@over("name", SPOILED)
def test_one_broken_kernel_gives_nan(name, value):
    kernels = weight().at[3, 2, 1, 1].set(value)
    result = np.asarray(jax.jit(SPOILED[name][0])(kernels))
    assert np.isnan(result).any()
    assert np.isnan(result).all() or name in ("mean", "scatter")  # the other taps are as they were


@over("place", [0, 21_599, 43_199])
@over("name", SPOILED)
def test_one_nan_among_many_weights_is_found(name, place):
    # XLA on CPU loses it in a maximum of this many values.
    many = jax.random.normal(jax.random.key(0), (300, 16, 3, 3))
    broken = many.reshape(-1).at[place].set(jnp.nan).reshape(many.shape)
    assert np.isnan(np.asarray(SPOILED[name][0](broken))).any()


@over("value", [np.nan, np.inf, -np.inf])
@over("dtype", TYPES[:2] + TYPES[3:])
@over("name", STATISTICS)
def test_a_kernel_that_does_not_count_has_no_effect(name, dtype, value):
    statistic, _ = STATISTICS[name]
    channels = name == "orthogonality"
    where = jnp.arange(OUT) != 3 if channels else jnp.zeros((OUT, IN), bool).at[4:].set(True)
    whole = weight(dtype)
    broken = whole.at[3, 2, 1, 1].set(value)
    expected = statistic(jnp.delete(whole, 3, axis=0) if channels else whole[4:])
    np.testing.assert_allclose(statistic(broken, where=where), expected, rtol=1e-6, atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(statistic(x, where=where)))(broken)
    assert jnp.isfinite(gradient).all()
    assert not gradient[3, 2].any()


@over("name", OF_KERNELS)
def test_where_broadcasts_as_in_a_mean(name):
    statistic, _ = OF_KERNELS[name]
    kernels, rows = weight(), weight().reshape(-1, D)
    full = np.broadcast_to(np.arange(IN) < 4, (OUT, IN))
    expected = statistic(rows, where=full.reshape(-1))
    for where in (np.arange(IN) < 4, (np.arange(IN) < 4)[None], full):
        np.testing.assert_allclose(statistic(kernels, where=where), expected, rtol=1e-6)
    np.testing.assert_allclose(statistic(kernels, where=True), statistic(kernels), rtol=1e-6)


@over(
    ("where", "error", "message"),
    [
        (np.ones(5, bool), ValueError, r"where: expected a mask that broadcasts to \(24, 6\)"),
        (np.ones((24, 6)), TypeError, "where: expected booleans, got float"),
    ],
)
@over("name", OF_KERNELS)
def test_a_mask_that_does_not_fit_is_named(name, where, error, message):
    with pytest.raises(error, match=message):
        OF_KERNELS[name][0](weight(), where=where)


def test_kernels_take_one_mask_a_layer():
    layers = (Layer("a"), Layer("b", depth=1))
    kernels = Kernels((weight(), weight(seed=1, out=5)), layers)
    masks = tuple(~mask for mask in s.sparse_mask(kernels))
    assert [mask.shape for mask in masks] == [(OUT, IN), (5, IN)]
    clean = s.variance_entropy(kernels, where=masks)
    for value, array, mask in zip(clean, kernels.weights, masks, strict=True):
        assert float(value) == pytest.approx(float(s.variance_entropy(array, where=mask)))
        assert not bool(s.sparsity(array, where=mask))
    with pytest.raises(TypeError, match="expected None or one mask a layer"):
        s.sparsity(kernels, where=masks[0])
    with pytest.raises(ValueError, match="expected 2 masks, one a layer, got 1"):
        s.sparsity(kernels, where=masks[:1])


def test_moments_of_several_kernel_sizes_do_not_stack():
    kernels = Kernels((weight(), jnp.ones((2, 2, 5, 5))), (Layer("a"), Layer("b", depth=1)))
    assert s.variance_entropy(kernels).shape == (2,)
    with pytest.raises(ValueError, match="one kernel size, got several; choose one of them"):
        s.moments(kernels)


def test_kernels_of_no_layer_have_no_value():
    with pytest.raises(ValueError, match="got Kernels of no layer"):
        s.sparsity(Kernels((), ()))


def test_normalize_keeps_form_and_type():
    kernels = Kernels((weight(jnp.bfloat16), weight()), (Layer("a"), Layer("b", depth=1)))
    normalized = s.normalize(kernels)
    assert normalized.layers == kernels.layers
    for before, after in zip(kernels.weights, normalized.weights, strict=True):
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        assert (jnp.abs(after).reshape(-1, D).max(axis=1) == 1).all()
    half = s.normalize(weight(), where=jnp.arange(IN) < 2)
    assert not half[:, 2:].any()
    assert half[:, :2].any(axis=(2, 3)).all()


def test_coefficients_of_a_weight_are_those_of_its_rows():
    kernels = s.normalize(weight())
    mask = jnp.arange(IN) < 2
    expected = s.project(kernels.reshape(-1, D), BASIS)
    np.testing.assert_array_equal(s.project(kernels, BASIS), expected)
    masked = s.project(kernels, BASIS, where=mask).reshape(OUT, IN, D)
    assert not masked[:, 2:].any()
    both = s.project(Kernels((kernels, kernels[:3]), (Layer("a"), Layer("b", depth=1))), BASIS)
    assert [rows.shape for rows in both] == [(OUT * IN, D), (3 * IN, D)]


@over("value", [np.nan, np.inf])
def test_a_broken_kernel_is_in_no_bin(value):
    kernels = weight().at[0, 0, 0, 0].set(value)
    options = {"low": -2.0, "high": 2.0, "bins": 8}
    counts, outside = s.coefficient_histogram(kernels, BASIS, **options)
    np.testing.assert_array_equal(counts.sum(axis=1), OUT * IN - 1)
    assert outside == 0
    coefficients = jnp.asarray([[0.1], [np.nan], [0.2]])
    assert s.histogram(coefficients, np.linspace(-1, 1, 3)).sum() == 2
