import numpy as np
import pytest

from jfilters.shift import drift, null_level, probability


def test_by_hand():
    level = null_level(100, 50, np.array([3, 5]), np.array([0.75, 0.25]))
    assert level == pytest.approx((0.75 * 2 + 0.25 * 4) * (1 / 100 + 1 / 50), rel=1e-14)


def test_is_the_mean_drift_of_samples_of_one_distribution():
    rng = np.random.default_rng(0)
    shares, ratio = rng.dirichlet(np.full(40, 5.0), size=2), np.array([0.7, 0.3])
    n, m, repeats = 50_000, 20_000, 10_000
    p, q = (
        probability(
            np.stack([rng.multinomial(size, share, repeats) for share in shares], axis=1),
            np.linspace(0, 1, 41),
        )
        for size in (n, m)
    )
    got = drift(p, q, ratio)
    noise = 4 * got.std() / np.sqrt(repeats)
    expected = null_level(n, m, np.array([40, 40]), ratio)
    assert abs(got.mean() - expected) < noise + 0.005 * expected
    assert noise < 0.01 * expected


def test_component_in_one_bin_adds_nothing():
    assert null_level(10, 10, np.array([1, 0]), np.array([0.5, 0.5])) == 0


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0), (-1, 5)])
def test_refuses_empty_sets(n, m):
    with pytest.raises(ValueError, match=f"at least one kernel, got {n} and {m}"):
        null_level(n, m, np.array([2]), np.array([1.0]))
