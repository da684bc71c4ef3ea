"""A checkpoint as its layers: opened from metadata, read one weight at a time, or loaded whole."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..io import Location, budgeted, checkpoint_errors, is_folder, location
from ..layers import Layer
from ._axes import Arrangement, checked_axes
from ._claims import check_claims, check_listing
from ._counters import Counters, find_counters
from ._detect import detect
from ._format import Format
from ._select import Selected, select
from ._stored import Skipped, StoredArray


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """One convolution of a checkpoint, whose weight is read on demand, as a NumPy array.

    `layer` is its record: name, depth, groups and more. `shape` is that of the effective weight, which is
    (out, in, *spatial) whatever the order of the axes in the file, and known before anything is read.
    `path` is the checkpoint, `stored` the array in it, and `arrangement` the way from one to the other.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/kernels.npy", np.ones((3, 3, 8, 16), np.float32))
    ...     checkpoint = open_checkpoint(f"{folder}/kernels.npy", axes="HWIO")
    >>> checkpoint.layers[0].shape
    (16, 8, 3, 3)
    """

    layer: Layer
    shape: tuple[int, ...]
    path: Location
    stored: StoredArray
    arrangement: Arrangement

    @property
    def qualified(self) -> Layer:
        """The layer under a name that says of which network it is, where the file is a population."""
        member, layer = self.stored.member, self.layer
        return dataclasses.replace(layer, name=f"{member}/{layer.name}") if member else layer

    def read(self) -> np.ndarray:
        """The weight, (out, in, *spatial), float32, C-contiguous, possibly read-only.

        Raises CheckpointError if the stored values cannot be read or are not of the promised shape.
        """
        with checkpoint_errors(self.path, self.stored.name):
            stored = self.stored.read()
            if stored.shape != self.stored.shape:
                self._refuse(stored.shape)
            weight = _as_float32(self.arrangement.apply(stored))
            return _standardized(weight) if self.layer.applied == "standardized" else weight

    def _refuse(self, shape: tuple[int, ...]):
        expected = f"expected values of shape {self.stored.shape}, found {shape}"
        raise CheckpointError(expected, path=self.path, tensor=self.stored.name)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The content of one path: its format, its layers in depth order, and all other arrays with reasons.

    A checkpoint without any convolution has no layers; that is no error. Every stored array is either a
    layer or in `skipped`, with the reason why it is no kernel. `companions` are the further files that hold
    its arrays, by name; a folder has none, since all its files are the checkpoint. `counters` are the
    traces of training that BatchNorm leaves. `arrays` are all arrays of a network in memory, whose path is
    its name; None for a path, where they are listed.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/net.npz", conv=np.ones((16, 8, 3, 3)), steps=np.arange(4))
    ...     checkpoint = open_checkpoint(f"{folder}/net.npz", axes="OIHW")
    >>> len(checkpoint.layers), [array.name for array in checkpoint.skipped]
    (1, ['steps'])
    """

    path: Location
    format: str
    layers: tuple[StoredLayer, ...]
    skipped: tuple[Skipped, ...]
    companions: tuple[Location, ...] = ()
    counters: Counters = dataclasses.field(default_factory=Counters)
    arrays: tuple[StoredArray, ...] | None = dataclasses.field(default=None, repr=False)

    @property
    def updates(self) -> int | None:
        """The largest training step that BatchNorm counted, read from the file; None without any."""
        return self.counters.updates(self.path)

    @property
    def has_batchnorm(self) -> bool | None:
        """True if the file holds running statistics of BatchNorm; None where it does not tell."""
        return self.counters.has_batchnorm

    @property
    def unread(self) -> tuple[Skipped, ...]:
        """The weights that the network convolves with and that could not be read."""
        return tuple(array for array in self.skipped if array.unread)

    @property
    def shortfall(self) -> str | None:
        """The number of convolutions that were read, and why the others were not; None where all were.

        Counted are layers of every kernel size: of a weight that cannot be read the size need not be known.
        """
        if not self.unread:
            return None
        layers, unread = len(self.layers), len(self.unread)
        reasons = most_common(Counter(array.reason for array in self.unread))
        return f"{layers} of {layers + unread} layers read; not read: {reasons}"


SHOWN = 3
"""Reasons that are given; of more only the most common ones."""


def most_common(reasons: Counter[str]) -> str:
    """The most common reasons, each with its count."""
    return "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(SHOWN))


