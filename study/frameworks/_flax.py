"""Code that Linen and NNX share: kernels as (height, width, in, out), and folders of steps by Orbax."""

import abc
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from .._tasks import Examples
from ._jax import Trainable
from ._model import Plan, Weights


@dataclasses.dataclass(frozen=True)
class FlaxModel(abc.ABC):
    """Static values and parameters; a framework of Flax adds the functions that build and apply them."""

    network: Any
    params: Any

    @staticmethod
    @abc.abstractmethod
    def apply(network: Any, params: Any, images: jax.Array) -> jax.Array:
        """Numbers or images for images (n, height, width, 1)."""

    @abc.abstractmethod
    def tree(self) -> Any:
        """The parameters as they are written."""

    def train(self, batches: Iterator[Examples], plan: Plan) -> Iterator[tuple[int, Self]]:
        """The model at every step that is kept."""
        for step, params in self._trainable.train(batches, plan):
            yield step, dataclasses.replace(self, params=params)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers or images for images."""
        return self._trainable.outputs(images)

    def write(self, folder: Path, step: int, format: str) -> Path:
        """Add the step to the Orbax manager of the folder."""
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
        with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
            manager.save(step, args=ocp.args.StandardSave(self.tree()))
        return folder / str(step)

    @property
    def _trainable(self) -> Trainable:
        return Trainable(self.network, self.params, self.apply)


def as_flax(weights: Weights) -> dict[str, dict[str, Any]]:
    """Kernel and bias by the name of the layer, as both Flaxes nest them."""
    return {
        name: {"kernel": jnp.asarray(weight.transpose(2, 3, 1, 0)), "bias": jnp.asarray(bias)}
        for name, (weight, bias) in weights.items()
    }
