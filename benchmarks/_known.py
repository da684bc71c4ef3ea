"""The designs on which nulls, power and intervals of drift are tried, by name."""

from functools import partial

import numpy as np

from ._designs import Design, Layers, families, full, layered, log_uniform, mixed, several, whole

EQUAL = full(2000, 10), full(2000, 10)
UNEQUAL = full(6000, 10), full(400, 10)


def nulls() -> dict[str, Design]:
    """Return designs in which nothing differs."""
    designs: dict[str, Design] = {}
    for h in (0.0, 0.03, 0.1):
        of_sizes = {
            "10 v 10 equal": EQUAL,
            "10 large v 10 small": UNEQUAL,
            "8 large + 2 small v 2 + 8": (
                np.repeat([6000, 400], [8, 2]),
                np.repeat([6000, 400], [2, 8]),
            ),
            "4 small v 16 large": (full(400, 4), full(6000, 16)),
            "4 large v 16 small": (full(6000, 4), full(400, 16)),
            "2 small v 30 large": (full(400, 2), full(6000, 30)),
            "2 large v 30 small": (full(6000, 2), full(400, 30)),
        }
        for name, sizes in of_sizes.items():
            designs[f"{name}, scatter {h}"] = partial(_whole, sizes=sizes, scatter=h)
        designs[f"10 v 10 over three decades, smaller half first, scatter {h}"] = partial(
            _decades, scatter=h, effect=0.0, is_sorted=True
        )
    designs |= {
        "3 v 3, small v large": partial(_whole, sizes=(full(400, 3), full(6000, 3)), scatter=0.1),
        "4 v 4, small v large": partial(_whole, sizes=(full(400, 4), full(6000, 4)), scatter=0.1),
        "1 v 25": partial(_whole, sizes=(full(400, 1), full(6000, 25)), scatter=0.1),
        "6 v 6 runs of 5 steps": partial(_runs, steps=5),
        "27 families, labels by chance": partial(families, by_size=False),
        "27 families, large ones first": partial(families, by_size=True),
        "4 units in both groups + 6 v 6": partial(mixed, varying=4, constant=6),
        "8 units in both groups + 6 v 6": partial(mixed, varying=8, constant=6),
    }
    for s in (0.0, 0.03, 0.1):
        for models in (6, 20):
            designs[f"first of 18 layers, {models} models, scatter of layers {s}"] = partial(
                layered, models=models, layers=18, scatter=0.05, of_layers=s
            )
    deep = partial(layered, scatter=0.05)
    return designs | {
        "first of 36 layers, 8 models, neighbors alike": partial(
            deep, models=8, layers=36, of_layers=0.1, alike=0.8
        ),
        "first of 10 layers, 8 families of 3": partial(
            deep, models=24, layers=10, of_layers=0.1, alike=0.8, family=3
        ),
        "tenth 1 v 10 of 36 layers, 8 models": partial(
            deep, models=8, layers=36, of_layers=0.1, tenths=2
        ),
        "tenth 1 v 10, 8 models, neighbors alike": partial(
            deep, models=8, layers=36, of_layers=0.1, tenths=2, alike=0.8
        ),
        "tenth 1 v 10, 20 models, no scatter of layers": partial(
            deep, models=20, layers=36, of_layers=0.0, tenths=2
        ),
        "all ten tenths at once, 10 models": partial(
            deep, models=10, layers=36, of_layers=0.1, tenths=10
        ),
        "all ten tenths at once, 10 models, neighbors alike": partial(
            deep, models=10, layers=36, of_layers=0.1, tenths=10, alike=0.8
        ),
        "4 groups at once, 5 units each, sizes with labels": partial(
            several, sizes=[[400] * 5, [2000] * 5, [6000] * 5, [20000] * 5], scatter=0.1
        ),
        "4 groups at once, 2 to 12 units, one law": partial(
            several, sizes=[[400] * 2, [6000] * 12, [1000] * 4, [3000] * 6], scatter=0.0
        ),
    }


def powers() -> dict[str, Design]:
    """Return designs in which the first group differs."""
    return {
        "10 v 10 equal, scatter 0.1, D 0.006": partial(
            _whole, sizes=EQUAL, scatter=0.1, effect=0.05
        ),
        "10 v 10 equal, scatter 0.03, D 0.002": partial(
            _whole, sizes=EQUAL, scatter=0.03, effect=0.03
        ),
        "6 v 6 equal, D 0.025": partial(
            _whole, sizes=(full(2000, 6), full(2000, 6)), scatter=0.1, effect=0.1
        ),
        "4 v 16 equal, D 0.025": partial(
            _whole, sizes=(full(2000, 4), full(2000, 16)), scatter=0.1, effect=0.1
        ),
        "10 large v 10 small, D 0.024": partial(_whole, sizes=UNEQUAL, scatter=0.1, effect=0.1),
        "10 v 10 over three decades, D 0.025": partial(
            _decades, scatter=0.1, effect=0.1, is_sorted=False
        ),
        "10 v 10 over three decades, scatter 0.03, D 0.002": partial(
            _decades, scatter=0.03, effect=0.03, is_sorted=False
        ),
        "first of 18 layers, 10 models, D 0.026": partial(
            layered, models=10, layers=18, scatter=0.05, of_layers=0.1, effect=0.1
        ),
        "tenth 1 v 10, 8 models, D 0.006": partial(
            layered, models=8, layers=36, scatter=0.05, of_layers=0.1, tenths=2, effect=0.05
        ),
        "4 groups at once, 6 units each, one differs": partial(
            several, sizes=[[2000] * 6] * 4, scatter=0.1, effect=0.1
        ),
    }


def effects() -> dict[str, Design]:
    """Return designs of which the interval of U is tried."""
    return {
        "10 v 10 equal, nothing differs": partial(_whole, sizes=EQUAL, scatter=0.1),
        "10 v 10 equal": partial(_whole, sizes=EQUAL, scatter=0.1, effect=0.1),
        "10 v 10 equal, larger effect": partial(_whole, sizes=EQUAL, scatter=0.1, effect=0.2),
        "10 large v 10 small": partial(_whole, sizes=UNEQUAL, scatter=0.1, effect=0.1),
        "10 v 10 over three decades": partial(_decades, scatter=0.1, effect=0.1, is_sorted=False),
        "5 v 5 equal": partial(
            _whole, sizes=(full(2000, 5), full(2000, 5)), scatter=0.1, effect=0.1
        ),
        "4 v 16 equal": partial(
            _whole, sizes=(full(2000, 4), full(2000, 16)), scatter=0.1, effect=0.1
        ),
        "first of 18 layers, 10 models": partial(
            layered, models=10, layers=18, scatter=0.05, of_layers=0.1, effect=0.1
        ),
    }


def _whole(
    rng: np.random.Generator,
    sizes: tuple[np.ndarray, np.ndarray],
    scatter: float,
    effect: float = 0.0,
) -> Layers:
    return whole(rng, *sizes, scatter, effect)


def _decades(rng: np.random.Generator, scatter: float, effect: float, *, is_sorted: bool) -> Layers:
    sizes = log_uniform(rng, 20)
    sizes = sizes if is_sorted else rng.permutation(sizes)
    return whole(rng, sizes[:10], sizes[10:], scatter, effect)


def _runs(rng: np.random.Generator, steps: int) -> Layers:
    return whole(rng, full(5000, 6), full(5000, 6), 0.1, members=full(steps, 12), inside=0.02)
