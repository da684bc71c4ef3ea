"""References: made of a scan or of kernels, and compared as a scan compares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf
from jfilters.kernels import Kernels, Layer
from jfilters.shift import Reference, drift
from jfilters.statistics import Basis, fixed_edges

NETS = {"a": 1.0, "b": 2.0, "c": 5.0}


def weights(spread, seed):
    rng = np.random.default_rng(seed)
    taps = np.linspace(1, spread, 9).reshape(3, 3)
    shapes = ((24, 16, 3, 3), (32, 24, 3, 3))
    return [(rng.normal(size=shape) * taps).astype(np.float32) for shape in shapes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets")
    for seed, (name, spread) in enumerate(NETS.items()):
        layers = {f"conv{i}.weight": weight for i, weight in enumerate(weights(spread, seed))}
        save_file(layers, path / f"{name}.safetensors")
    return path


OPTIONS = {
    "default": {},
    "uniform weights": {"weights": "uniform"},
    "float16": {"dtype": "float16"},
    "data range": {"range": "data"},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_drift_is_what_the_scan_says(folder, case):
    scan = jf.scan(folder, options=jf.Options(**OPTIONS[case]), progress=False)
    expected = {(pair.first, pair.second): pair.value for pair in scan.drift("model").pairs}
    name = "a.safetensors"
    reference = Reference.of(scan, where=f"model == '{name}'")
    assert reference.n_kernels == 24 * 16 + 32 * 24
    for other in ("b", "c"):
        kernels = jf.load(folder / f"{other}.safetensors").rows()
        value = float(jax.jit(drift)(reference, kernels))
        # The host and the device may put a kernel on two sides of an edge.
        assert value == pytest.approx(expected[name, f"{other}.safetensors"], rel=1e-3, abs=1e-3)
    whole = Reference.of(scan)
    assert float(drift(whole, whole)) == 0
    assert whole.spatial == (3, 3)


def test_a_written_scan_makes_the_same(folder, tmp_path):
    scan = jf.scan(folder, progress=False)
    scan.save(tmp_path / "out")
    first, second = (Reference.of(x) for x in (scan, jf.open_scan(tmp_path / "out")))
    for here, there in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(here, there)


def sample(n=2000, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 9)).astype(np.float32)


def test_is_a_pytree():
    reference = Reference.of(sample())
    leaves, structure = jax.tree.flatten(reference)
    assert len(leaves) == 5
    again = jax.tree.unflatten(structure, map(jnp.asarray, leaves))
    other = sample(seed=1) ** 3
    expected = float(drift(reference, other))
    assert float(drift(again, other)) == pytest.approx(expected, rel=1e-5)
    assert float(jax.jit(drift)(other, again)) == pytest.approx(expected, rel=1e-5)
    stack = jax.tree.map(lambda *x: jnp.stack(x), again, jax.tree.map(jnp.asarray, reference))
    mapped = jax.vmap(drift, in_axes=(0, None))(stack, other)
    np.testing.assert_allclose(mapped, [expected] * 2, rtol=1e-5)


def test_of_every_form_of_kernels_it_is_the_same():
    kernels = sample(600)
    weight = kernels.reshape(30, 20, 3, 3)
    layers = (jnp.asarray(weight[:10]), jnp.ones((4, 4, 5, 5)), jnp.asarray(weight[10:]))
    forms = [kernels, weight, Kernels(layers, tuple(map(Layer, "abc")))]
    references = [Reference.of(form) for form in forms]
    for reference in references:
        np.testing.assert_array_equal(reference.histogram, references[0].histogram)
        assert reference.n_kernels == 600
    assert [reference.spatial for reference in references] == [None, (3, 3), (3, 3)]
    of_five = Reference.of(forms[2], spatial=(5, 5), basis=axes(25))
    assert of_five.n_kernels == 16


def axes(d):
    return Basis(mean=np.zeros(d), components=np.eye(d), variance_ratio=np.full(d, 1 / d))


def test_masked_kernels_are_left_out():
    kernels = sample()
    kernels[:10] = np.nan
    mask = np.arange(len(kernels)) >= 10
    np.testing.assert_array_equal(
        Reference.of(kernels, where=mask).histogram, Reference.of(kernels[10:]).histogram
    )


def test_under_jit_it_needs_a_basis():
    make = jax.jit(lambda kernels, basis: Reference.of(kernels, basis=basis))
    expected = Reference.of(sample(), basis=axes(9))
    np.testing.assert_array_equal(make(sample(), axes(9)).histogram, expected.histogram)
    with pytest.raises(ValueError, match="pass basis=, or make the reference outside") as raised:
        jax.jit(Reference.of)(sample())
    assert "Tracer" not in str(raised.value)


def test_a_scan_of_billions_fits_into_float32():
    big = np.full((9, 70), 3_000_000_000, np.int64)
    reference = Reference(axes(9), fixed_edges(9), big.astype(np.float64))
    assert float(jax.jit(drift)(reference, reference)) == 0
    assert float(jax.jit(drift)(reference, sample())) > 0


def test_references_in_other_bases_are_not_compared():
    first = Reference.of(sample())
    with pytest.raises(ValueError, match=r"two that differ in basis.mean"):
        drift(first, Reference.of(sample(seed=1)))
    with pytest.raises(ValueError, match="differ in edges"):
        drift(first, Reference.of(sample(), basis=first.basis, edges=fixed_edges(9, 30)))
    with pytest.raises(ValueError, match="leave out basis= and edges="):
        drift(first, sample(), edges=fixed_edges(9))


def test_errors_say_what_was_expected(folder, tmp_path):
    scan = jf.scan(folder, progress=False)
    with pytest.raises(ValueError, match="leave out basis="):
        Reference.of(scan, basis=axes(9))
    with pytest.raises(ValueError, match=r"size \(5, 5\), got one of \(3, 3\)"):
        Reference.of(scan, spatial=(5, 5))
    with pytest.raises(ValueError, match="condition on a scan"):
        Reference.of(scan, where=np.ones(6, bool))
    with pytest.raises(ValueError, match="kernels of 9 taps"):
        drift(Reference.of(scan), np.ones((3, 25), np.float32))
    with pytest.raises(ValueError, match=r"size \(3, 3\)"):
        drift(Reference.of(scan), np.ones((3, 3, 9), np.float32))
    with pytest.raises(ValueError, match=r"got str; .*jf.open_scan"):
        Reference.of("results/zoo")
    with pytest.raises(ValueError, match=r"got dict; jf.from_params"):
        Reference.of({})
    with pytest.raises(ValueError, match="NaN or infinity"):
        Reference.of(sample() * np.inf)
    with pytest.raises(ValueError, match="kernels that vary"):
        Reference.of(np.ones((10, 9), np.float32))
    with pytest.raises(TypeError, match="floating-point"):
        Reference.of(np.ones((10, 9), int))
    with pytest.raises(ValueError, match=r"\(d, bins\) = \(9, 70\)"):
        Reference(axes(9), fixed_edges(9), np.zeros((9, 60)))
    save_file({"conv.weight": np.ones((4, 4, 5, 5), np.float32)}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="3x3 kernels that vary"):
        Reference.of(jf.scan(tmp_path, progress=False))
