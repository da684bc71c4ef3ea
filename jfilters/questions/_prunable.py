"""Kernels that could be set to zero, counted with BatchNorm folded in where the checkpoint can be read.

A kernel of zeros takes as many bytes in a dense file as any other. Bytes are saved where all kernels of an
output channel are sparse and the channel is removed, or by storage for sparse arrays.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from ..converters import Location, location, open_checkpoint
from ..converters.internal import folded, numeric_dtype
from ..engine import Options
from ..errors import CheckpointError
from ..scans import Scan
from ..statistics import EPSILON
from ..statistics.internal import host_max_abs

READ_AGAIN = 100_000_000
"""Bytes of local checkpoints that are read again unasked, the smallest first: about half a second."""


@dataclass(frozen=True)
class SparseKernels:
    """The sparse kernels of one layer.

    - `layer`: the name of its weight, with the network before it in a file of several.
    - `is_sparse`: of each kernel, by output and input channel.
    - `weights`: "folded" if a BatchNorm was folded in, else "stored".
    - `d`, `dtype`: taps of a kernel, and the type of the stored numbers.
    """

    layer: str
    is_sparse: Bool[np.ndarray, "out in"]
    weights: Literal["folded", "stored"]
    d: int
    dtype: str


@dataclass(frozen=True)
class Prunable:
    """The sparse kernels of a model, which could be zero, and the bytes that this could save.

    - `kernels`, `sparse`: kernels, and the sparse ones among them.
    - `bytes`: of the sparse kernels as stored: only storage for sparse arrays saves all of them.
    - `channels`, `channel_kernels`, `channel_bytes`: output channels of sparse kernels alone, their
      kernels, and the bytes that a dense file saves without them. None if it was not read again.
    - `weights`: "folded" if BatchNorm was folded in where a layer has one, else "stored".
    """

    model: str
    kernels: int
    sparse: int
    bytes: int
    channels: int | None = None
    channel_kernels: int | None = None
    channel_bytes: int | None = None
    weights: Literal["folded", "stored"] = "stored"


def sparse_kernels(
    path: Location | str,
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
    sparse_eps: float = EPSILON,
    sparse_strict: bool = True,
) -> Iterator[SparseKernels]:
    """Yield the sparse kernels of every layer of a checkpoint, with its BatchNorm folded in if it has one.

    These are the kernels that `jfilters quality` calls prunable: set them to zero in the stored weights.
    One weight at a time is in memory. `axes`, `network` and `standardize` are those of `open_checkpoint`.

    Raises CheckpointError if the checkpoint cannot be read.

    >>> import numpy as np, safetensors.numpy, tempfile
    >>> from jfilters.questions import sparse_kernels
    >>> weights = np.ones((4, 2, 3, 3), np.float32)
    >>> weights[0, 1] = 1e-3
    >>> path = f"{tempfile.mkdtemp()}/net.safetensors"
    >>> safetensors.numpy.save_file({"conv.weight": weights}, path, {"format": "pt"})
    >>> [(x.layer, np.argwhere(x.is_sparse).tolist()) for x in sparse_kernels(path)]
    [('conv.weight', [[0, 1]])]
    """
    checkpoint = open_checkpoint(path, axes=axes, network=network, standardize=standardize)
    factors = folded(checkpoint).factors
    for layer in checkpoint.layers:
        weight, name = layer.read(), layer.qualified.name
        factor = factors.get(name)
        if factor is not None:
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        yield SparseKernels(
            name,
            _is_sparse(weight, sparse_eps, sparse_strict),
            "stored" if factor is None else "folded",
            math.prod(weight.shape[2:]),
            layer.layer.dtype,
        )


def prunable(scan: Scan, *, fold_batchnorm: bool | None) -> list[Prunable]:
    """Return the models with sparse kernels, those that would save most first.

    `fold_batchnorm`: read all checkpoints again (True), none (False), or as many as `READ_AGAIN` allows.
    """
    models = _stored(scan)
    if fold_batchnorm is not False:
        most = math.inf if fold_batchnorm else READ_AGAIN
        models |= {model.model: model for model in _again(scan, models, most)}
    with_sparse = [model for model in models.values() if model.sparse]
    return sorted(
        with_sparse, key=lambda model: (-(model.channel_bytes or 0), -model.bytes, model.model)
    )


def _is_sparse(weight: np.ndarray, eps: float, strict: bool) -> Bool[np.ndarray, "out in"]:
    """Mark sparse kernels; those that are not finite are none, and do not set the limit."""
    largest = host_max_abs(weight.reshape(weight.shape[0] * weight.shape[1], -1))
    is_finite = np.isfinite(largest)
    layer_max = np.float32(largest[is_finite].max(initial=0))
    relative = np.where(is_finite, largest, np.inf) / (layer_max or np.float32(1))
    below = relative < np.float32(eps) if strict else relative <= np.float32(eps)
    return (below | (is_finite & (layer_max == 0))).reshape(weight.shape[:2])


def _stored(scan: Scan) -> dict[str, Prunable]:
    """Every model with what the tables of the scan tell: sparse kernels of the weights as stored."""
    sums: dict[str, list[int]] = {}
    for row in scan.layer_table.to_pylist():
        taps = math.prod(map(int, row["spatial"].split("x")))
        model = sums.setdefault(row["model"], [0, 0, 0])
        model[0] += row["n_kernels"]
        model[1] += row["n_sparse"]
        model[2] += row["n_sparse"] * taps * _bits(row["dtype"]) // 8
    return {
        model: Prunable(model, kernels, sparse, size)
        for model, (kernels, sparse, size) in sums.items()
    }


def _again(scan: Scan, models: dict[str, Prunable], most: int | float) -> Iterator[Prunable]:
    """The models that can be read again within `most` bytes, the smallest first."""
    options = Options.of_record(scan.record["config"])
    has_norm = dict(
        zip(*(scan.model_table[name].to_pylist() for name in ("model", "batchnorm")), strict=True)
    )
    entries = [
        entry
        for entry in scan.record["checkpoints"]
        if (model := models.get(entry["model"])) and (model.sparse or has_norm.get(model.model))
    ]
    for entry in sorted(entries, key=lambda entry: entry.get("bytes") or 0):
        most -= entry.get("bytes") or 0
        if most < 0 or not _is_there(entry, is_remote_read=most == math.inf):
            continue
        try:
            yield _counted(entry["model"], _chosen(scan, entry, options))
        except CheckpointError:
            continue


def _is_there(entry: dict[str, Any], *, is_remote_read: bool) -> bool:
    """Return whether the checkpoint is where it was, of the size that it had."""
    if not isinstance(entry.get("path"), str):
        return False
    path = location(entry["path"])
    if not isinstance(path, Path):
        return is_remote_read
    return path.is_dir() or (path.is_file() and path.stat().st_size == entry.get("bytes"))


def _chosen(scan: Scan, entry: dict[str, Any], options: Options) -> list[SparseKernels]:
    """The sparse kernels of the layers that the scan holds of a checkpoint."""
    pairs = zip(*(scan.layer_table[name].to_pylist() for name in ("model", "layer")), strict=True)
    names = {layer for model, layer in pairs if model == entry["model"]}
    kernels = sparse_kernels(
        entry["path"],
        axes=options.axes,
        network=options.network,
        standardize=options.standardize,
        sparse_eps=options.sparse_eps,
        sparse_strict=options.sparse_strict,
    )
    chosen = [layer for layer in kernels if layer.layer in names]
    if {layer.layer for layer in chosen} != names:
        raise CheckpointError("other layers than in the scan", path=entry["path"])
    return chosen


def _counted(model: str, layers: Iterable[SparseKernels]) -> Prunable:
    counts = np.zeros(6, np.int64)
    weights: Literal["folded", "stored"] = "stored"
    for layer in layers:
        whole = layer.is_sparse.all(axis=1)
        bits, in_channels = layer.d * _bits(layer.dtype), layer.is_sparse.shape[1]
        sparse, channels = int(layer.is_sparse.sum()), int(whole.sum())
        counts += (
            layer.is_sparse.size,
            sparse,
            sparse * bits // 8,
            channels,
            channels * in_channels,
            channels * in_channels * bits // 8,
        )
        weights = "folded" if layer.weights == "folded" else weights
    kernels, sparse, size, channels, in_channels, saved = counts.tolist()
    return Prunable(model, kernels, sparse, size, channels, in_channels, saved, weights)


def _bits(dtype: str) -> int:
    if dtype.lstrip("u") == "int4" or dtype.startswith("float4"):
        return 4
    stored = numeric_dtype(dtype)
    return 32 if stored is None else 8 * stored.itemsize
