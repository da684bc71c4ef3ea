import math
from collections import Counter

import numpy as np
import pytest

from jfilters.statistics import VERDICTS, judge, randomness_threshold
from jfilters.statistics._randomness import random_entropy_deviation
from jfilters.statistics._verdict import (
    ENTROPY_SPREAD,
    LOW_ENTROPY,
    entropy_limit,
    entropy_margin,
)
from jfilters.statistics.internal import entropy_of_covariance

SOUND = {
    "n_kernels": 4096,
    "n_nonfinite": 0,
    "max_abs": 1.0,
    "sparsity": 0.01,
    "variance_entropy": 0.8,
    "threshold": 0.951,
    "d": 9,
}
NAN = math.nan
CASES = {
    "healthy": ({}, "healthy", "0.800 of random 0.951, sparsity 0.010"),
    "nan weights": ({"n_nonfinite": 3}, "non-finite", "3 of 4096 kernels"),
    "all zero": (
        {"max_abs": 0.0, "sparsity": 1.0, "variance_entropy": 0.0},
        "all-zero",
        "all 4096 kernels",
    ),
    "collapsed": (
        {"variance_entropy": 0.499, "sparsity": 0.14},
        "collapsed",
        "0.499 is below 0.500 and sparsity 0.140 is at least 0.14",
    ),
    "random": ({"variance_entropy": 0.931}, "random-like", "0.931 reaches 0.951, that of 4096"),
    "not quite random": ({"variance_entropy": 0.9309}, "healthy", "0.931 of random"),
    "random and sparse": ({"variance_entropy": 0.94, "sparsity": 0.5}, "random-like", "0.940"),
    "sparse": ({"sparsity": 0.14}, "sparse", "sparsity 0.140 is at least 0.14"),
    "not quite sparse": ({"sparsity": 0.1399}, "healthy", "0.140"),
    "low": ({"variance_entropy": 0.499}, "low-diversity", "0.499 is below 0.500"),
    "not quite low": ({"variance_entropy": 0.5}, "healthy", "0.500"),
    "few": ({"n_kernels": 8, "threshold": NAN}, "too-few-kernels", "8 kernels cannot fill 9"),
    "few and low": (
        {"n_kernels": 3, "variance_entropy": 0.2, "threshold": NAN},
        "too-few-kernels",
        "3 kernels",
    ),
    "few and sparse": (
        {"n_kernels": 3, "sparsity": 0.7, "variance_entropy": 0.2, "threshold": NAN},
        "sparse",
        "sparsity 0.700",
    ),
    "none": (
        {
            "n_kernels": 0,
            "max_abs": 0.0,
            "sparsity": NAN,
            "variance_entropy": NAN,
            "threshold": NAN,
        },
        "too-few-kernels",
        "0 kernels",
    ),
    "other d": (
        {"d": 4, "variance_entropy": 0.31, "threshold": 0.6},
        "low-diversity",
        "below 0.315",
    ),
    "d of 25": (
        {"d": 25, "variance_entropy": 0.63, "threshold": 1.39},
        "low-diversity",
        "below 0.732",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_verdict(case):
    changes, word, because = CASES[case]
    got = judge(**(SOUND | changes))
    assert got.label == word
    assert because in got.reason


def test_every_verdict_has_a_case():
    assert {word for _, word, _ in CASES.values()} == set(VERDICTS)


def test_most_worrying_first():
    assert VERDICTS == (
        "non-finite",
        "all-zero",
        "collapsed",
        "random-like",
        "sparse",
        "low-diversity",
        "too-few-kernels",
        "healthy",
    )


@pytest.mark.parametrize(
    ("n", "word", "reason"),
    [
        (4096, "healthy", "0.520 of random 0.951"),
        (8, "too-few-kernels", "8 kernels cannot fill 9"),
        (9, "too-few-kernels", "0.520 is within 0.262 of 0.361, the error for 9 kernels"),
        (45, "healthy", "0.520"),
    ],
)
def test_takes_the_threshold_as_it_comes(n, word, reason):
    threshold = float(randomness_threshold(n, 9))
    entropy = 0.75 if n == 45 else 0.52
    changes = {"n_kernels": n, "threshold": threshold, "variance_entropy": entropy}
    verdict = judge(**(SOUND | changes))
    assert verdict.label == word
    assert reason in verdict.reason or n == 45


def test_few_kernels_do_not_tell_what_is_random():
    words = {}
    for n in (46, 47):
        threshold = float(randomness_threshold(n, 9))
        changes = {"n_kernels": n, "threshold": threshold, "variance_entropy": threshold}
        words[n] = judge(**(SOUND | changes))
    assert words[46].label == "too-few-kernels"
    assert "46 kernels do not tell what is random" in words[46].reason
    assert words[47].label == "random-like"


def test_few_kernels_can_still_be_sparse():
    changes = {"n_kernels": 16, "variance_entropy": 0.45, "sparsity": 0.5, "threshold": 0.72}
    assert judge(**(SOUND | changes)).label == "sparse"


# One law each, of kernels with d taps: n kernels of many layers.

SHAPES = {3: (3,), 9: (3, 3), 25: (5, 5)}


def distances(d):
    axes = [np.arange(size) for size in SHAPES[d]]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(d, -1)
    return np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))