def open_checkpoint(
    path: str | Location,
    *,
    axes: str | None = None,
    like: Any = None,
    network: str | None = None,
    standardize: bool = False,
) -> Checkpoint:
    """Open a checkpoint and list its layers, none of them read yet.

    Only metadata is read, so that opening takes milliseconds and hardly any memory, whatever the size of
    the file. The layers are in depth order, and each is read when its `read` is called. Neither JAX nor the
    framework that wrote the file is imported.

    **Arguments:**

    - `path`: a file, folder or URL of any format that `jfilters formats` lists.
    - `axes`: the axis order, for example "HWIO", of arrays whose format leaves it open.
    - `like`: for an Equinox file, the module that was saved, or its shapes as `eqx.filter_eval_shape` gives
      them: it names the leaves. A module of another structure is an error, never a shift.
    - `network`: the copy of a network to read, by the name that the copies are listed under, for example
      "ema"; without it the trained weights themselves.
    - `standardize`: read every weight as weight standardization applies it: less its mean and divided by
      its standard deviation over each output channel. No file tells whether a network does so.

    A file that would take more memory or time than its budget is refused before it takes it; see
    docs/security.md for the limits and how to raise them.

    **Returns:** the `Checkpoint`; one without any convolution has no layers, which is no error.

    **Raises:** CheckpointError if the path is no readable checkpoint, ValueError for unknown `axes`.

    >>> import tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file({"conv.weight": np.ones((16, 8, 3, 3), np.float32)}, f"{folder}/net")
    ...     checkpoint = open_checkpoint(f"{folder}/net")
    ...     weight = checkpoint.layers[0].read()
    >>> checkpoint.format, checkpoint.layers[0].layer.name, weight.shape
    ('safetensors', 'conv.weight', (16, 8, 3, 3))
    """
    path, axes = location(path), checked_axes(axes)
    with budgeted(path), checkpoint_errors(path):
        format = detect(path)
        if like is None:
            arrays, order = format.arrays(path), format.order
        else:
            arrays, order = _like(path, format, like), "registration-order"
        check_listing(path, arrays)
        selected, skipped = select(arrays, order, axes, network)
        check_claims(path, arrays, _companions(path, arrays))
    layers = tuple(stored_layer(path, item, standardize) for item in selected)
    companions, counters = _companions(path, arrays), find_counters(arrays, format.name)
    return Checkpoint(path, format.name, layers, skipped, companions, counters)


def _companions(path: Location, arrays: Sequence[StoredArray]) -> tuple[Location, ...]:
    names = {name for array in arrays for name in (array.file, *array.further_files) if name}
    files = {path.parent / name for name in names}
    return tuple(sorted(files, key=str)) if files and not is_folder(path) else ()


def _like(path: Location, format: Format, like: Any) -> Sequence[StoredArray]:
    # A file of one leaf and no header is a plain .npy too.
    if format.name not in ("equinox", "numpy"):
        reason = (
            f"`like` names the leaves of an Equinox file, and this is a {format.name} checkpoint"
        )
        raise CheckpointError(reason, path=path, remedy="load it without `like`")
    from ._equinox_like import equinox_arrays

    return equinox_arrays(path, like)


def _as_float32(weight: np.ndarray) -> np.ndarray:
    if weight.dtype == np.float32:
        return np.require(weight, requirements=["C", "A"])
    # float64 beyond the float32 range becomes infinite, and is counted as such downstream.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(weight, np.float32)


def _standardized(weight: np.ndarray) -> np.ndarray:
    """(w - mean) / standard deviation over each output channel. Source: Qiao et al., arXiv:1903.10520."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    centered = rows - rows.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(centered).mean(axis=1, keepdims=True))
    # A constant channel has no direction: it stays zero.
    standard = np.divide(centered, deviation, out=np.zeros_like(rows), where=deviation > 0)
    return standard.astype(np.float32).reshape(weight.shape)


def stored_layer(path: Location, item: Selected, standardize: bool) -> StoredLayer:
    """Return the layer behind a selected array; `standardize` as in `open_checkpoint`."""
    shape, layer = item.arrangement.shape(item.stored.shape), item.layer
    if standardize:
        layer = dataclasses.replace(layer, applied="standardized")
    return StoredLayer(layer, shape, path, item.stored, item.arrangement)
