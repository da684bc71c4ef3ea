"""The host backend of the passes gives what the device's gives, for any weights and options."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jfilters.engine import Options
from jfilters.engine import _host as host
from jfilters.engine import _stream as device
from jfilters.engine._bins import Bins, Pass
from jfilters.errors import CheckpointError
from jfilters.scans.internal import LayerStatistics, pooled_moments
from jfilters.statistics import fit_basis, fixed_edges

OPTIONS = {
    "default": Options(),
    "clean": Options(population="clean"),
    "float16": Options(dtype="float16"),
    "<=": Options(sparse_strict=False),
    "no quality": Options(quality=False),
}
EXACT = ("n_finite", "n_nonfinite", "n_zero", "n_sparse", "n_below", "max_abs")


def layers(seed, scale=1.0):
    """Weights with zero, sparse and not finite kernels, of two sizes."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((n, 6, 3, 3)).astype(np.float32) for n in (8, 40)]
    weights[0][0] = 0
    weights[0][1, 1] *= 1e-4
    weights[1][3, 2, 0, 0] = np.nan
    return [weight * np.float32(scale) for weight in weights]


def measured(backend, weights, purpose):
    statistics = LayerStatistics.empty(len(weights), 9, purpose.options.bins)
    indices = list(backend.collect([(0, statistics, iter(weights))], purpose, fail))
    assert indices == [0]
    return statistics


def fail(index, error):
    raise error


def basis_of(weights):
    first = measured(host, weights, Pass(Options(), first=True))
    return fit_basis(pooled_moments(first.normalized))


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=4)
@given(seed=st.integers(0, 9), scale=st.sampled_from([1.0, 1e-35, 1e30]))
def test_moments_and_counts(name, seed, scale):
    weights = layers(seed, scale)
    purpose = Pass(OPTIONS[name], first=True)
    ours, theirs = (measured(backend, weights, purpose) for backend in (host, device))
    for field in EXACT:
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field), field)
    for field in ("sum_abs", "orthogonality"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-4)
    for field in ("normalized", "raw", "clean"):
        a, b = getattr(ours, field), getattr(theirs, field)
        np.testing.assert_array_equal(a.count, b.count)
        unit = 1.0 if field == "normalized" else max(float(ours.max_abs.max()), 1e-300)
        np.testing.assert_allclose(a.mean / unit, b.mean / unit, atol=1e-5)
        np.testing.assert_allclose(a.scatter / unit**2, b.scatter / unit**2, atol=2e-3)


@pytest.mark.parametrize("name", OPTIONS)
def test_histograms(name):
    weights = layers(3)
    basis = basis_of(weights)
    purpose = Pass(OPTIONS[name], bins=Bins(basis, fixed_edges(9, 70)))
    for field in ("histogram", "sparse_histogram", "n_outside"):
        ours, theirs = (
            getattr(_counted(backend, weights, purpose), field) for backend in (host, device)
        )
        # A coefficient on an edge may fall to either side of it, by the rounding of its product.
        assert np.abs(ours - theirs).sum() <= 0.002 * max(theirs.sum(), 1), field
        np.testing.assert_array_equal(ours.sum(axis=-1), theirs.sum(axis=-1))


def _counted(backend, weights, purpose):
    first = measured(host, weights, dataclasses.replace(purpose, first=True, bins=None))
    list(backend.collect([(0, first, iter(weights))], purpose, fail))
    return first


def test_the_range_of_coefficients():
    weights = layers(5)
    basis, ranges = basis_of(weights), []
    for backend in (host, device):
        statistics = measured(host, weights, Pass(Options(), first=True))
        checkpoints = [(0, statistics, iter(weights))]
        ranges.append(backend.coefficient_range(checkpoints, Options(), basis, fail))
    np.testing.assert_allclose(ranges[0], ranges[1], rtol=1e-5)


@pytest.mark.parametrize("backend", [host, device], ids=["host", "device"])
def test_a_checkpoint_that_fails_is_reported_and_not_yielded(backend):
    def broken():
        yield layers(0)[0]
        raise CheckpointError("cut")

    failures = []
    statistics = LayerStatistics.empty(2, 9, 70)
    purpose = Pass(Options(), first=True)
    indices = list(
        backend.collect([(7, statistics, broken())], purpose, lambda i, error: failures.append(i))
    )
    assert (indices, failures) == ([], [7])
