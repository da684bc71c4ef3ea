"""Networks in Flax NNX, written by an Orbax checkpoint manager."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from .._steps import Layer, Step, layers, walk
from .._tasks import Examples
from ._flax import as_flax, write_step
from ._jax import ChannelsLast, Trainable, convolve
from ._model import Plan, Weights


class Network(nnx.Module):
    """A network of steps, on images (n, height, width, 1)."""

    def __init__(self, steps: Sequence[Step], weights: Weights):
        self.steps = tuple(steps)
        values = as_flax(weights)
        for layer in layers(steps):
            setattr(self, layer.name, _conv(layer, values[layer.name]))

    def __call__(self, images: jax.Array) -> jax.Array:
        """The value after all steps."""
        return walk(self.steps, images, _Operations(self))


def _conv(layer: Layer, values: dict[str, Any]) -> nnx.Conv:
    conv = layer.conv
    return nnx.Conv(
        layer.inputs,
        conv.out,
        (conv.taps, conv.taps),
        conv.stride,
        padding=conv.taps // 2,
        feature_group_count=layer.groups,
        conv_general_dilated=convolve,
        kernel_init=lambda key, shape, dtype: values["kernel"].astype(dtype),
        bias_init=lambda key, shape, dtype: values["bias"].astype(dtype),
        rngs=nnx.Rngs(0),
    )


class _Operations(ChannelsLast):
    def __init__(self, network: Network):
        self.network = network

    def conv(self, value: jax.Array, layer: Layer) -> jax.Array:
        return getattr(self.network, layer.name)(value)


@dataclasses.dataclass(frozen=True)
class FrameworkModel:
    """An NNX network as its graph and its parameters."""

    graph: nnx.GraphDef
    params: nnx.State

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        graph, params = nnx.split(Network(steps, weights), nnx.Param)
        return cls(graph, params)

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
        return write_step(folder, step, nnx.to_pure_dict(self.params))

    @property
    def _trainable(self) -> Trainable:
        return Trainable(self.graph, self.params, _apply)


def _apply(graph: nnx.GraphDef, params: nnx.State, images: jax.Array) -> jax.Array:
    return nnx.merge(graph, params)(images)
