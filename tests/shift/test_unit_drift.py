"""Drift between populations of units: plain loops, laws, and what its interval holds."""

import numpy as np
import pytest

from jfilters.shift import drift, probability, unit_drift

from .units import EDGES, RATIO, features, histograms, pair_statistic

SIZES = [400, 900, 2_000, 5_000, 700, 300, 8_000, 1_000]
GROUP = np.array([0, 0, 0, 0, 1, 1, 1, 1])
UNIT = np.arange(8)


@pytest.fixture(scope="module")
def counts():
    return np.concatenate([histograms(0, SIZES[:4]), histograms(1, SIZES[4:], shift=0.4)])


def test_is_the_mean_over_pairs_of_units(counts):
    expected = pair_statistic(features(counts, 0.01), UNIT, GROUP, 0, 1)
    assert unit_drift(counts, UNIT, GROUP, RATIO).value == pytest.approx(expected)


def test_parts_of_one_unit_never_meet(counts):
    unit = np.array([0, 1, 2, 3, 0, 1, 2, 4])
    expected = pair_statistic(features(counts, 0.01), unit, GROUP, 0, 1)
    assert unit_drift(counts, unit, GROUP, RATIO).value == pytest.approx(expected)


def test_layers_of_a_unit_are_added(counts):
    halves = np.concatenate([counts // 2, counts - counts // 2])
    twice = unit_drift(halves, np.tile(UNIT, 2), np.tile(GROUP, 2), RATIO)
    assert twice == pytest.approx(unit_drift(counts, UNIT, GROUP, RATIO))


def test_groups_are_alike(counts):
    first, second = (unit_drift(counts, UNIT, group, RATIO) for group in (GROUP, 1 - GROUP))
    assert first == pytest.approx(second)


def test_is_zero_in_the_mean_whatever_the_sizes():
    values = [
        unit_drift(
            np.concatenate([histograms(s, [100] * 5), histograms(s + 999, [9_000] * 5)]),
            np.arange(10),
            np.repeat([0, 1], 5),
            RATIO,
        ).value
        for s in range(200)
    ]
    assert abs(np.mean(values)) <= 3.5 * np.std(values) / np.sqrt(200)


def test_is_drift_to_second_order():
    first, second = (histograms(0, [10**6] * 4, shift=shift, scatter=0.0) for shift in (0.0, 0.12))
    found = unit_drift(np.concatenate([first, second]), UNIT, GROUP, RATIO).value
    p, q = (probability(x.sum(axis=0), EDGES) for x in (first, second))
    assert found == pytest.approx(float(drift(p, q, RATIO)), rel=0.1)


def test_interval_holds_the_expected_value():
    answers = [
        unit_drift(
            np.concatenate([histograms(s, [2_000] * 8), histograms(s + 999, [500] * 8, shift=0.5)]),
            np.arange(16),
            np.repeat([0, 1], 8),
            RATIO,
        )
        for s in range(200)
    ]
    value, low, high = np.array(answers).T
    assert 0.90 <= np.mean((low <= value.mean()) & (value.mean() <= high)) <= 0.985
    assert (low < value).all()
    assert (value < high).all()


@pytest.mark.parametrize(("units", "has_interval"), [(2, False), (3, True)])
def test_an_interval_needs_three_units_a_group(counts, units, has_interval):
    places = [*range(units), 4, 5, 6]
    found = unit_drift(counts[places], UNIT[places], GROUP[places], RATIO)
    assert (found.low is not None) == (found.high is not None) == has_interval


def test_one_unit_tells_nothing_of_its_kind(counts):
    assert unit_drift(counts[3:], UNIT[3:], GROUP[3:], RATIO) is None


def test_equal_units_have_no_width(counts):
    same = np.repeat(counts[:1], 8, axis=0)
    assert unit_drift(same, UNIT, GROUP, RATIO) == pytest.approx((0, 0, 0), abs=1e-12)
