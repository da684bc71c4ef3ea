"""A BatchNorm as the checkpoint stores it: what folding it into a convolution needs."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Norm:
    """A BatchNorm's name, its channels, and its parameters of shape (size,), read on demand.

    Without `gamma` it does not scale beyond its variance.
    """

    label: str
    size: int
    gamma: Callable[[], np.ndarray] | None
    variance: Callable[[], np.ndarray]
    epsilon: float
