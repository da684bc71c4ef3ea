"""Handwritten digits of scikit-learn: 8 x 8 scans, enlarged and put somewhere into the image.

Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
"""

import functools

import numpy as np

from ._shape import CLASSES, SIDE

ENLARGED = 20
TEST = 400
"""Scans that are kept for the test."""


def draw(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Digits of a part and what they are; no scan is drawn twice before all were."""
    scans, classes = _stock(part)
    rounds = -(-count // len(scans))
    chosen = np.concatenate([rng.permutation(len(scans)) for _ in range(rounds)])[:count]
    images = np.zeros((count, SIDE, SIDE))
    for image, index in zip(images, chosen, strict=True):
        row, column = rng.integers(0, SIDE - ENLARGED + 1, 2)
        image[row : row + ENLARGED, column : column + ENLARGED] = scans[index]
    return images, classes[chosen]


@functools.cache
def _stock(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Enlarged scans of a part, and their digits."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    scans, classes = map(np.asarray, load_digits(n_class=CLASSES, return_X_y=True))
    order = np.random.default_rng(0).permutation(len(scans))
    order = order[:TEST] if part == "test" else order[TEST:]
    scale = ENLARGED / 8
    large = zoom(scans[order].reshape(-1, 8, 8) / 16, (1, scale, scale), order=1)
    return np.asarray(large), classes[order]
