"""Orthogonality by bands: the same number by BLAS and in a device's tiles, of layers of any shape."""

import jax
import numpy as np
import pytest

from jfilters.engine._orthogonality import SMALL, tiled_orthogonality

from . import reference

SHAPES = [
    (65, 60, 3, 3),
    (256, 256, 3, 3),
    (257, 40, 3, 3),  # a second band of one row
    (300, 600, 3, 3),  # two bands of two tiles
    (600, 513, 3, 3),
    (130, 700, 1, 1),
]
FEW_WEIGHTS = [(257, 1, 3, 3), (288, 1, 3, 3), (600, 2, 1, 1), (512, 4, 1, 1), (24, 1, 3, 3)]
"""Layers that NumPy would multiply at once, depthwise ones of more than one band among them."""


@pytest.fixture(params=["host", "device"])
def where(request, monkeypatch):
    if request.param == "device":
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1, 1e-20, 1e25])
def test_against_float64(where, shape, scale):
    weight = np.random.default_rng(0).standard_normal(shape, np.float32)
    weight[1] = 0
    weight *= np.float32(scale)
    assert weight.size * len(weight) > SMALL
    expected = reference.orthogonality(weight.astype(np.float64))
    assert tiled_orthogonality(weight) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", FEW_WEIGHTS)
def test_few_weights_against_float64(where, shape):
    weight = np.random.default_rng(0).standard_normal(shape, np.float32)
    weight[1] = 0
    assert weight.size * len(weight) <= 2 * SMALL
    expected = reference.orthogonality(weight.astype(np.float64))
    assert tiled_orthogonality(weight) == pytest.approx(expected, abs=1e-6)
