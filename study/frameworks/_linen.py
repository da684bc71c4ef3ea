"""Networks in Flax linen, written by an Orbax checkpoint manager."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from .._steps import Layer, Step, walk
from .._tasks import Examples
from ._flax import as_flax, write_step
from ._jax import ChannelsLast, Trainable, convolve
from ._model import Plan, Weights


class Network(nn.Module):
    """A network of steps, on images (n, height, width, 1)."""

    steps: tuple[Step, ...]

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """The value after all steps."""
        return walk(self.steps, images, _Operations())


class _Operations(ChannelsLast):
    def conv(self, value: jax.Array, layer: Layer) -> jax.Array:
        conv = layer.conv
        return nn.Conv(
            conv.out,
            (conv.taps, conv.taps),
            conv.stride,
            padding=conv.taps // 2,
            feature_group_count=layer.groups,
            conv_general_dilated=convolve,
            name=layer.name,
        )(value)


@dataclasses.dataclass(frozen=True)
class FrameworkModel:
    """A linen network with its parameters."""

    network: Network
    params: Any

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        return cls(Network(tuple(steps)), as_flax(weights))

    def train(
        self, batches: Iterator[Examples], plan: Plan
    ) -> Iterator[tuple[int, "FrameworkModel"]]:
        """The model at every step that is kept."""
        for step, params in self._trainable.train(batches, plan):
            yield step, dataclasses.replace(self, params=params)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers or images for images."""
        return self._trainable.outputs(images)

    def write(self, folder: Path, step: int, format: str) -> Path:
        """Add the step to the Orbax manager of the folder."""
        return write_step(folder, step, {"params": self.params})

    @property
    def _trainable(self) -> Trainable:
        return Trainable(self.network, self.params, _apply)


def _apply(network: Network, params: Any, images: jax.Array) -> Any:
    return network.apply({"params": params}, images)
