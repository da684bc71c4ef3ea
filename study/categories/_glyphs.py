"""Letters in the fonts that ship with matplotlib, of several sizes, turned and put anywhere."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ._shape import SIDE, balanced

LETTERS = "ABDEGHKRSW"
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif"),
    *("DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "cmr10"),
)
SIZES = (14, 22)  # pixels an em, from and below
TURN = 15.0  # degrees at most


def draw(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Letters and which of `LETTERS` they are."""
    classes = balanced(count, rng)
    images = np.stack([_letter(LETTERS[letter], rng) for letter in classes])
    return images / 255, classes


def _letter(letter: str, rng: np.random.Generator) -> np.ndarray:
    from PIL import Image, ImageDraw

    font = _font(FONTS[rng.integers(len(FONTS))], int(rng.integers(*SIZES)))
    center = SIDE / 2 + rng.uniform(-2, 2, 2)
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).text(tuple(center), letter, 255, font, anchor="mm")
    turned = image.rotate(rng.uniform(-TURN, TURN), Image.Resampling.BILINEAR)
    return np.asarray(turned, np.float64)


@functools.cache
def _font(name: str, size: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    return ImageFont.truetype(str(file), size)
