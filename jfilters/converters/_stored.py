"""What a format's reader hands over: stored arrays that know their name and shape and are read on demand.

Selection, axes and depth are decided once for all formats, from these records alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ..kernels import Layer


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array of a checkpoint, not yet read.

    - `read()` gives the values as stored: this shape, this axis order, the stored dtype (extended dtypes
      such as bfloat16 and float8 come as ml_dtypes).
    - `axes`, `groups`, `transposed`, `depth`: set where the format knows, None where it has to be inferred.
      `depth` is the longest path from an input in the network's graph.
    - `network`: the wrapper that holds this array, where one file holds several networks.
    - `reason`: set when the reader already knows that this is no convolution weight, and why.
    - `layer`: the record of a weight that is already (out, in, *spatial); nothing is inferred then.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    axes: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    depth: int | None = None
    network: str = ""
    reason: str | None = None
    layer: Layer | None = None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A stored array that is no kernel layer, and why."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str
