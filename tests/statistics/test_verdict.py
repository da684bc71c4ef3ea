import math

import pytest

from jfilters.statistics import VERDICTS, judge, randomness_threshold

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


@pytest.mark.parametrize(("n", "word"), [(9, "healthy"), (4096, "healthy"), (8, "too-few-kernels")])
def test_takes_the_threshold_as_it_comes(n, word):
    threshold = float(randomness_threshold(n, 9))
    changes = {"n_kernels": n, "threshold": threshold, "variance_entropy": 0.52}
    assert judge(**(SOUND | changes)).label == word
