"""The drift matrix of 647 models from their histograms, beside loops over SciPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from jfilters.shift import drift_matrix, probability
from jfilters.statistics import fixed_edges

from . import _peers
from ._timing import Row, side_by_side

MODELS, TAPS = 647, 9
PAIRS = MODELS * (MODELS - 1) // 2
RATIO = np.geomspace(1, 0.05, TAPS) / np.geomspace(1, 0.05, TAPS).sum()
WITHIN = 1e-9


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Two ways to write the loop: component by component, and over all components of a pair at once."""
    counts, runs = random_counts(), 1 if quick else 5
    by_component = "a loop over pairs and components, scipy.stats.entropy"
    by_pair = "a loop over pairs, scipy.special.rel_entr of all components"
    return [
        beside(counts, _peers.drift_by_entropy, by_component, sample=200, runs=runs, target=10_000),
        beside(counts, _peers.drift_by_rel_entr, by_pair, sample=5_000, runs=runs),
    ]


def beside(
    counts: np.ndarray,
    loop: Callable[..., float],
    peer: str,
    *,
    sample: int,
    runs: int,
    target: float | None = None,
) -> Row:
    """The matrix beside a loop that takes each unordered pair once: a sample of them, scaled to all."""
    edges = fixed_edges(TAPS)
    p = np.asarray(probability(counts, edges))
    rng = np.random.default_rng(1)
    pairs = [tuple(rng.choice(MODELS, 2, replace=False)) for _ in range(sample)]
    check(p, loop, pairs)
    return side_by_side(
        f"drift matrix of {MODELS} models from their histograms",
        lambda: drift_matrix(np.asarray(probability(counts, edges)), RATIO),
        lambda: [loop(p[i], p[j], RATIO) for i, j in pairs],
        peer=peer,
        runs=runs,
        least_ratio=target,
        share=sample / PAIRS,
        note=f"the loop over {sample:,} of the {PAIRS:,} pairs, times {PAIRS / sample:,.0f}",
    )


def random_counts() -> np.ndarray:
    """Histograms (647, 9, 70) of models of a thousand to three million kernels, no two alike."""
    rng = np.random.default_rng(0)
    edges = fixed_edges(TAPS)
    centers = (edges[1:] + edges[:-1]) / 2
    widths = rng.uniform(0.2, 0.9, (MODELS, TAPS, 1))
    density = np.exp(-0.5 * (centers / widths) ** 2)
    sizes = 10 ** rng.uniform(3, 6.5, (MODELS, 1))
    return rng.multinomial(sizes.astype(np.int64), density / density.sum(axis=-1, keepdims=True))


def check(p: np.ndarray, loop: Callable[..., float], pairs: list[tuple[int, int]]) -> None:
    """D(P, P) = 0 exactly, and the loop's number for each of the pairs."""
    matrix = drift_matrix(p, RATIO)
    assert (np.diagonal(matrix) == 0).all()
    ours = [matrix[pair] for pair in pairs]
    theirs = [loop(p[i], p[j], RATIO) for i, j in pairs]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=WITHIN)
