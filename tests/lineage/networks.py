"""Made networks as the room sees them: names, shapes and sketches."""

from collections.abc import Mapping, Sequence

import numpy as np

from jfilters.lineage import Networks
from jfilters.lineage.internal import Sketcher

SHAPES = ((16, 3, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3))

Weights = list[np.ndarray]


def fresh(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]] = SHAPES) -> Weights:
    """Independent normal weights."""
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def trained(rng: np.random.Generator, weights: Weights, step: float = 0.3) -> Weights:
    """The weights after a random step of this size."""
    return [w + np.float32(step) * rng.normal(size=w.shape).astype(np.float32) for w in weights]


def as_networks(
    weights: Mapping[str, Weights], layers: Mapping[str, Sequence[str]] | None = None
) -> Networks:
    """The networks of these weights; layers are called l0, l1, ... where they have no other names."""
    sketcher = Sketcher([len(w) for w in weights.values()])
    flat = list(sketcher.watch(w for network in weights.values() for w in network))
    names = [
        name
        for network, w in weights.items()
        for name in (layers or {}).get(network, [f"l{i}" for i in range(len(w))])
    ]
    owner = np.repeat(np.arange(len(weights)), [len(w) for w in weights.values()])
    sums = [[np.abs(w).sum(), np.sqrt(np.square(w).sum()), np.abs(w).max()] for w in flat]
    return Networks(
        list(weights),
        names,
        [w.shape for w in flat],
        owner,
        np.array(sums, np.float64).reshape(-1, 3),
        sketcher.sketches(),
    )
