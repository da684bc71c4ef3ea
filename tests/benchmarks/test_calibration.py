"""The known divergences against numerical integration, and the table against made-up estimates."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from benchmarks import calibration
from benchmarks.calibration import (
    FACES,
    FAMILIES,
    SCALE,
    SHIFT,
    gaussian_kl,
    independent,
    logistic_kl,
    markdown,
    population,
    truth,
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


def test_j_is_the_sum_of_faces_and_taps():
    true = truth(0.3)
    faces = scipy.stats.entropy(*FACES), scipy.stats.entropy(*FACES[::-1])
    assert true["KL of first"] == pytest.approx(faces[0] + 0.3)
    assert true["KL of second"] == pytest.approx(faces[1] + 0.3)
    assert true["J, two populations"] == pytest.approx(sum(faces) + 0.6)


def table(*, off):
    """Estimates of four sets of each population, every one so many errors of 0.1 off."""
    true = truth(0.3)
    kl = np.zeros((8, 8))
    kl[:4, 4:], kl[4:, :4] = true["KL of first"], true["KL of second"]
    error = np.full((8, 8), 0.1)
    jeffreys = kl + kl.T
    return Divergences(
        kl + off * error, error, jeffreys + off * error, error, np.zeros(8), np.zeros(8)
    )


def test_no_two_pairs_share_a_set():
    places = np.arange(100.0).reshape(10, 10)
    found = independent(Divergences(places, places, places, places, places[0], places[0]), 5)
    for values, _ in found.values():
        sets = np.concatenate(np.divmod(values, 10))
        assert len(sets) == len(set(sets))
    # Of an odd number the last set of a population has no partner in it.
    assert [len(values) for values, _ in found.values()] == [4, 4, 5, 5, 5]
    first, second = np.divmod(found["J, one population"][0], 10)
    assert ((first < 5) == (second < 5)).all()


@pytest.mark.parametrize(("off", "within"), [(0.0, 1.0), (1.5, 1.0), (-2.5, 0.0)])
def test_how_many_errors_off(monkeypatch, off, within):
    monkeypatch.setitem(FAMILIES, "made up", (FAMILIES["Gaussian"][0], 0.3 / 8))
    monkeypatch.setattr(calibration, "divergences", lambda key, sets: table(off=off))
    rows = calibration.calibration("made up", 100, 8)
    assert [row["pairs"] for row in rows] == [8] * 5
    for row in rows:
        assert row["z_mean"] == pytest.approx(off)
        assert row["z_deviation"] == pytest.approx(0, abs=1e-9)
        assert row["within_2"] == within
        assert row["mean"] == pytest.approx(row["true"] + 0.1 * off)
    assert [row["told_apart"] for row in rows] == [0, 0, 1, float(off >= 0), float(off >= 0)]


def test_sets_of_one_call_and_of_two_calls_differ():
    draw, _ = FAMILIES["logistic"]
    sets = np.concatenate([population(draw, 2, 50, seed=seed) for seed in range(2)])
    assert len(np.unique(sets.reshape(8, -1), axis=0)) == 8


def test_the_table_has_a_line_for_each(monkeypatch):
    monkeypatch.setattr(calibration, "divergences", lambda key, sets: table(off=1))
    rows = [
        {"population": "logistic", "kernels": 100, **row}
        for row in calibration.calibration("logistic", 100, 4)
    ]
    text = markdown(rows, {"seconds": 3})
    assert text.count("| logistic | 100 |") == 5
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {13}
