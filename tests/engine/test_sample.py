"""The kernels that a scan keeps, and what it counts for sparse ones apart."""

import numpy as np
import pytest
import safetensors.numpy
from safetensors.numpy import save_file

from jfilters.engine import Options, scan, scan_into
from jfilters.engine._run import measure_checkpoints
from jfilters.engine._sample import _completed
from jfilters.statistics.internal import EPSILONS

from . import reference

SIZES = {"a": (16, 3), "b": (40, 20)}


def weights(name, out, inner):
    rng = np.random.default_rng(sum(name.encode()) + out)
    w = rng.standard_normal((out, inner, 3, 3)) * 10.0 ** rng.uniform(-4, 0, (out, inner, 1, 1))
    return w.astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for model in ("one", "two"):
        arrays = {f"{name}.weight": weights(model + name, *size) for name, size in SIZES.items()}
        save_file(arrays, tmp_path / f"{model}.safetensors", metadata={"format": "pt"})
    return tmp_path


def layer_rows(folder):
    """The kernels of the layers, in the order of a scan."""
    for model in ("one", "two"):
        stored = safetensors.numpy.load_file(folder / f"{model}.safetensors")
        yield from (stored[f"{name}.weight"].reshape(-1, 9) for name in SIZES)


def test_sampled_kernels_are_kernels_of_their_layers_and_none_comes_twice(folder):
    found = measure_checkpoints(folder, Options(sample=100)).sample
    layers = list(layer_rows(folder))
    assert np.bincount(found.layer[found.is_even] // 2).tolist() == [100, 100]
    assert len(np.unique(found.kernels, axis=0)) == len(found.kernels)
    for kernel, layer in zip(found.kernels, found.layer, strict=True):
        assert (layers[layer] == kernel).all(axis=1).any()


def test_an_even_sample_holds_layers_in_proportion(folder):
    found = measure_checkpoints(folder, Options(sample=424)).sample
    even = found.layer[found.is_even]
    # 800 kernels of 848 lie in the second layer: a hypergeometric draw.
    share = (even[even < 2] == 1).mean()
    assert share == pytest.approx(800 / 848, abs=0.03)


@pytest.mark.parametrize("size", [1, 30, 5000])
def test_every_layer_has_64_kernels_and_first_layers_have_all(tmp_path, size):
    sizes = {"a": (16, 8), "b": (40, 20), "c": (3, 5), "d": (64, 64), "e": (10, 7)}
    arrays = {f"{name}.weight": weights(name, *shape) for name, shape in sizes.items()}
    save_file(arrays, tmp_path / "one.safetensors", metadata={"format": "pt"})
    found = scan(tmp_path, Options(sample=size))
    counts = np.array([out * inner for out, inner in sizes.values()])
    sampled = np.bincount(found.sample_layer, minlength=5)
    assert (sampled >= np.minimum(64, counts)).all()
    assert sampled[0] == counts[0]  # the first layer
    even = np.bincount(found.even_sample[1], minlength=5)
    assert even.sum() == min(size, counts.sum())
    assert (sampled == np.maximum(even, np.minimum([4096, 64, 64, 64, 64], counts))).all()


def test_what_completes_a_layer_is_drawn_from_all_of_it():
    rng = np.random.default_rng(0)
    taken = np.zeros(1000)
    for _ in range(300):
        drawn = _completed(rng, np.arange(0, 1000, 100), 1000, 64)
        assert drawn.is_even.sum() == 10
        taken[drawn.indices[~drawn.is_even]] += 1
    assert taken[::100].max() == 0
    others = np.delete(taken, np.arange(0, 1000, 100))
    assert others.mean() == pytest.approx(300 * 54 / 990)
    assert others.var() == pytest.approx(others.mean(), rel=0.25)


def test_even_kernels_stand_for_the_population_and_all_do_not(folder):
    """The mean of a model's kernels over its sample: small layers would weigh too much."""
    found = scan(folder, Options(sample=400))
    rows = np.concatenate(list(layer_rows(folder))[:2])
    share = 800 / 848
    even, all_ = (layer[layer < 2] for layer in (found.even_sample[1], found.sample_layer))
    assert abs((even == 1).mean() - share) < 0.03
    assert abs((all_ == 1).mean() - share) > 0.03
    assert len(rows) == 848


def test_a_sample_of_more_than_there_is_holds_all(folder):
    found = measure_checkpoints(folder, Options(sample=10_000)).sample
    np.testing.assert_array_equal(found.kernels, np.concatenate(list(layer_rows(folder))))


def test_a_sample_of_none_is_not_written(folder, tmp_path):
    scan(folder, Options(sample=0)).save(tmp_path / "out")
    arrays = safetensors.numpy.load_file(tmp_path / "out/arrays.safetensors")
    assert not {"sample", "sample.layer"} & set(arrays)


def test_a_sample_is_kept_between_scans_and_holds_no_nan(folder, tmp_path):
    arrays = safetensors.numpy.load_file(folder / "one.safetensors")
    arrays["b.weight"][:30] = np.nan
    save_file(arrays, folder / "one.safetensors", metadata={"format": "pt"})
    first, second = (scan_into(tmp_path / "out", folder) for _ in range(2))
    assert np.isfinite(first.sample).all()
    assert len(first.sample) < 2 * 848
    np.testing.assert_array_equal(first.sample, second.sample)
    np.testing.assert_array_equal(first.sample_layer, second.sample_layer)


def test_sparse_kernels_are_counted_apart_and_for_every_epsilon(folder):
    found = scan(folder)
    mean, components = np.asarray(found.basis.mean), np.asarray(found.basis.components)
    for row, rows in enumerate(layer_rows(folder)):
        rows = rows.astype(np.float64)
        sparse = reference.sparse(rows)
        assert 0 < sparse.sum() < len(rows)
        expected = reference.histograms(rows[sparse], mean, components, found.edges)
        got = found.sparse_histogram[row]
        assert got.sum(axis=1).tolist() == [sparse.sum()] * 9
        # A coefficient on the edge of a bin may fall on either side of it.
        assert np.abs(got - expected).sum() <= 4
        below = [reference.sparse(rows, eps).sum() for eps in EPSILONS]
        assert found.sparse_at[row].tolist() == below


def test_without_quality_sparse_kernels_are_not_counted(folder, tmp_path):
    scan(folder, Options(quality=False)).save(tmp_path / "out")
    arrays = safetensors.numpy.load_file(tmp_path / "out/arrays.safetensors")
    assert not {"sparse_histogram", "sparse_at"} & set(arrays)
