"""Arrays of two checkpoints that are no compared kernels: dense weights, norms, biases, 1x1 convolutions.

They are read only where the kernels are equal, to say whether the networks are.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..converters import Checkpoint, StoredArray, detect
from ..io import checkpoint_errors
from ..shift.internal import rounding

Key = tuple[str, str, str]

SHOWN = 3
"""Arrays that are named; of more the first ones."""


class OtherArrays(NamedTuple):
    """Comparison of all arrays that are no kernels, by their names.

    - `common`: arrays of one name in both files.
    - `differing`: names of those whose values differ by more than rounding, or whose shapes do.
    - `only`: names in one file alone, of the first and of the second.
    """

    common: int
    differing: tuple[str, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def are_equal(self) -> bool:
        """Return whether both files have the same arrays with equal values."""
        return not self.differing and not any(self.only)

    def record(self) -> dict[str, object]:
        """Return counts and names for JSON."""
        return {
            "common": self.common,
            "differing": list(self.differing),
            "only_first": list(self.only[0]),
            "only_second": list(self.only[1]),
        }

    def sentences(self) -> list[str]:
        """Return the sentences on what differs; none if nothing does."""
        texts = []
        if self.differing:
            texts.append(
                f"{len(self.differing)} of {self.common} other arrays differ: {_names(self.differing)}"
            )
        elif self.common and any(self.only):
            texts.append(f"the {self.common} other arrays that both have are equal")
        for side, names in zip(("first", "second"), self.only, strict=True):
            if names:
                noun = "array is" if len(names) == 1 else "arrays are"
                texts.append(f"{len(names)} other {noun} in the {side} alone: {_names(names)}")
        return texts


def other_arrays(first: Checkpoint, second: Checkpoint) -> OtherArrays | None:
    """Compare the arrays of two checkpoints that are no kernels. Each pair is read once.

    None where they cannot be told apart by name: of a file and a network in memory, and of `Kernels`.
    Raises CheckpointError if an array cannot be listed; one that cannot be read differs.
    """
    kinds = {_names_of(checkpoint) for checkpoint in (first, second)}
    if len(kinds) > 1 or "kernels" in kinds:
        return None
    a, b = (_arrays(checkpoint) for checkpoint in (first, second))
    common = [key for key in a if key in b]
    with checkpoint_errors(first.path):
        differing = [a[key].name for key in common if not _are_equal(a[key], b[key])]
    only = (
        tuple(a[key].name for key in a if key not in b),
        tuple(b[key].name for key in b if key not in a),
    )
    return OtherArrays(len(common), tuple(differing), only)


def _names_of(checkpoint: Checkpoint) -> str:
    """The naming of arrays: that of files, whose formats differ little, or that of a kind in memory."""
    return "file" if checkpoint.arrays is None else checkpoint.format


def _arrays(checkpoint: Checkpoint) -> dict[Key, StoredArray]:
    kernels = {_key(layer.stored) for layer in checkpoint.layers}
    with checkpoint_errors(checkpoint.path):
        listed = checkpoint.arrays
        if listed is None:
            listed = detect(checkpoint.path).arrays(checkpoint.path)
    return {key: array for array in listed if (key := _key(array)) not in kernels}


def _key(array: StoredArray) -> Key:
    return array.member, array.network, re.sub(r"[./]+", "/", array.name)


def _are_equal(a: StoredArray, b: StoredArray) -> bool:
    if a.shape != b.shape:
        return False
    first, second = a.values(), b.values()
    if first is None or second is None or first.shape != second.shape:
        return False
    return _are_values_equal(first, second)


def _are_values_equal(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype == b.dtype and a.tobytes() == b.tobytes():
        return True
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            # Of a vector each value has an error of its own, as a scale of a norm has.
            rows = [_rows(np.ascontiguousarray(x, np.float32)) for x in (a, b)]
    except (TypeError, ValueError):
        return False
    if np.issubdtype(a.dtype, np.integer) or np.issubdtype(b.dtype, np.integer):
        return np.array_equal(a, b)
    return rounding(*rows) is not None


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(-1, 1)


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(names[:SHOWN])
    return f"{listed} and {len(names) - SHOWN} more" if len(names) > SHOWN else listed
