"""The traces of training beside the weights: running statistics of BatchNorm, and its counted steps."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import CheckpointError
from ..io import Location, checkpoint_errors
from ._names import parts
from ._stored import StoredArray

_COUNTER = "num_batches_tracked"  # of torch
_AVERAGES = ("mean_ema", "var_ema")  # of Haiku, each with a counter of its own
_VARIANCES = ("running_var", "moving_variance")
_NUMBERED = {"0", "1", "2", "3"}  # how Keras 3 stores gamma, beta, mean and variance
_IN_GRAPH = ("used by BatchNorm", "used by FusedBatchNorm", "used by _FusedBatchNorm")
"""How reasons begin that graphs give."""
_WITHOUT_NAMES = ("equinox", "equinox module", "filterdb")
"""Formats whose arrays need not be called what they are."""

_LARGEST = 1 << 62


@dataclasses.dataclass(frozen=True)
class Counters:
    """The counters of training steps in a checkpoint, and whether BatchNorm left running statistics.

    - `has_batchnorm`: None where the file does not tell.
    - `counters`: the first and the last counter, which are not read yet.
    """

    has_batchnorm: bool | None = None
    counters: tuple[StoredArray, ...] = ()

    def updates(self, path: Location) -> int | None:
        """Read the counters and return the largest; None without any that can be read."""
        numbers = [_number(array, path) for array in self.counters]
        return max((number for number in numbers if number is not None), default=None)


def find_counters(arrays: Sequence[StoredArray], format: str) -> Counters:
    """Return what BatchNorm counted and kept, by the names of all arrays of a checkpoint."""
    counters = [array for array in arrays if _is_counter(array)]
    ends = tuple(counters[place] for place in sorted({0, len(counters) - 1}) if counters)
    if counters or _has_statistics(arrays) or any(_is_normalized(array) for array in arrays):
        return Counters(True, ends)
    is_unknown = format in _WITHOUT_NAMES or all(array.layer is not None for array in arrays)
    return Counters(None if is_unknown or _is_one_array(arrays, format) else False)


def _is_normalized(array: StoredArray) -> bool:
    return (array.reason or "").startswith(_IN_GRAPH)


def _is_counter(array: StoredArray) -> bool:
    if math.prod(array.shape) != 1:
        return False
    *_, place, name = ["", *parts(array.name)]
    return name == _COUNTER or (name == "counter" and place in _AVERAGES)


def _has_statistics(arrays: Iterable[StoredArray]) -> bool:
    leaves: dict[tuple[str, ...], set[str]] = {}
    for array in arrays:
        if len(array.shape) <= 2 or array.name.endswith("average"):  # Haiku keeps four axes
            *place, name = parts(array.name)
            is_number = name in _NUMBERED and array.reason != "normalization"
            if not is_number:
                leaves.setdefault((array.member, array.network, *place), set()).add(name)
    return any(
        not names.isdisjoint(_VARIANCES)
        or {"mean", "var"} <= names
        or names == _NUMBERED
        or (place[-1] == "var_ema" and "average" in names)
        for place, names in leaves.items()
    )


def _is_one_array(arrays: Sequence[StoredArray], format: str) -> bool:
    return format == "numpy" and len(arrays) == 1


def _number(array: StoredArray, path: Location) -> int | None:
    with contextlib.suppress(CheckpointError), checkpoint_errors(path, array.name):
        number = int(np.asarray(array.read()).reshape(-1)[0])
        return number if 0 <= number <= _LARGEST else None
    return None
