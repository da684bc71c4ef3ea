"""The papers' definitions, each preset as its command would run it, against float64 NumPy."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import Options, scan
from jfilters.scans.internal import model_drift

from . import reference

CONFIGS = Path(__file__).parents[2] / "configs"


def network(seed):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((48, 24, 3, 3)) * rng.gamma(1, 1, (48, 24, 1, 1))
    weights += seed * weights.mean(axis=(2, 3), keepdims=True)
    weights[:6] *= 1e-4  # sparse kernels
    weights[6, :4] = 0  # zero kernels
    return {"conv.weight": weights.astype(np.float32)}


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        save_file(network(seed), tmp_path / f"{seed}.safetensors", metadata={"format": "pt"})
    return tmp_path


def options(name):
    chosen = tomllib.loads((CONFIGS / f"{name}.toml").read_text("utf-8"))
    if "sparse-test" in chosen:
        chosen["sparse_strict"] = chosen.pop("sparse-test") == "<"
    if ":" in chosen["range"]:
        low, high = map(float, chosen["range"].split(":"))
        chosen["range"] = (low, high)
    return Options(**chosen)


def in_half(rows):
    """The largest weight of each kernel divides it in float16, as in the notebook of the paper."""
    half = rows.astype(np.float16)
    largest = np.abs(half).max(axis=1, keepdims=True)
    quotients = half / np.where(largest == 0, np.float16(1), largest)
    assert quotients.dtype == np.float16
    return quotients.astype(np.float64)


def kernels_of(name, seed):
    """The population of one network, as the paper has it."""
    rows = network(seed)["conv.weight"].reshape(-1, 9)
    if name == "cvpr22":
        return in_half(rows)
    rows = rows.astype(np.float64)
    if name == "robust22":
        peaks = np.abs(rows).max(axis=1)
        return rows[~(peaks <= 0.01 * np.abs(rows).max())]
    return rows


@pytest.mark.parametrize("name", ["cvpr22", "robust22", "medical22"])
def test_preset_is_its_paper(name, folder):
    found = scan(folder, options(name))
    parts = [kernels_of(name, seed) for seed in range(3)]
    population = np.concatenate(parts)
    mean, components, ratio = reference.basis(population)
    np.testing.assert_allclose(found.basis.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.basis.components, components, atol=2e-4)
    c = (reference.normalized(population) - mean) @ components.T
    low, high = (-3, 3) if name == "medical22" else (c.min(), c.max())
    np.testing.assert_allclose(found.edges, np.linspace(low, high, 71), atol=1e-3)
    weights = np.full(9, 1 / 9) if name == "medical22" else ratio
    # In the basis and the edges of the scan, so that a kernel on the edge of a bin makes no difference.
    mean, components = np.asarray(found.basis.mean), np.asarray(found.basis.components)
    p = [
        reference.probabilities(
            reference.histograms(part, mean, components, found.edges), found.edges
        )
        for part in parts
    ]
    counts = found.histogram.sum(axis=2)[:, 0]
    assert counts.tolist() == [len(part) for part in parts]
    matrix = model_drift(found)
    for i in range(3):
        for j in range(3):
            expected = reference.drift(p[i], p[j], weights)
            assert matrix[i, j] == pytest.approx(expected, abs=1e-3, rel=2e-2)
    assert matrix[0, 2] > 0.1


def pipeline(parts):
    """D of every pair in float64, with a basis, a range and bins of its own."""
    population = np.concatenate(parts)
    mean = population.mean(axis=0)
    _, s, components = np.linalg.svd(population - mean, full_matrices=False)
    # As the scan orients them: the entry of largest magnitude is positive.
    components *= np.sign(components[np.arange(9), np.abs(components).argmax(axis=1)])[:, None]
    coefficients = [(part - mean) @ components.T for part in parts]
    together = np.concatenate(coefficients)
    edges = np.linspace(together.min(), together.max(), 71)
    p = [
        reference.probabilities(np.stack([np.histogram(x, edges)[0] for x in c.T]), edges)
        for c in coefficients
    ]
    ratio = s**2 / (s**2).sum()
    return np.array([[reference.drift(a, b, ratio) for b in p] for a in p])


@pytest.mark.parametrize("engine", ["local", "host"])
def test_cvpr22_divides_in_float16(folder, engine):
    matrix = model_drift(scan(folder, options("cvpr22"), engine=engine))
    parts = [kernels_of("cvpr22", seed) for seed in range(3)]
    np.testing.assert_allclose(matrix, pipeline(parts), atol=1e-5)
    rows = [network(seed)["conv.weight"].reshape(-1, 9).astype(np.float16) for seed in range(3)]
    in_float32 = pipeline([reference.normalized(part.astype(np.float64)) for part in rows])
    assert np.abs(in_float32 - matrix).max() > 1e-4


def test_a_kernel_on_the_limit_is_sparse_in_robust22_alone(tmp_path):
    weights = np.ones((4, 4, 3, 3), np.float32)
    weights[0, :3] = 2**-6
    save_file({"conv.weight": weights}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    sparse = {
        strict: scan(tmp_path, Options(sparse_eps=2**-6, sparse_strict=strict)).layer_table[
            "n_sparse"
        ]
        for strict in (True, False)
    }
    assert {strict: n.to_pylist() for strict, n in sparse.items()} == {True: [0], False: [3]}


def test_float16_of_weights_beyond_its_range_stays_finite(tmp_path):
    weights = network(1)["conv.weight"] * np.float32(1e4)
    save_file({"conv.weight": weights}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = scan(tmp_path, Options(dtype="float16"))
    assert found.histogram.sum() == 9 * weights.shape[0] * weights.shape[1]
    assert np.isfinite(found.moments["normalized"].scatter).all()
