"""Steps that networks consist of, applied in the same order in every framework.

A framework supplies `Operations` on its own kind of value; here is decided what follows what, once.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution with padding that keeps the size, divided by `stride`."""

    out: int
    taps: int = 3
    stride: int = 1
    depthwise: bool = False


@dataclasses.dataclass(frozen=True)
class Does:
    """A step without weights, by the name of the operation: see `Operations`, and `keep`."""

    name: str


Step = Conv | Does
RELU, KEEP, ADD, JOIN = map(Does, ("relu", "keep", "add", "join"))
MEAN, UNFOLD = map(Does, ("mean", "unfold"))
UNFOLDING = 4
"""Pixels on a side that one place becomes in the step `unfold`."""


class Operations(Protocol):
    """The operations of a framework on its values; `conv` finds its weights by the name of the layer."""

    def conv(self, value: Any, layer: "Layer") -> Any:
        """The convolution with bias."""
        ...

    def relu(self, value: Any) -> Any:
        """The positive part."""
        ...

    def add(self, value: Any, kept: Any) -> Any:
        """The sum with the value that was kept last."""
        ...

    def join(self, value: Any, kept: Any) -> Any:
        """Each pixel repeated 2 x 2, and the channels of the value that was kept last after them."""
        ...

    def mean(self, value: Any) -> Any:
        """The mean over all pixels, with one pixel left."""
        ...

    def unfold(self, value: Any) -> Any:
        """The 16 channels of a place as 4 x 4 pixels of one channel."""
        ...


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution of a network: its name, its kind, and its input channels."""

    name: str
    conv: Conv
    inputs: int

    @property
    def groups(self) -> int:
        """As many as channels in a depthwise layer, else one."""
        return self.inputs if self.conv.depthwise else 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the weight as (out, in, height, width)."""
        return (self.conv.out, self.inputs // self.groups, self.conv.taps, self.conv.taps)


def layers(steps: Sequence[Step]) -> tuple[Layer, ...]:
    """The convolutions of a network that sees one channel, in the order in which they run."""
    return tuple(step for step in _resolved(steps) if isinstance(step, Layer))


def walk(steps: Sequence[Step], value: Any, operations: Operations) -> Any:
    """Return the value after all steps."""
    saved: list[Any] = []
    for step in _resolved(steps):
        if isinstance(step, Layer):
            value = operations.conv(value, step)
        elif step == KEEP:
            saved.append(value)
        elif step in (ADD, JOIN):
            value = getattr(operations, step.name)(value, saved.pop())
        else:
            value = getattr(operations, step.name)(value)
    return value


def initial_weights(steps: Sequence[Step], seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in, height, width) and bias (out) of each layer: He normal, and zero.

    The same in every framework.

    Source: He et al., ICCV 2015, arXiv:1502.01852.
    """
    rng = np.random.default_rng([seed, 1])
    return {layer.name: _he_normal(layer.shape, rng) for layer in layers(steps)}


def _he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    spread = math.sqrt(2 / math.prod(shape[1:]))
    weight = rng.standard_normal(shape, dtype=np.float32) * np.float32(spread)
    return weight, np.zeros(shape[0], np.float32)


def _resolved(steps: Sequence[Step]) -> Iterator[Layer | Does]:
    """Return the steps, each convolution with its name and input channels."""
    channels, kept, count = 1, [], 0
    for step in steps:
        if isinstance(step, Conv):
            yield Layer(f"conv{count}", step, channels)
            channels, count = step.out, count + 1
            continue
        yield step
        if step == KEEP:
            kept.append(channels)
        elif step == JOIN:
            channels += kept.pop()
        elif step == ADD:
            kept.pop()
