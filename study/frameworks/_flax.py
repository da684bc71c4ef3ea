"""What linen and NNX share: kernels as (height, width, in, out), and a folder of steps that Orbax keeps."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp

from ._model import Weights


def as_flax(weights: Weights) -> dict[str, dict[str, Any]]:
    """Kernel and bias by the name of the layer, as both Flaxes nest them."""
    return {
        name: {"kernel": jnp.asarray(weight.transpose(2, 3, 1, 0)), "bias": jnp.asarray(bias)}
        for name, (weight, bias) in weights.items()
    }


def write_step(folder: Path, step: int, params: Any) -> Path:
    """Add a step to the checkpoint manager of a folder."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
        manager.save(step, args=ocp.args.StandardSave(params))
    return folder / str(step)
