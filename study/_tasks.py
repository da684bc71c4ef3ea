"""The tasks: what goes in, what is to come out, and how well it does on images never seen.

Losses are named here and written once a framework; scores are NumPy, the same for all.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from ._settings import Data
from .categories import Part, drawn

Loss = Literal["cross-entropy", "squares", "binary-cross-entropy"]


class Examples(NamedTuple):
    """Images (n, side, side) that go in, and what is to come out: classes (n), images or masks."""

    inputs: np.ndarray
    targets: np.ndarray


@dataclasses.dataclass(frozen=True)
class Task:
    """A task: the loss, the score with its name, and the score of doing nothing with the images.

    `score` and `trivial` take examples of the test; `score` the outputs (n, 10) or (n, side, side) too.
    """

    loss: Loss
    kind: Literal["images", "scenes"]
    metric: str
    score: Callable[[np.ndarray, Examples], float]
    trivial: Callable[[Examples], float]


def examples(task: str, category: str, part: Part, data: Data) -> Examples:
    """Return all examples of a part: those of the test with their noise, those to train on without."""
    count = data.train if part == "train" else data.test
    images, targets = drawn(category, TASKS[task].kind, count, part, data.seed)
    if task == "denoising":
        rng = np.random.default_rng([data.seed, 2])
        noisy = _noisy(images, data.noise, rng) if part == "test" else images
        return Examples(noisy, images)
    dtype = np.int32 if task == "classification" else np.float32
    return Examples(images, targets.astype(dtype))


def batches(
    task: str, data_set: Examples, data: Data, *, seed: int, batch: int, steps: int
) -> Iterator[Examples]:
    """Yield `steps` batches, each epoch in its own order; denoising gets new noise every time."""
    rng, order = np.random.default_rng([seed, 3]), np.empty(0, int)
    for _ in range(steps):
        while len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(data_set.inputs))])
        chosen, order = order[:batch], order[batch:]
        inputs = data_set.inputs[chosen]
        noisy = _noisy(inputs, data.noise, rng) if task == "denoising" else inputs
        yield Examples(noisy, data_set.targets[chosen])


def _noisy(images: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    return images + rng.standard_normal(images.shape, np.float32) * np.float32(spread)


def _accuracy(outputs: np.ndarray, data_set: Examples) -> float:
    return float(np.mean(outputs.argmax(1) == data_set.targets))


def _gain(outputs: np.ndarray, data_set: Examples) -> float:
    """Decibels of signal to noise that are won over the noisy images."""
    before, after = (
        np.mean((data_set.inputs - data_set.targets) ** 2),
        np.mean((outputs - data_set.targets) ** 2),
    )
    return float(10 * np.log10(before / after))


def _overlap(outputs: np.ndarray, data_set: Examples) -> float:
    """Intersection over union of all masks together."""
    predicted, mask = outputs > 0, data_set.targets > 0.5
    return float(np.sum(predicted & mask) / np.sum(predicted | mask))


TASKS = {
    "classification": Task(
        "cross-entropy",
        "images",
        "accuracy",
        _accuracy,
        lambda data_set: float(np.bincount(data_set.targets).max() / len(data_set.targets)),
    ),
    "denoising": Task("squares", "images", "psnr_gain_db", _gain, lambda data_set: 0.0),
    "segmentation": Task(
        "binary-cross-entropy",
        "scenes",
        "iou",
        _overlap,
        lambda data_set: float(data_set.targets.mean()),
    ),
}
