"""Log-likelihood of the kernels of each layer of a checkpoint under a density: its least usual layers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..answers import Answer
from ..converters import Location, StoredLayer, open_checkpoint
from ..density.internal import seeded_scores

MOST_OF_A_LAYER = 4_000
"""Kernels of one layer that are scored, sampled evenly: its mean is then exact to hundredths of a nat."""


@dataclass(frozen=True)
class LayerScore:
    """Mean log-density of one layer, in nats per kernel, with its standard error.

    - `layer`, `depth`: its name, and its place in the network from 0.
    - `kernels`, `scored`: all of its kernels, and how many were scored.
    - `zero`: those of the scored that are all zero and have no likelihood.
    - `nats`, `error`: mean and standard error; None where fewer than two kernels have a likelihood.
    """

    layer: str
    depth: int
    kernels: int
    scored: int
    zero: int
    nats: float | None
    error: float | None


class LayerScores(tuple[LayerScore, ...], Answer):
    """Scores of the layers of a checkpoint under a density, in their order; a tuple of `LayerScore`.

    A layer with a low mean has kernels that the density makes unlikely. Means of different sizes of
    kernels do not compare. `record()` and `rows()` have one record a layer, in nats per kernel.
    """

    def record(self) -> list[dict[str, Any]]:
        """Return one record a layer."""
        return [vars(score).copy() for score in self]


def density_scores(
    density: Any,
    file: str | Location,
    spatial: tuple[int, ...],
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
    seed: int = 0,
) -> LayerScores:
    """The layers of a checkpoint with kernels of this shape, in their order, scored under a density.

    Kernels with a NaN or an infinity are left out. `axes`, `network` and `standardize` are those of
    `open_checkpoint`.

    Raises CheckpointError for a checkpoint that cannot be read, ValueError for one without such kernels.
    """
    checkpoint = open_checkpoint(file, axes=axes, network=network, standardize=standardize)
    layers = [layer for layer in checkpoint.layers if layer.shape[2:] == spatial]
    if not layers:
        size = "x".join(map(str, spatial))
        raise ValueError(f"{file}: expected {size} convolutions, as the density is of, found none")
    rng = np.random.default_rng(seed)
    samples = [_drawn(rng, layer) for layer in layers]
    nats = seeded_scores(density, np.concatenate(samples), seed=seed)
    parts = np.split(nats, np.cumsum([len(rows) for rows in samples])[:-1])
    return LayerScores(_scored(layer, part) for layer, part in zip(layers, parts, strict=True))


def _drawn(rng: np.random.Generator, layer: StoredLayer) -> Float[np.ndarray, "n d"]:
    weight = layer.read()
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    if len(rows) > MOST_OF_A_LAYER:
        rows = rows[np.sort(rng.choice(len(rows), MOST_OF_A_LAYER, replace=False))]
    return rows[np.isfinite(rows).all(axis=1)].astype(np.float64)


def _scored(layer: StoredLayer, nats: Float[np.ndarray, " n"]) -> LayerScore:
    scores = nats[~np.isnan(nats)]
    enough = len(scores) > 1
    return LayerScore(
        layer.layer.name,
        layer.layer.depth,
        layer.shape[0] * layer.shape[1],
        len(nats),
        len(nats) - len(scores),
        float(scores.mean()) if enough else None,
        float(scores.std(ddof=1) / np.sqrt(len(scores))) if enough else None,
    )
