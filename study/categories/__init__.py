"""The visual categories: images of ten classes that need no download, and scenes with a mask.

Images are float32 (n, 24, 24) in [0, 1]. A category has two parts, "train" and "test";
where there is a fixed stock, of digits or photographs, the parts share nothing of it.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np

from . import _digits, _fractals, _glyphs, _photographs, _textures
from ._scenes import collages, figures_on_ground

Part = Literal["train", "test"]
Drawn = tuple[np.ndarray, np.ndarray]
Draw = Callable[[int, Part, np.random.Generator], Drawn]


@dataclasses.dataclass(frozen=True)
class Category:
    """A category, which draws images with their classes (n), and scenes with their masks (n, 24, 24).

    `mask` says in words what the mask of a scene is.
    """

    name: str
    images: Draw
    scenes: Draw
    mask: str


CATEGORIES = {
    category.name: category
    for category in (
        Category("digits", _digits.draw, figures_on_ground(_digits.draw), "ink of the digit"),
        Category("glyphs", _glyphs.draw, figures_on_ground(_glyphs.draw), "ink of the letter"),
        Category(
            "fractals", _fractals.draw, figures_on_ground(_fractals.draw), "points of the fractal"
        ),
        Category(
            "textures", _textures.draw, collages(_textures.draw_fine, _textures.draw_coarse),
            "region of fine texture in coarse texture",
        ),
        Category(
            "photographs",
            _photographs.draw,
            collages(_photographs.draw_surfaces, _photographs.draw_scenery),
            "region of a surface (brick, grass, gravel) in another photograph",
        ),
    )
}  # fmt: skip
"""Categories by name, in the order of the design."""


def drawn(
    category: str, kind: Literal["images", "scenes"], count: int, part: Part, seed: int
) -> Drawn:
    """Return `count` images or scenes of a part of a category, the same for the same seed."""
    place = [list(CATEGORIES).index(category), ("train", "test").index(part), kind == "scenes"]
    images, targets = getattr(CATEGORIES[category], kind)(
        count, part, np.random.default_rng([seed, *place])
    )
    return images.astype(np.float32), targets
