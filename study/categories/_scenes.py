"""Scenes whose mask is known because they were made with it: figures on a ground, and collages."""

from collections.abc import Callable

import numpy as np

from ._shape import SIDE

Draw = Callable[[int, str, np.random.Generator], tuple[np.ndarray, np.ndarray]]
INK = 0.4  # brightness from which a pixel is of the figure
SPECKLE = 0.05  # standard deviation of the noise on a ground


def figures_on_ground(draw: Draw) -> Draw:
    """Scenes of a drawn figure, lighter or darker than the uneven ground it lies on; mask: its ink."""

    def scenes(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        figures, _ = draw(count, part, rng)
        contrast = rng.uniform(0.25, 0.6, (count, 1, 1)) * rng.choice((-1, 1), (count, 1, 1))
        ground = 0.5 - contrast / 2 + _slopes(count, rng)
        speckle = rng.normal(0, SPECKLE, figures.shape)
        return (ground + contrast * figures + speckle).clip(0, 1), figures >= INK

    return scenes


def collages(draw_inside: Draw, draw_outside: Draw) -> Draw:
    """Scenes of one kind of image inside a region of another; mask: the region."""

    def scenes(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        regions = _ellipses(count, rng)
        inside, outside = draw_inside(count, part, rng)[0], draw_outside(count, part, rng)[0]
        return np.where(regions, inside, outside), regions

    return scenes


def _slopes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Planes (n, side, side) of any direction, up to 0.2 from the lowest to the highest on an axis."""
    line = np.linspace(-0.5, 0.5, SIDE)
    down, right = rng.uniform(-0.2, 0.2, (2, count, 1, 1))
    return down * line[:, None] + right * line


def _ellipses(count: int, rng: np.random.Generator) -> np.ndarray:
    """Masks (n, side, side) of ellipses that lie mostly inside the image."""
    center = rng.uniform(0.3, 0.7, (2, count, 1, 1)) * SIDE
    radius = rng.uniform(0.25, 0.45, (2, count, 1, 1)) * SIDE
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return ((rows - center[0]) / radius[0]) ** 2 + ((columns - center[1]) / radius[1]) ** 2 < 1
