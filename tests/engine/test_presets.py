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


def kernels_of(name, seed):
    """The population of one network, as the paper has it."""
    rows = network(seed)["conv.weight"].reshape(-1, 9)
    if name == "cvpr22":
        return rows.astype(np.float16).astype(np.float64)
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
