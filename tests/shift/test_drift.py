"""Drift between kernel sets in every form: the number of METHOD, on the device and on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.kernels import Kernels, Layer
from jfilters.shift import Reference, drift, kernel_drift, probability
from jfilters.statistics import Basis, fixed_edges

ROTATION = np.linalg.qr(np.random.default_rng(7).normal(size=(9, 9)))[0]
RATIO = np.linspace(0.2, 0.02, 9) / np.linspace(0.2, 0.02, 9).sum()
BASIS = Basis(mean=np.linspace(-0.1, 0.1, 9), components=ROTATION, variance_ratio=RATIO)
EDGES = fixed_edges(9)
IN = {"basis": BASIS, "edges": EDGES}


def sample(n=3000, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 9)) * np.linspace(1, spread, 9)).astype(np.float32)


def counts(kernels, basis=BASIS, edges=EDGES):
    """Histograms in float64 and NumPy alone."""
    unit = np.float64(kernels) / np.maximum(
        np.abs(np.float64(kernels)).max(axis=1, keepdims=True), 1e-300
    )
    coefficients = (unit - basis.mean) @ basis.components.T
    return np.stack(
        [np.histogram(np.clip(c, edges[0], edges[-1]), edges)[0] for c in coefficients.T]
    )


def reference(first, second, ratio=RATIO, edges=EDGES):
    """D after METHOD.md, from counts."""
    p, q = (x / (x.sum(axis=1, keepdims=True) * np.diff(edges)) for x in (first, second))
    p, q = (np.where(x == 0, np.finfo(np.float32).eps, x) for x in (p, q))
    p, q = (x / x.sum(axis=1, keepdims=True) for x in (p, q))
    return float(np.sum(ratio * np.sum((p - q) * np.log(p / q), axis=1)))


A, B = sample(), sample(2000, 1, 3.0)
EXPECTED = reference(counts(A), counts(B))
# One kernel on the other side of an edge, where a bin holds few, moves D by about 1e-4.
NEAR = {"rel": 1e-4, "abs": 2e-4}


def test_kernels_against_float64():
    assert EXPECTED > 0.1
    value = drift(A, B, **IN)
    assert value.shape == ()
    assert float(value) == pytest.approx(EXPECTED, **NEAR)
    assert float(jax.jit(drift)(A, B, **IN)) == pytest.approx(float(value), rel=1e-6)


def test_counts_of_numpy_are_compared_in_float64():
    value = drift(counts(A), counts(B), **IN)
    assert value.dtype == np.float64
    assert float(value) == pytest.approx(EXPECTED, rel=1e-12)
    without_basis = drift(counts(A), counts(B), RATIO, edges=EDGES)
    assert float(without_basis) == pytest.approx(EXPECTED, rel=1e-12)
    stacked = drift(np.stack([counts(A), counts(B)]), counts(B), RATIO)
    np.testing.assert_allclose(stacked, [EXPECTED, 0], rtol=1e-12)


def test_all_forms_agree():
    on_device = jnp.asarray(counts(B), jnp.int32)
    forms = {
        "rows": B,
        "weight": B.reshape(40, 50, 3, 3),
        "kernels": Kernels((jnp.asarray(B.reshape(40, 50, 3, 3)),), (Layer("conv"),)),
        "counts": counts(B),
        "counts on the device": on_device,
        "reference": Reference.of(B, **IN),
    }
    for name, second in forms.items():
        assert float(
            np.squeeze(drift(A, second, **({} if name == "reference" else IN)))
        ) == pytest.approx(EXPECTED, **NEAR), name
    p, q = (probability(counts(x), EDGES) for x in (A, B))
    assert float(drift(p, q, RATIO)) == pytest.approx(EXPECTED, rel=1e-12)


def test_laws():
    assert float(drift(A, A, **IN)) == 0
    assert float(drift(A, B, **IN)) == pytest.approx(float(drift(B, A, **IN)), rel=1e-6)
    assert float(drift(4 * A, B, **IN)) == pytest.approx(float(drift(A, B, **IN)), rel=1e-6)
    permuted = A[np.random.default_rng(0).permutation(len(A))]
    assert float(drift(permuted, A, **IN)) == pytest.approx(0, abs=1e-7)


def test_vmap_is_a_loop():
    stack = np.stack([A, sample(seed=2, spread=2.0), sample(seed=3, spread=0.2)])
    mapped = jax.jit(jax.vmap(lambda kernels: drift(kernels, B, **IN)))(stack)
    np.testing.assert_allclose(mapped, [float(drift(x, B, **IN)) for x in stack], rtol=1e-5)


def test_masked_kernels_do_not_count():
    spoiled = np.concatenate([A, np.full((5, 9), np.nan, np.float32), B])
    mask = np.arange(len(spoiled)) < len(A)
    value = drift(spoiled, B, where_a=mask, **IN)
    assert float(value) == pytest.approx(float(drift(A, B, **IN)), rel=1e-6)
    weight, of_weight = A.reshape(60, 50, 3, 3), np.arange(60)[:, None] + np.zeros(50) < 30
    half = drift(weight, B, where_a=of_weight, **IN)
    assert float(half) == pytest.approx(float(drift(A[:1500], B, **IN)), rel=1e-6)
    layers = Kernels((jnp.asarray(weight), jnp.asarray(weight)), (Layer("a"), Layer("b")))
    both = drift(layers, B, where_a=[of_weight, None], **IN)
    np.testing.assert_allclose(both, [half, drift(A, B, **IN)], rtol=1e-5)


def test_kernels_give_one_value_a_layer():
    weights = [
        A[:900].reshape(30, 30, 3, 3),
        A[900:].reshape(70, 30, 3, 3),
        B.reshape(40, 50, 3, 3),
    ]
    layers = Kernels(tuple(map(jnp.asarray, weights)), tuple(map(Layer, "abc")))
    shared = Reference.of(B, **IN)
    values = jax.jit(drift)(shared, layers)
    np.testing.assert_allclose(values, [drift(shared, weight) for weight in weights], rtol=1e-5)
    np.testing.assert_allclose(drift(layers, layers, **IN), np.zeros(3), atol=1e-7)
    expected = float(drift(np.concatenate([A, B]), A, **IN))
    assert float(drift(layers.rows(), A, **IN)) == pytest.approx(expected, rel=1e-6)


def test_component_weights_can_be_others():
    uniform = np.full(9, 1 / 9)
    expected = reference(counts(A), counts(B), uniform)
    assert float(drift(A, B, uniform, **IN)) == pytest.approx(expected, **NEAR)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_kernel_that_is_not_finite_gives_nan(value):
    broken = A.copy()
    broken[3, 4] = value
    assert np.isnan(float(jax.jit(drift)(broken, B, **IN)))
    assert np.isnan(float(drift(Reference.of(B, **IN), broken)))


def test_no_kernels_that_count_give_nan():
    assert np.isnan(float(drift(A, B, where_a=np.zeros(len(A), bool), **IN)))
    assert np.isnan(float(drift(np.zeros((9, 70), int), counts(B), **IN)))


def test_zero_kernels_and_half_precision():
    zeros = np.concatenate([A, np.zeros((500, 9), np.float32)])
    expected = reference(counts(zeros), counts(B))
    assert float(drift(zeros, B, **IN)) == pytest.approx(expected, **NEAR)
    half = jnp.asarray(A, jnp.float16)
    expected = float(drift(half.astype(jnp.float32), B, **IN))
    assert float(drift(half, B, **IN)) == pytest.approx(expected, rel=1e-6)


def test_no_finite_kernels_trip_the_search_for_nan():
    with jax.debug_nans(True):
        assert float(drift(A, B, where_a=np.arange(len(A)) < 9, **IN)) > 0


def test_in_float64():
    with jax.enable_x64(True):
        value = drift(jnp.asarray(A, jnp.float64), jnp.asarray(B, jnp.float64), **IN)
        assert value.dtype == jnp.float64
        assert float(value) == pytest.approx(EXPECTED, rel=1e-12)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_for_every_platform_and_scatters_on_cpu_alone(platform):
    shape = jax.ShapeDtypeStruct((256, 9), jnp.float32)
    traced = jax.jit(lambda a, b: drift(a, b, **IN)).trace(shape, shape)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.scatter" in text) == (platform == "cpu")
    assert "f64" not in text


ERRORS = {
    "no basis": ((A, B), {}, ValueError, "expected a basis.*jf.Reference"),
    "no weights": ((counts(A), counts(B)), {}, ValueError, "variance_ratio or basis"),
    "taps": ((A, np.ones((4, 25), np.float32)), IN, ValueError, "expected kernels of 9 taps, got 25"),
    "vector": ((A, A[0]), IN, ValueError, r"\(n, d\) rows, \(out, in, \*spatial\) weights or Kernels"),
    "dict": ((A, {}), IN, TypeError, "or Kernels, got dict; jf.from_params"),
    "path": ((A, "net"), IN, TypeError, "got str; jf.load"),
    "empty": ((A, A[:0]), IN, ValueError, "got none"),
    "integers": ((A, np.ones((50, 9), np.int8)), IN, TypeError, "kernels are of floating point"),
    "complex": ((A, A.astype(np.complex64)), IN, TypeError, "floating-point weights, got complex64"),
    "booleans": ((A, A > 0), IN, TypeError, "floating-point weights, got bool"),
    "edges": ((A, B), {"basis": BASIS, "edges": np.array([0.0, 1, 3])}, ValueError, "equally spaced"),
    "mask": ((A, B), IN | {"where_b": np.ones(3, bool)}, ValueError, r"mask that broadcasts to \(2000,\)"),
    "mask of numbers": ((A, B), IN | {"where_a": np.ones(3000)}, TypeError, "where: expected booleans"),
    "mask of counts": ((counts(A), B), IN | {"where_a": np.ones(3, bool)}, ValueError, "leave out"),
    "bins": ((counts(A), counts(B)[:, :60]), IN, TypeError, r"\(\*sets, 9, 70\)"),
    "kernels as probabilities": ((A, B, RATIO), {}, ValueError, "kernels need basis="),
    "numbers of layers": (
        (np.stack([counts(A)] * 3), Kernels((jnp.ones((2, 2, 3, 3)),) * 2, (Layer("a"), Layer("b")))),
        IN, ValueError, "as many sets or layers",
    ),
    "layers": ((A, Kernels((jnp.ones((2, 2, 5, 5)),), (Layer("a"),))), IN, ValueError, r"\(5, 5\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_was_expected(case):
    arguments, options, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        drift(*arguments, **options)


def test_errors_under_jit_are_the_same():
    for case in ("no basis", "taps", "integers", "mask"):
        arguments, options, error, message = ERRORS[case]
        with pytest.raises(error, match=message) as raised:
            jax.jit(lambda a, b, o=options: drift(a, b, **o))(*arguments)
        assert "Tracer" not in str(raised.value)


def test_kernel_drift_says_why_it_does_not_run_under_jit():
    with pytest.raises(TypeError, match=r"host.*use jf.drift\(a, b, basis=") as raised:
        jax.jit(kernel_drift)(A, B)
    assert "Tracer" not in str(raised.value)


def test_kernel_drift_takes_weights_and_kernels():
    expected = kernel_drift(A, B)
    weight = B.reshape(40, 50, 3, 3)
    layers = Kernels((jnp.asarray(weight),), (Layer("conv"),))
    assert kernel_drift(A, weight) == expected == kernel_drift(A, layers)
    with pytest.raises(TypeError, match="weights or Kernels, got dict"):
        jf.kernel_drift(A, {})
