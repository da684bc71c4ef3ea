"""A function of many rows, a batch at a time, as one compiled body."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Row = TypeVar("Row")


def mapped(function: Callable[[Row], PyTree], rows: Row, at_most: int) -> PyTree:
    """Return `function` of every row, computed for at most so many rows at once.

    The result of `jax.lax.map` with a batch size, which compiles a remainder as a second body. Batches are
    of one size here, and the last is filled up with copies of the first row.
    """
    n = len(jax.tree.leaves(rows)[0])
    batches = max(-(-n // at_most), 1)
    size = -(-n // batches)
    place = jnp.arange(batches * size)
    place = jnp.where(place < n, place, 0).reshape(batches, size)
    values = jax.lax.map(lambda at: jax.vmap(function)(jax.tree.map(lambda x: x[at], rows)), place)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], values)
