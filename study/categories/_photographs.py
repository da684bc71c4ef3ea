"""Patches of photographs that ship with scikit-learn and scikit-image; a class is a photograph.

Each photograph is cut into upright strips; every third one is for the test alone, and no patch crosses a
border.
"""

import functools
from pathlib import Path

import numpy as np

from ._shape import SIDE, balanced

SKLEARN = ("china.jpg", "flower.jpg")
SKIMAGE = (
    *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    *("brick.png", "grass.png", "gravel.png"),
)
SURFACES = (7, 8, 9)
"""Classes of a photograph that shows one surface and nothing else: brick, grass, gravel."""
SHORT_SIDE = 192  # pixels to which a photograph is made smaller
STRIP = 32  # pixels


def draw(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patches and the photographs that they are of."""
    return _patches(balanced(count, rng), part, rng)


def draw_surfaces(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patches of surfaces."""
    return _patches(rng.choice(SURFACES, count), part, rng)


def draw_scenery(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patches of all that is no surface."""
    return _patches(rng.choice(SURFACES[0], count), part, rng)


def strips(width: int, part: str) -> list[int]:
    """Where the strips of a part start in a photograph so wide."""
    starts = range(0, width - STRIP + 1, STRIP)
    return [start for n, start in enumerate(starts) if (n % 3 == 1) == (part == "test")]


def _patches(
    classes: np.ndarray, part: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([_patch(photographs()[index], part, rng) for index in classes]), classes


def _patch(photograph: np.ndarray, part: str, rng: np.random.Generator) -> np.ndarray:
    column = rng.choice(strips(photograph.shape[1], part)) + rng.integers(0, STRIP - SIDE + 1)
    row = rng.integers(0, photograph.shape[0] - SIDE + 1)
    return photograph[row : row + SIDE, column : column + SIDE]


@functools.cache
def photographs() -> tuple[np.ndarray, ...]:
    """The photographs in gray, (height, width) in [0, 1], in the order of the classes."""
    import skimage
    import sklearn.datasets

    stocks = [Path(sklearn.datasets.__file__).parent / "images" / name for name in SKLEARN]
    stocks += [Path(skimage.__file__).parent / "data" / name for name in SKIMAGE]
    return tuple(map(_gray, stocks))


def _gray(file: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(file) as image:
        scale = SHORT_SIDE / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        small = image.convert("L").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(small, np.float64) / 255
