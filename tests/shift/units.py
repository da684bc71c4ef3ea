"""Layers of units with known laws, and the statistic U as plain loops over pairs of parts."""

import itertools

import numpy as np

D, BINS = 3, 8
EDGES = np.linspace(-2, 2, BINS + 1)
RATIO = np.array([0.6, 0.3, 0.1])


def histograms(seed, sizes, shift=0.0, scatter=0.3):
    """One histogram a unit, with a law of its own around a common one."""
    rng = np.random.default_rng(seed)
    centers = (EDGES[1:] + EDGES[:-1]) / 2
    own = shift + scatter * rng.normal(size=(len(sizes), D, 1))
    weights = np.exp(-((centers - own) ** 2))
    probabilities = weights / weights.sum(axis=-1, keepdims=True)
    return rng.multinomial(np.asarray(sizes)[:, None], probabilities)


def features(counts, ridge=0.1):
    p = counts / counts.sum(axis=-1, keepdims=True)
    pooled = counts.sum(axis=0)
    share = pooled / pooled.sum(axis=-1, keepdims=True)
    return (p * np.sqrt(RATIO[:, None] / (share + ridge / BINS))).reshape(len(counts), -1)


def pair_statistic(rows, unit, group, a, b):
    """U between groups a and b, over all pairs of parts of different units."""

    def mean(first, second):
        products = [
            rows[i] @ rows[j]
            for i in first
            for j in second
            if i != j and (unit[i] != unit[j] or group[i] == group[j])
        ]
        if not products:  # a single part stands for its missing mean
            return rows[first[0]] @ rows[second[0]] if first == second else 0.0
        return np.mean(products)

    of_a, of_b = ([i for i in range(len(group)) if group[i] == g] for g in (a, b))
    return mean(of_a, of_a) + mean(of_b, of_b) - 2 * mean(of_a, of_b)


def statistic(rows, unit, group):
    """The sum of U over all pairs of groups."""
    groups = sorted(set(np.asarray(group).tolist()))
    return sum(
        pair_statistic(rows, unit, group, a, b) for a, b in itertools.combinations(groups, 2)
    )
