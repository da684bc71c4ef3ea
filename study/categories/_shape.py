"""The size of every image, and the classes of every category."""

import numpy as np

SIDE = 24
CLASSES = 10


def balanced(count: int, rng: np.random.Generator) -> np.ndarray:
    """Classes (count), each as often as the others within one, in random order."""
    return rng.permutation(np.arange(count) % CLASSES)
