"""The element types of OpenVINO, and the constants that lie in the file of weights."""

import math
import re

import numpy as np

from ...errors import CheckpointError
from ...io import ByteSource
from .._dtypes import numeric_dtype
from ._xml import Node, Shape

MAX_AXES = 16
"""Axes of a constant, far beyond any weight."""

_FLOATS = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_EIGHT = {"f8e4m3": "float8_e4m3fn", "f8e5m2": "float8_e5m2"}
_INTEGERS = {f"{sign}{bits}": f"{name}{bits}"
             for sign, name in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)}  # fmt: skip
_HALVES = {"i4": "int4", "u4": "uint4"}
DTYPES = _FLOATS | _EIGHT | _INTEGERS | _HALVES | {"boolean": "bool"}
"""The names of dtypes by those of element types; of the two of 4 bits two values share a byte."""

_NUMBER = re.compile(r"\d{1,15}")


class Constant:
    """A constant: its shape, the dtype of what is stored, and its place in the file.

    `dtype` is None where its values cannot be read. Raises CheckpointError if the file cannot hold it.
    """

    def __init__(self, node: Node, source: ByteSource):
        self._node, self._source = node, source
        self.element = node.data.get("element_type", "")
        self.dtype = numeric_dtype(DTYPES[self.element]) if self.element in DTYPES else None
        self.shape = _shape(node)
        self._start, size = (self._number(key) for key in ("offset", "size"))
        self._stop = self._start + size
        if self._stop > source.size:
            self._refuse(f"bytes {self._start}..{self._stop} of {source.size}")
        if self.dtype is not None and size != self._bytes():
            self._refuse(f"{size} bytes for {self.element} {self.shape}, expected {self._bytes()}")

    @property
    def dtype_name(self) -> str:
        """The name of the dtype, or of the element type where numpy has none."""
        return self.element if self.dtype is None else self.dtype.name

    @property
    def is_integer(self) -> bool:
        """Return whether the values are integers, which only a scale makes a weight."""
        return self.element in _INTEGERS or self.element in _HALVES

    def read(self) -> np.ndarray:
        """The values as stored."""
        if self.dtype is None:
            self._refuse(f"values of {self.element!r:.20}, which are not read")
        data = self._source.read(self._start, self._stop)
        if self.element not in _HALVES:
            return np.frombuffer(data, self.dtype.newbyteorder("<")).reshape(self.shape)
        packed = np.frombuffer(data, np.uint8)
        # The first of two values is in the lower half.
        halves = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)
        values = halves[: math.prod(self.shape)].astype(np.int8).reshape(self.shape)
        return values - 16 * (values > 7).astype(np.int8) if self.element == "i4" else values

    def _bytes(self) -> int:
        count = math.prod(self.shape)
        if self.element in _HALVES:
            return -(-count // 2)
        return count * (self.dtype.itemsize if self.dtype is not None else 0)

    def _number(self, key: str) -> int:
        text = self._node.data.get(key, "")
        if not _NUMBER.fullmatch(text):
            self._refuse(f"expected a number of bytes as {key}, found {text!r:.20}")
        return int(text)

    def _refuse(self, reason: str):
        raise CheckpointError(reason, path=self._source.path, tensor=self._node.name)


def _shape(node: Node) -> Shape:
    text = node.data.get("shape", "").strip()
    axes = [axis.strip() for axis in text.split(",")] if text else []
    if len(axes) > MAX_AXES or not all(_NUMBER.fullmatch(axis) for axis in axes):
        raise CheckpointError(f"expected a shape, found {text!r:.80}", tensor=node.name)
    return tuple(map(int, axes))
