"""Where the arrays of an ncnn model lie in its file of weights, how they are encoded, and their values."""

import dataclasses
import enum
import math

import numpy as np

from ...errors import CheckpointError
from ...io import ByteSource, Cursor
from ._sizes import Part

TABLE = 256
"""Entries of a lookup table."""


class Encoding(enum.Enum):
    """How the values of an array are stored, with the dtype and the bytes of one."""

    FLOAT32 = ("float32", 4)
    FLOAT16 = ("float16", 2)
    INT8 = ("int8", 1)
    TABLE = ("uint8", 1)

    @property
    def dtype(self) -> str:
        """The dtype of what is stored."""
        return self.value[0]

    @property
    def itemsize(self) -> int:
        """The bytes of one value."""
        return self.value[1]


# Source: ncnn, src/modelbin.cpp; any other tag but 0 says that a table of float32 and indices follow.
_TAGS = {
    0x01306B47: Encoding.FLOAT16,
    0x000D4B38: Encoding.INT8,
    0x0002C056: Encoding.FLOAT32,
    0: Encoding.FLOAT32,
}


@dataclasses.dataclass(frozen=True)
class Span:
    """The values of one array in the file; `table` is where their lookup table starts."""

    source: ByteSource
    start: int
    shape: tuple[int, ...]
    encoding: Encoding
    table: int = 0

    def read(self) -> np.ndarray:
        """The values: as stored, or as the lookup table says."""
        values = self._read(self.start, math.prod(self.shape), self.encoding)
        if self.encoding is Encoding.TABLE:
            table = self._read(self.table, TABLE, Encoding.FLOAT32)
            values = table[values]
        return values.reshape(self.shape)

    def _read(self, start: int, count: int, encoding: Encoding) -> np.ndarray:
        data = self.source.read(start, start + count * encoding.itemsize)
        return np.frombuffer(data, np.dtype(encoding.dtype).newbyteorder("<"))


def take(cursor: Cursor, part: Part) -> Span:
    """The span of an array that starts at the cursor, which moves behind it."""
    count, encoding, table = math.prod(part.shape), Encoding.FLOAT32, 0
    if part.is_tagged:
        tag = cursor.number("<I")
        encoding = _TAGS.get(tag, Encoding.TABLE)
        if encoding is Encoding.TABLE:
            table = cursor.skip(TABLE * Encoding.FLOAT32.itemsize)
    # Shorter values are padded to whole words.
    start = cursor.skip(-(-count * encoding.itemsize // 4) * 4)
    return Span(cursor.source, start, part.shape, encoding, table)


def divided(weight: Span, scales: Span) -> np.ndarray:
    """The float32 weight of integers that were multiplied by a factor for each output, or one for all.

    A factor of 0 belongs to weights that are all 0, as ncnn has it.
    """
    integers = weight.read().astype(np.float32)
    factors = scales.read()
    if len(integers) % len(factors):
        reason = f"{len(factors)} scales do not fit {len(integers)} outputs"
        raise CheckpointError(reason, path=weight.source.path)
    factors = np.repeat(factors, len(integers) // len(factors))
    factors = factors.reshape(-1, *[1] * (integers.ndim - 1))
    return np.divide(integers, factors, out=np.zeros_like(integers), where=factors != 0)
