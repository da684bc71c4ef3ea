"""The arrays of a scan by name: in memory, in a file until they are needed, or those of some layers.

A scan of thousands of models has gigabytes of them, and most questions need one or two.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool
from safetensors import SafetensorError

from .._bounds import check_header
from .._files import Location, open_tensors
from ._sketches import FIELDS, sketch_arrays, sketches_in
from ._validate import check_shapes, check_values, damaged
from .schema import ARRAY

Arrays = Mapping[str, np.ndarray]
"""Arrays under the names of `schema.ARRAYS`; other names are kept too."""


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of an arrays.safetensors, each read and checked when it is first asked for.

    Their types and shapes are checked when the file is opened, against `sizes` of the axes that are known.
    Raises CheckpointError for arrays that do not belong to one scan.
    """

    def __init__(self, path: Location, sizes: dict[str, int]):
        self._path, self._arrays = path, dict[str, np.ndarray]()
        check_header(path)
        try:
            with open_tensors(path) as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                self._shapes = {
                    name: (_DTYPES.get(str(part.get_dtype()), "other"), tuple(part.get_shape()))
                    for name, part in slices.items()
                }
        except (SafetensorError, OSError, TypeError) as error:
            raise damaged(path, f"expected the arrays of a scan, got: {error}") from error
        self._sizes = check_shapes(path, self._shapes, sizes)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            if name not in self._shapes:
                raise KeyError(name)
            self._arrays[name] = self._read(name)
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def _read(self, name: str) -> np.ndarray:
        try:
            with open_tensors(self._path) as file:
                array = file.get_tensor(name)
        except (SafetensorError, OSError, TypeError) as error:
            raise damaged(self._path, f"expected the array {name}, got: {error}") from error
        check_values(self._path, name, array, self._sizes)
        return array


class LayerArrays(Mapping[str, np.ndarray]):
    """The arrays of a scan for the layers in a mask alone; each is selected when it is first asked for."""

    def __init__(self, arrays: Arrays, mask: Bool[np.ndarray, " layers"]):
        self._whole, self._mask, self._arrays = arrays, mask, dict[str, np.ndarray]()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            if name in FIELDS and (sketches := sketches_in(self._whole)) is not None:
                self._arrays |= sketch_arrays(sketches.take(np.flatnonzero(self._mask)))
            else:
                self._arrays[name] = self._selected(name, self._whole[name])
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)

    def _selected(self, name: str, array: np.ndarray) -> np.ndarray:
        if name in ("sample", "sample.layer", "sample.is_even"):
            layer = self._whole["sample.layer"]
            in_mask = self._mask[layer]
            if name != "sample.layer":
                return array[in_mask]
            return (np.cumsum(self._mask) - 1)[layer[in_mask]]
        is_of_layers = name in ARRAY and ARRAY[name].axes[0] == "layers"
        return array[self._mask] if is_of_layers else array


_DTYPES = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
