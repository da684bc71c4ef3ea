"""Networks in memory, opened like a checkpoint: `Kernels`, modules and parameters of any framework.

What a file alone tells is absent; all other rules, which arrays are layers, in which axes and order, are
those of a file.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from .._traced import INSIDE, check_computed
from ..errors import CheckpointError, UnreadableError, printable
from ..io import checkpoint_errors, is_path
from ..kernels import Kernels
from ..layers import DepthSource, Layer
from ._checkpoint import Checkpoint, open_checkpoint, stored_layer
from ._counters import find_counters
from ._dtypes import numeric_dtype
from ._frameworks import is_keras_model, is_torch_module
from ._params import params_arrays
from ._select import select
from ._stored import StoredArray
from ._torch._modules import module_arrays

TORCH = "torch module"


class _Listing(NamedTuple):
    """All arrays of a network, what their order means for depth, and the kind of network."""

    arrays: Sequence[StoredArray]
    order: DepthSource
    format: str


@dataclasses.dataclass(frozen=True)
class MemoryNetwork:
    """A network in memory under a name, which every table and error shows.

    - `value`: `Kernels`, a module or parameters. A path is opened where it is.
    """

    name: str
    value: Any

    @property
    def path(self) -> Path:
        """The text that stands where a checkpoint has its path; nothing lies there."""
        return Path(f"memory:{printable(self.name)}")

    @property
    def bytes(self) -> int:
        """Bytes of all arrays; 0 for what cannot be read, which opening it will say."""
        try:
            arrays = self._listing().arrays
        except CheckpointError:
            return 0
        return sum(math.prod(array.shape) * _itemsize(array.dtype) for array in arrays)

    def open(
        self, *, axes: str | None = None, network: str | None = None, standardize: bool = False
    ) -> Checkpoint:
        """Open the network; the arguments are those of `open_checkpoint`.

        Raises CheckpointError if it cannot be read, ValueError where it holds tracers.
        """
        if is_path(self.value):
            return open_checkpoint(self.value, axes=axes, network=network, standardize=standardize)
        listing, path = self._listing(), Path(printable(self.name))
        with checkpoint_errors(path):
            selected, skipped = select(listing.arrays, listing.order, axes, network)
        layers = tuple(stored_layer(path, item, standardize) for item in selected)
        counters = find_counters(listing.arrays, listing.format)
        return Checkpoint(
            path, listing.format, layers, skipped, (), counters, arrays=tuple(listing.arrays)
        )

    def sha256(self) -> str | None:
        """Return the hash of all arrays with their records; None where they cannot be read.

        The name does not count: networks of equal content have equal hashes.
        """
        try:
            listing = self._listing()
            sha256 = hashlib.sha256(f"{listing.format} {listing.order}".encode())
            for array in listing.arrays:
                sha256.update(repr(_record(array)).encode("utf-8", "surrogateescape"))
                sha256.update(np.ascontiguousarray(array.read()).reshape(-1).view(np.uint8).data)
        except CheckpointError:
            return None
        return sha256.hexdigest()

    def _listing(self) -> _Listing:
        path = Path(printable(self.name))
        with checkpoint_errors(path):
            try:
                listing = _listed(self.value)
            except ValueError as error:
                raise _unreadable(path, self.value, error) from error
        if listing.format != TORCH:
            check_computed(
                (array.read() for array in listing.arrays), "a network in memory", INSIDE
            )
        return listing._replace(arrays=[_on_host(array, path) for array in listing.arrays])


def _listed(value: Any) -> _Listing:
    if isinstance(value, Kernels):
        return _Listing([_of_kernels(*pair) for pair in value], "registration-order", "kernels")
    if is_torch_module(value):
        return _Listing(list(module_arrays(value)), "registration-order", TORCH)
    arrays, order = params_arrays(value)
    if is_keras_model(value):
        return _Listing(arrays, order, "keras model")
    is_equinox = isinstance(value, eqx.Module)
    return _Listing(arrays, order, "equinox module" if is_equinox else "params")


def _of_kernels(layer: Layer, weight: Any) -> StoredArray:
    shape, dtype = tuple(weight.shape), str(weight.dtype)
    return StoredArray(layer.name, shape, dtype, lambda: weight, layer=layer)


def _on_host(array: StoredArray, path: Path) -> StoredArray:
    return dataclasses.replace(array, read=functools.partial(_values, array, path))


def _values(array: StoredArray, path: Path) -> np.ndarray:
    try:
        return np.asarray(array.read())
    except RuntimeError as error:  # of JAX: donated, deleted, or on another machine
        raise UnreadableError(
            str(error).partition("\n")[0], path=path, tensor=array.name
        ) from error


def _unreadable(path: Path, value: Any, error: ValueError) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    expected = "expected parameters, a module, Kernels or a path"
    return UnreadableError(f"{expected}, got {type(value).__name__} without arrays", path=path)


def _record(array: StoredArray) -> list[Any]:
    fields = (field.name for field in dataclasses.fields(array))
    return [getattr(array, name) for name in fields if name not in ("read", "peek")]


def _itemsize(dtype: str) -> int:
    known = numeric_dtype(dtype)
    return 0 if known is None else known.itemsize
