"""Weights of networks that may be kin, in memory: some output channels of every layer, and what else tells.

Every checkpoint is read once. A network takes a megabyte at most for some tens of layers.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from ...compare import Side
from ...compare.internal import side_of
from ...converters import Checkpoint, StoredLayer, location, open_checkpoint
from ...converters.internal import identity
from ...errors import CheckpointError
from ...layers import Layer
from ...lineage.internal import sampled_channels
from ...scans import Scan
from ...scans.internal import checkpoint_of
from ...shift.internal import NARROW, grid, narrowest

KERNELS = 1024
"""Kernels of a layer that are in memory at least, if it has as many."""


@dataclasses.dataclass(frozen=True, eq=False)
class SampledLayer:
    """A layer in memory: evenly spaced output channels of its weight, and a hash of all of it."""

    stored: StoredLayer
    weight: Float32[np.ndarray, "out in *spatial"]
    digest: bytes

    @property
    def layer(self) -> Layer:
        """The record of the layer."""
        return self.stored.layer

    @property
    def qualified(self) -> Layer:
        """The record under a name that says of which network it is."""
        return self.stored.qualified

    @property
    def size(self) -> tuple[int, ...]:
        """The shape of the whole weight."""
        return self.stored.shape

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the part that is in memory."""
        return self.weight.shape

    def read(self) -> np.ndarray:
        """Return the part that is in memory."""
        return self.weight

    def whole(self) -> np.ndarray:
        """Return the whole weight, which is read again if only part of it is in memory."""
        return self.weight if self.shape == self.size else self.stored.read()


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """A network whose weights could be read.

    - `name`: of the model; `side`: its checkpoint, of which the layers in memory count.
    - `layers`: in depth order.
    - `precision`: the narrowest of `NARROW` that holds all weights, by its place there; their number for
      float32.
    - `zeros`: the share of zeros among its weights; `is_coarse`: a layer lies on a grid of 8 bits or fewer.
    """

    name: str
    side: Side
    layers: tuple[SampledLayer, ...]
    precision: int
    zeros: float
    is_coarse: bool


def read_members(scan: Scan, models: Iterable[str]) -> dict[str, Member]:
    """Return the networks of a scan whose checkpoints are where they were, and can be read, by name."""
    entries = {entry["model"]: entry for entry in scan.record["checkpoints"]}
    config = scan.record["config"]
    members: dict[str, Member] = {}
    by_checkpoint: dict[str, list[str]] = {}
    for model in models:
        by_checkpoint.setdefault(checkpoint_of(model, entries), []).append(model)
    for checkpoint, names in by_checkpoint.items():
        if checkpoint in entries:
            members |= _read(entries[checkpoint], config, names, scan.spatial)
    return members


def _read(
    entry: dict[str, Any], config: dict[str, Any], names: Sequence[str], spatial: tuple[int, ...]
) -> dict[str, Member]:
    try:
        path = location(entry["path"])
        if not _is_unchanged(path, entry):
            return {}
        checkpoint = open_checkpoint(
            path,
            axes=config.get("axes"),
            network=config.get("network"),
            standardize=bool(config.get("standardize")),
        )
        return {name: _member(entry["model"], name, checkpoint, spatial) for name in names}
    except (CheckpointError, OSError, KeyError):
        return {}  # sketches answer for those that cannot be read


def _is_unchanged(path: Any, entry: dict[str, Any]) -> bool:
    # Weights of a remote checkpoint would travel again.
    version = identity(path) if isinstance(path, Path) else None
    return version is not None and str(entry.get("identity")).split(" ")[0] == version.split(" ")[0]


def _member(
    checkpoint_name: str, name: str, checkpoint: Checkpoint, spatial: tuple[int, ...]
) -> Member:
    part = name.removeprefix(checkpoint_name).lstrip("/")
    stored = [
        layer
        for layer in checkpoint.layers
        if layer.shape[2:] == spatial and layer.stored.member == part
    ]
    layers = tuple(_sampled(layer) for layer in stored)
    kernels = sum(layer.shape[0] * layer.shape[1] for layer in layers)
    side = dataclasses.replace(side_of(checkpoint), n_layers=len(layers), n_kernels=kernels)
    return Member(name, side, layers, _precision(layers), _zeros(layers), _is_coarse(layers))


def _sampled(stored: StoredLayer) -> SampledLayer:
    weight = stored.read()
    digest = hashlib.blake2b(weight.data, digest_size=16).digest()
    part = np.array(sampled_channels(weight, KERNELS))
    return SampledLayer(stored, part, digest)


def _precision(layers: Sequence[SampledLayer]) -> int:
    types = [narrowest(layer.weight) for layer in layers]
    return max((NARROW.index(t) if t else len(NARROW) for t in types), default=len(NARROW))


def _zeros(layers: Sequence[SampledLayer]) -> float:
    size = sum(layer.weight.size for layer in layers)
    return 1 - sum(np.count_nonzero(layer.weight) for layer in layers) / max(size, 1)


def _is_coarse(layers: Sequence[SampledLayer]) -> bool:
    return any(grid(layer.weight, layer.weight) is not None for layer in layers)
