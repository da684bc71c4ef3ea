import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters import statistics
from jfilters.training import cosine_basis, measure_layers

from .networks import NETWORKS, arrays, weights


def hwio(weight):
    """A weight (out, in, height, width) as parameters of Flax keep it."""
    return jnp.asarray(np.transpose(weight, (2, 3, 1, 0)))


def sample(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def conv(*shape, seed=0):
    return hwio(sample(*shape, seed=seed))


THIN = np.float32([1e-3, 1, 1, 1]).reshape(4, 1, 1, 1)


def entropy(weight):
    rows = np.float64(weight).reshape(-1, 9)
    p = np.linalg.eigvalsh(np.cov(rows.T)) / np.trace(np.cov(rows.T))
    return -np.sum(p[p > 1e-12] * np.log10(p[p > 1e-12]))


def sparsity(weight):
    return np.mean(np.abs(weight).max(axis=(2, 3)) < 0.01 * np.abs(weight).max())


def orthogonality(weight):
    rows = np.float64(weight).reshape(len(weight), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return 1 - np.abs(rows @ rows.T)[~np.eye(len(rows), dtype=bool)].mean()


def threshold(weight):
    return float(statistics.randomness_threshold(weight.shape[0] * weight.shape[1], 9))


REFERENCE = {
    "variance_entropy": entropy,
    "variance_entropy_ratio": lambda weight: entropy(weight) / threshold(weight),
    "sparsity": sparsity,
    "orthogonality": orthogonality,
}


def assert_numbers(found, weights, rtol=1e-4):
    for column, reference in REFERENCE.items():
        expected = [reference(weight) for weight in weights]
        np.testing.assert_allclose(getattr(found, column), expected, rtol=rtol, err_msg=column)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_any_framework_gives_the_numbers_of_its_layers(name):
    found = measure_layers(NETWORKS[name]())
    assert found.n_kernels == (8, 64, 64, 128)
    assert np.isnan(found.variance_entropy_ratio[0])  # of 8 kernels
    assert_numbers(found, weights())


def test_histograms_are_those_of_normalized_kernels_in_the_basis():
    found, edges = measure_layers(arrays()), statistics.fixed_edges(9)
    components = cosine_basis((3, 3)).components
    for index, weight in enumerate(weights()):
        rows = np.float64(weight).reshape(-1, 9)
        coefficients = rows / np.abs(rows).max(axis=1, keepdims=True) @ components.T
        expected = np.stack([np.histogram(column, edges)[0] for column in coefficients.T])
        # Another rounding may put one kernel on the other side of an edge.
        assert np.abs(np.asarray(found.histogram[index]) - expected).sum() <= 2


def test_layers_of_other_sizes_are_chosen_by_spatial():
    params = {"a": {"kernel": conv(4, 3, 1, 2)}, "b": {"kernel": conv(4, 3, 2, 2)}}
    found = measure_layers(params, spatial=(2, 2))
    assert found.names == ("b/kernel",)
    assert found.histogram.shape == (1, 4, 70)


def test_runs_inside_a_scan_over_steps():
    def step(params, _):
        params = {**params, "conv1": {"kernel": params["conv1"]["kernel"] + 0.5}}
        return params, measure_layers(params)

    params, found = jax.lax.scan(step, arrays(), None, length=3)
    last = jax.tree.map(lambda x: x[-1], found)
    assert last.names == ("conv0/kernel", "conv1/kernel", "conv2/kernel", "conv3/kernel")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), last, measure_layers(params)
    )


def test_a_broken_kernel_counts_and_spoils_no_number():
    params = arrays()
    broken = params["conv2"]["kernel"].at[0, 0, 2, 3].set(jnp.nan)
    found = measure_layers({**params, "conv2": {"kernel": broken}})
    assert found.n_nonfinite.tolist() == [0, 0, 1, 0]
    assert int(found.histogram[2, 0].sum()) == 63
    rest = np.delete(weights()[2].reshape(-1, 9), 3 * 8 + 2, axis=0)
    assert float(found.variance_entropy[2]) == pytest.approx(entropy(rest), rel=1e-5)
    assert jnp.isfinite(found.orthogonality).all()


def test_degenerate_layers():
    layers = {
        "one kernel": conv(1, 1, 3, 3),
        "constant": conv(4, 4, 3, 3) * 0 + 0.1,
        "sparse": hwio(sample(4, 4, 3, 3) * THIN),
        "zero": conv(4, 4, 3, 3) * 0,
    }
    found = measure_layers({name: {"kernel": weight} for name, weight in layers.items()})
    entropies = [np.nan, 0, entropy(sample(4, 4, 3, 3) * THIN), 0]
    np.testing.assert_allclose(found.variance_entropy, entropies, atol=1e-5)
    np.testing.assert_allclose(found.sparsity, [0, 0, 0.25, 1])
    np.testing.assert_allclose(
        found.orthogonality[jnp.asarray([0, 1, 3])], [np.nan, 0, 1], atol=1e-6
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales(scale):
    found = measure_layers(jax.tree.map(lambda x: x * scale, arrays()))
    assert_numbers(found, weights())


def test_layers_of_many_segments_are_added_up():
    # The segments of the second layer differ in their means.
    weight = np.random.default_rng(0).normal(size=(70, 40, 3, 3)).astype(np.float32)
    weight += np.linspace(-2, 2, 70, dtype=np.float32)[:, None, None, None]
    found = measure_layers({"a": {"kernel": hwio(weights()[3])}, "b": {"kernel": hwio(weight)}})
    assert_numbers(found, [weights()[3], weight])
    assert found.histogram.sum(axis=2).tolist() == [[128] * 9, [2800] * 9]


def test_half_precision_is_widened_first():
    half = conv(4, 3, 2, 2).astype(jnp.bfloat16)
    got, expected = (
        measure_layers({"a": {"kernel": weight}}, spatial=(2, 2))
        for weight in (half, half.astype(jnp.float32))
    )
    assert got.variance_entropy.dtype == jnp.float32
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)


def test_takes_kernels_and_a_basis():
    basis = statistics.Basis(
        mean=np.zeros(9), components=np.eye(9), variance_ratio=np.full(9, 1 / 9)
    )
    kernels = jf.from_params(arrays())
    found = measure_layers(kernels, basis=basis)
    edges = statistics.fixed_edges(9)
    tap = np.asarray(statistics.normalize(kernels.rows()[8:72]))[:, 4]
    np.testing.assert_array_equal(found.histogram[1, 4], np.histogram(tap, edges)[0])


def lowered(params, platform):
    traced = jax.jit(measure_layers).trace(params)
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_for_every_platform_without_float64(platform):
    assert not re.search(r"\bf64\b|xf64", lowered(arrays(), platform))


def test_the_program_does_not_grow_with_layers_of_one_shape():
    few = {f"conv{i}": {"kernel": conv(8, 8, 3, 3, seed=i)} for i in range(3)}
    many = {f"conv{i}": {"kernel": conv(8, 8, 3, 3, seed=i)} for i in range(9)}
    assert lowered(few, "cpu").count("dot_general") == lowered(many, "cpu").count("dot_general")


def test_refuses_parameters_without_such_layers():
    with pytest.raises(ValueError, match="expected 7x7 kernels, got kernels of sizes 3x3"):
        measure_layers(arrays(), spatial=(7, 7))


def test_refuses_a_basis_of_other_taps():
    with pytest.raises(ValueError, match="9 taps, got a basis of 25 taps"):
        measure_layers(arrays(), basis=cosine_basis((5, 5)))
