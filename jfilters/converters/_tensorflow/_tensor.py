"""The types of TensorFlow, and tensors that a graph holds.

Source: tensorflow/core/framework/types.proto and tensor.proto.
"""

import math

import numpy as np

from ...io import LEAST_EXPANSION, RATIO, ProtobufMessage, packed_varints, signed_varint
from .._dtypes import numeric_dtype
from ._nodes import read_shape

DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    8: "complex64", 9: "int64", 10: "bool", 11: "int8", 12: "uint8", 13: "int32", 14: "bfloat16",
    15: "int16", 16: "uint16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource",
    21: "variant", 22: "uint32", 23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn",
}  # fmt: skip
"""Names of types by number; those that are quantized go by their integers."""

_CONTENT, _HALVES = 4, 13
_VARINTS = {7: "int32", 10: "int64", 11: "bool", 16: "uint32", 17: "uint64"}
_FIXED = {5: "<f4", 6: "<f8"}


class Tensor:
    """A TensorProto: its type and shape, and its values, which are read on demand."""

    def __init__(self, message: ProtobufMessage):
        self._message = message
        self.dtype, shape = "unknown", ()
        for number, value in message:
            if number == 1 and isinstance(value, int):
                self.dtype = DTYPES.get(value, f"type {value}")
            elif number == 2 and not isinstance(value, int):
                shape = read_shape(value)
        if shape is None or min(shape, default=0) < 0:
            message.wire.refuse(f"a constant of shape {shape}")
        self.shape: tuple[int, ...] = shape

    def texts(self) -> list[str]:
        """The values of a tensor of texts."""
        message = self._message.recounted()
        return [
            value.text() for number, value in message if number == 8 and not isinstance(value, int)
        ]

    def read(self) -> np.ndarray:
        """The values. Raises CheckpointError if they are no numbers, or do not fit the shape."""
        wire, dtype, size = self._message.wire, numeric_dtype(self.dtype), math.prod(self.shape)
        if dtype is None:
            wire.refuse(f"{self.dtype} values are not read")
        if size * dtype.itemsize > max(LEAST_EXPANSION, RATIO * wire.source.size):
            wire.refuse(f"a constant of shape {self.shape}")
        values = self._values(dtype)
        if len(values) > size or (len(values) == 0 and size):
            wire.refuse(f"expected {size} values of {self.dtype} {self.shape}, found {len(values)}")
        if len(values) < size:
            # The last value stands for all that follow.
            values = np.concatenate([values, np.full(size - len(values), values[-1], dtype)])
        return values.reshape(self.shape)

    def _values(self, dtype: np.dtype) -> np.ndarray:
        pieces: list[np.ndarray] = []
        for number, value in self._message.recounted():
            if number == _CONTENT and not isinstance(value, int):
                if len(value) % dtype.itemsize:
                    value.wire.refuse(f"{len(value)} bytes of {self.dtype}")
                return np.frombuffer(value.read(), dtype)
            piece = _piece(number, value, dtype)
            if piece is not None:
                pieces.append(piece)
        return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def _piece(number: int, value: "int | ProtobufMessage", dtype: np.dtype) -> np.ndarray | None:
    """The values of one field, packed or single."""
    if number in _FIXED and not isinstance(value, int):
        return np.frombuffer(value.read(), _FIXED[number]).astype(dtype)
    if number != _HALVES and number not in _VARINTS:
        return None
    numbers = (
        np.array([signed_varint(value)], np.int64)
        if isinstance(value, int)
        else packed_varints(value.read())
    )
    # Halves are the bits of a float, whatever it is.
    return numbers.astype(np.uint16).view(dtype) if number == _HALVES else numbers.astype(dtype)
