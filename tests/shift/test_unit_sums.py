"""Sums of units by a product against sums by choice."""

import numpy as np
import pytest

from jfilters.shift._unit_sums import unit_sums

LARGE = 2**24

RNG = np.random.default_rng(0)
ROWS = {
    "counts": RNG.poisson(3, (7, 12)),
    "counts that float32 does not hold": RNG.poisson(3, (7, 12)) + LARGE,
    "sums that float32 does not hold": np.full((7, 12), LARGE // 4 + 1),
    "of both signs": RNG.integers(-9, 9, (7, 12)),
    "weighted": RNG.random((7, 12)),
    "with empty features": RNG.poisson(3, (7, 12)) * (np.arange(12) % 3 > 0),
    "empty": np.zeros((7, 12), np.int64),
}


@pytest.mark.parametrize("name", ROWS)
def test_sums_are_those_of_the_chosen_rows(name):
    rows = ROWS[name]
    chosen = RNG.random((20, 7)) < 0.5
    expected = [rows[choice].sum(axis=0) for choice in chosen]
    np.testing.assert_allclose(unit_sums(rows)(chosen), expected, rtol=1e-14)
    if rows.dtype == np.int64:
        np.testing.assert_array_equal(unit_sums(rows)(chosen), expected)
