"""The optimizer that a fit and a classifier share: Adam with a rate that falls to 0, a step at a time."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree


def adam(rate: float, steps: int, *, weight_decay: float = 0.0) -> Any:
    """An optax optimizer whose rate falls from `rate` to 0 by a cosine over so many steps."""
    import optax  # half a second, which only those who fit should pay for

    return optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=weight_decay)


def stepped(optimizer: Any, grads: PyTree, state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
    """The parameters after one step down their gradient, and the optimizer's state."""
    # optax raises a float to the power of an integer, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimizer.update(grads, state, params)
    return eqx.apply_updates(params, updates), state