def smooth(rng, shape, length):
    """Gaussian kernels whose taps correlate over some `length` of taps."""
    d = shape[-1]
    covariance = np.exp(-distances(d) / length) + 1e-9 * np.eye(d)
    return rng.standard_normal(shape) @ np.linalg.cholesky(covariance).T


def scaled(rng, shape, length):
    """Smooth kernels of very different lengths, as channels have them."""
    return smooth(rng, shape, length) * np.exp(0.7 * rng.standard_normal((*shape[:2], 1)))


def spiky(rng, shape):
    return rng.standard_normal(shape) * (rng.random(shape) < 0.3)


LAWS = {
    "random": lambda rng, shape: rng.standard_normal(shape),
    "smooth": lambda rng, shape: smooth(rng, shape, 2),
    "very smooth": lambda rng, shape: smooth(rng, shape, 30),
    "smooth, heavy tails": lambda rng, shape: scaled(rng, shape, 1.5),
    "spiky": spiky,
}
LOW_LAWS = ("very smooth",)


def entropies(rng, law, n, d, layers):
    kernels = law(rng, (layers, n, d))
    centered = kernels - kernels.mean(axis=1, keepdims=True)
    return entropy_of_covariance(np.einsum("lni,lnj->lij", centered, centered) / (n - 1))


def shares(rng, law, n, d, layers):
    threshold = float(randomness_threshold(n, d))
    values = entropies(rng, LAWS[law], n, d, layers)
    labels = Counter(
        judge(
            **(SOUND | {"n_kernels": n, "d": d, "variance_entropy": h, "threshold": threshold})
        ).label
        for h in values.tolist()
    )
    return {label: count / layers for label, count in labels.items()}


@pytest.mark.parametrize("d", SHAPES)
@pytest.mark.parametrize("law", LAWS)
def test_the_share_of_a_verdict_does_not_depend_on_the_number_of_kernels(law, d):
    rng = np.random.default_rng(0)
    for n in (9, 16, 64, 256, 2048):
        if n < d:
            continue
        share = shares(rng, law, n, d, 25 if n > 256 else 100)
        low, few = share.get("low-diversity", 0), share.get("too-few-kernels", 0)
        if law in LOW_LAWS:
            assert low + few == 1, (n, share)
            assert n < 64 or low > 0.95, (n, share)
        else:
            assert low <= 0.05, (n, share)
        assert law == "random" or n > 46 or "random-like" not in share, (n, share)


def test_the_law_of_the_complaint():
    """21 of 25 layers of 9 kernels were of low diversity, and none of 4,096."""
    rng = np.random.default_rng(1)
    values = entropies(rng, LAWS["smooth"], 9, 9, 25)
    assert (values < LOW_ENTROPY).sum() >= 5
    assert "low-diversity" not in shares(rng, "smooth", 9, 9, 25)
    assert shares(rng, "smooth", 4096, 9, 25) == {"healthy": 1}


def test_the_spread_of_entropy_near_the_limit_refits():
    rng = np.random.default_rng(2)
    spreads = {}
    for d, length in ((3, 4.0), (9, 4.0), (25, 5.0)):
        for n in (64, 256):
            values = entropies(rng, lambda rng, shape, x=length: smooth(rng, shape, x), n, d, 800)
            assert abs(values.mean() - entropy_limit(n, d)) < 0.05
            scale = math.sqrt(math.log10(d) / math.log10(9))
            spreads[d, n] = values.std() * math.sqrt(n - 1) / scale
    np.testing.assert_allclose(list(spreads.values()), ENTROPY_SPREAD, rtol=0.15)


@pytest.mark.parametrize("d", SHAPES)
def test_the_deviation_of_random_entropy(d):
    rng = np.random.default_rng(3)
    values = entropies(rng, LAWS["random"], 100, d, 1000)
    assert values.std() == pytest.approx(random_entropy_deviation(100, d), rel=0.1)


def test_the_limit_of_many_kernels_is_the_published_one():
    assert entropy_limit(10**6, 9) == pytest.approx(LOW_ENTROPY, abs=1e-5)
    assert entropy_margin(10**6, 9) == 0
    assert math.isnan(entropy_limit(8, 9))
    assert entropy_margin(8, 9) == math.inf
