"""The known divergences against numerical integration, and the table against made-up estimates."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from benchmarks.calibration import (
    FACES,
    SCALE,
    SHIFT,
    calibrated,
    gaussian_kl,
    logistic_kl,
    markdown,
)
from jfilters.density import Divergences


@pytest.mark.parametrize(
    ("family", "found"), [(scipy.stats.logistic, logistic_kl()), (scipy.stats.norm, gaussian_kl())]
)
def test_known_divergences(family, found):
    first, second = family(0, SCALE), family(SHIFT, SCALE)
    expected, _ = scipy.integrate.quad(
        lambda x: first.pdf(x) * (first.logpdf(x) - second.logpdf(x)), -20, 20, points=(0, SHIFT)
    )
    assert found == pytest.approx(expected, rel=1e-6)


def estimates(of_taps, *, off):
    """Two sets of each population, every estimate so many errors of 0.1 off."""
    first, second = FACES
    forward, backward = (
        np.sum(first * np.log(first / second)),
        np.sum(second * np.log(second / first)),
    )
    kl = np.zeros((4, 4))
    kl[:2, 2:], kl[2:, :2] = forward + of_taps, backward + of_taps
    error = np.full((4, 4), 0.1)
    jeffreys = kl + kl.T
    return Divergences(
        kl + off * error, error, jeffreys + off * error, error, np.zeros(4), np.zeros(4)
    )


@pytest.mark.parametrize(("off", "within"), [(0.0, 1.0), (1.5, 1.0), (-2.5, 0.0)])
def test_how_many_errors_off(off, within):
    rows = list(calibrated(estimates(0.3, off=off), 2, 0.3))
    assert [row["pairs"] for row in rows] == [2, 4, 4, 4, 4]
    for row in rows:
        assert row["errors_off"] == pytest.approx(off)
        assert row["within_2"] == within
        assert row["mean"] == pytest.approx(row["true"] + 0.1 * off)
    assert [row["told_apart"] for row in rows] == [0, 0, 1, float(off >= 0), float(off >= 0)]


def test_the_table_has_a_line_for_each(tmp_path):
    rows = [{"population": "logistic"} | row for row in calibrated(estimates(0.3, off=1), 2, 0.3)]
    text = markdown(rows, {"sets": 2, "kernels": 100, "seconds": 3})
    assert text.count("| logistic |") == 5
    assert "| +1.00 | 100% |" in text
