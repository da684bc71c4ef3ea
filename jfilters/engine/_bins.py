"""Terms that every backend of the passes shares: bins of histograms, and the purpose of a pass.

A backend is a module with `collect` and `coefficient_range`: `_stream` runs the passes on this machine's
devices, `_host` in NumPy, which needs no compiler.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ..errors import CheckpointError
from ..scans.internal import LayerStatistics
from ..statistics import Basis, fixed_edges
from ._options import Options

Weights = Iterable[np.ndarray]
"""The weights of one checkpoint's layers, in order, one at a time; may end with a CheckpointError."""


@dataclasses.dataclass(frozen=True)
class Bins:
    """The basis of histograms, and the edges that all its components share."""

    basis: Basis
    edges: Float[np.ndarray, " edges"]

    @functools.cached_property
    def key(self) -> str:
        """A hash that is equal for equal bins, whose histograms can be compared and added."""
        sha256 = hashlib.sha256()
        for values in (*self.basis, self.edges):
            sha256.update(np.ascontiguousarray(values, np.float64).tobytes())
        return sha256.hexdigest()

    @functools.cached_property
    def on_device(self) -> tuple[Any, np.float32, np.float32]:
        """The basis and the range as arguments of the programs."""
        return on_device(self.basis), np.float32(self.edges[0]), np.float32(self.edges[-1])


def data_free_edges(options: Options) -> Float[np.ndarray, " edges"] | None:
    """The edges that follow from the options alone; None if the range is that of the data."""
    if options.range == "data":
        return None
    if options.range == "fixed":
        return fixed_edges(options.d, options.bins)
    return np.linspace(*options.range, options.bins + 1)


@dataclasses.dataclass(frozen=True)
class Pass:
    """The purpose of one pass over the weights.

    `first`: take everything that needs no basis, without `with_normalized` only what quality needs.
    `bins`: count histograms in them.
    """

    options: Options
    first: bool = False
    with_normalized: bool = True
    bins: Bins | None = None

    @property
    def moments(self) -> bool:
        """True if moments are taken; with a known basis only the quality metrics need them."""
        return self.first and (self.bins is None or self.options.quality)


Opened = tuple[int, LayerStatistics, Weights]
"""A checkpoint on its way through the passes: its index, its statistics, and its weights."""

OnFailure = Callable[[int, CheckpointError], None]
"""Called with the index and the error of a checkpoint that fails while it is read."""


@runtime_checkable
class Backend(Protocol):
    """Turns weights into layer statistics."""

    def collect(
        self, checkpoints: Iterable[Opened], purpose: Pass, on_failure: OnFailure
    ) -> Iterator[int]:
        """Fill the statistics of each checkpoint in place; yield its index as soon as it is complete."""
        ...

    def coefficient_range(
        self, checkpoints: Iterable[Opened], options: Options, basis: Basis, on_failure: OnFailure
    ) -> tuple[float, float]:
        """Return the smallest and largest coefficient over all kernels; inf and -inf without kernels."""
        ...


def on_device(basis: Basis) -> Any:
    """Return a basis in float32 on the device."""
    import jax

    # Rounded by NumPy: jnp.asarray compiles a program for each shape, 0.1 s at every start.
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x, np.float32)), basis)
