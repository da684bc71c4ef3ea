"""The interface of a framework: a model that can be built, trained, applied, and written."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from .._steps import Step
from .._tasks import Examples, Loss

Weights = dict[str, tuple[np.ndarray, np.ndarray]]
"""Weight (out, in, height, width) and bias (out) by the name of the layer."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The training of a model: AdamW, with a cosine schedule of the learning rate down to zero."""

    loss: Loss
    steps: int
    learning_rate: float
    weight_decay: float
    kept: tuple[int, ...]


class Model(Protocol):
    """A network of steps with its weights, in a framework."""

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "Model":
        """The network with these weights."""
        ...

    def train(self, batches: Iterator[Examples], plan: Plan) -> Iterator[tuple[int, "Model"]]:
        """The model at every step that is kept, 0 before any training, and at the last."""
        ...

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers (n, classes) or images (n, side, side) for images (n, side, side)."""
        ...

    def write(self, folder: Path, step: int, format: str) -> Path:
        """Write the model of a step into the folder of its run; the path is what there is to scan."""
        ...
