"""Stored arrays, which a format's reader returns: they know name and shape and are read on demand.

Selection, axes and depth are decided once for all formats, from these records alone.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..layers import Applied, DepthSource, Layer

PEEK = 512
"""Bytes that `StoredArray.peek` gives at most."""

Metadata = dict[str, str | int | float | None]
"""What a checkpoint tells about a layer beside its weight, by the name of the table's column."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array of a checkpoint, not yet read.

    - `read()` gives the values as stored: this shape, this axis order, the stored dtype (extended dtypes
      such as bfloat16 and float8 come as ml_dtypes): a NumPy array, for parameters in memory their own.
    - `axes`, `groups`, `transposed`, `depth`: set where the format knows, None where it has to be inferred.
      `depth` is the longest path from an input in the network's graph.
    - `mirrored`: whether a transposed kernel is stored turned around in space; None where its axes and its
      name have to tell.
    - `order`: what the order of the arrays of this network means for depth, where that is not the same in
      all files of the format; all of them say the same.
    - `sort_name`: the name to sort by, where the file tells more of the order than `name` does.
    - `network`: the wrapper that holds this array, where one file holds several networks.
    - `member`: the network that holds it, where the file is a population and every network a model of its
      own. Those of one file are distinct and printable; the arrays of one follow each other.
    - `reason`: set when the reader already knows that this is no convolution weight, and why.
    - `layer`: the record of a weight that is already (out, in, *spatial); nothing is inferred then.
    - `metadata`: what the file tells about a layer; the same columns for all its layers.
    - `applied`: how the values come from what is stored, where the reader composes them itself.
    - `note`: what the reader had to assume about a weight.
    - `unread`: set beside `reason` for a weight that the network convolves with and that cannot be read:
      the checkpoint is then read in part, and a scan says so.
    - `stacked`: how many leading axes number layers of which each has a weight of its own, where the format
      knows; 0 where it knows that there is one.
    - `peek()`: the first `PEEK` bytes of the values as stored, without reading the others; None where the
      format cannot do so cheaply.
    - `file`: the file that holds the values, where that is not the checkpoint itself, relative to the
      folder that the checkpoint lies in; `further_files` where it lies in several.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Any]
    axes: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    mirrored: bool | None = None
    depth: int | None = None
    order: DepthSource | None = None
    sort_name: str = ""
    network: str = ""
    member: str = ""
    reason: str | None = None
    layer: Layer | None = None
    metadata: Metadata = dataclasses.field(default_factory=dict)
    applied: Applied = "as stored"
    note: str = ""
    unread: bool = False
    stacked: int | None = None
    peek: Callable[[], bytes | memoryview] | None = None
    file: str | None = None
    further_files: tuple[str, ...] = ()

    def values(self) -> np.ndarray | None:
        """The values; None where they cannot be read, which whoever needs them will say."""
        try:
            return np.asarray(self.read())
        except (CheckpointError, OSError):
            return None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A stored array that is no kernel layer, and the reason: a bias, a dense weight, a copy, and so on.

    Every array of a checkpoint that is not among its layers is listed as one of these, so that nothing
    vanishes. `shape` and `dtype` are as stored. `unread` is set where the network convolves with the array
    and its values cannot be read: the checkpoint is then known in part only.

    >>> Skipped("head.weight", (10, 512), "float32", "dense").unread
    False
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str
    unread: bool = False
