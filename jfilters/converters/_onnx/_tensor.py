"""Stored ONNX tensors: raw bytes, typed fields or external files, checked first and read on demand.

Field numbers and encodings are those of the public schema, onnx/onnx.proto.
"""

import array
import dataclasses
import math
from collections.abc import Callable

import ml_dtypes
import numpy as np

from ...errors import CheckpointError
from ...io import ProtobufMessage, packed_varints, signed_varint
from ._external import ExternalFiles
from ._value import Value

MAX_RANK = 16
"""Axes of a tensor, far beyond any weight."""

_MAX_ENTRIES = 16

FLOAT, INT64 = 1, 7
_FLOATS, _INT32S, _INT64S, _DOUBLES, _UINT64S = 4, 5, 7, 10, 11

DTYPES: dict[int, tuple[np.dtype, int]] = {
    FLOAT: (np.dtype(np.float32), _FLOATS),
    2: (np.dtype(np.uint8), _INT32S),
    3: (np.dtype(np.int8), _INT32S),
    4: (np.dtype(np.uint16), _INT32S),
    5: (np.dtype(np.int16), _INT32S),
    6: (np.dtype(np.int32), _INT32S),
    INT64: (np.dtype(np.int64), _INT64S),
    9: (np.dtype(np.bool_), _INT32S),
    10: (np.dtype(np.float16), _INT32S),
    11: (np.dtype(np.float64), _DOUBLES),
    12: (np.dtype(np.uint32), _UINT64S),
    13: (np.dtype(np.uint64), _UINT64S),
    16: (np.dtype(ml_dtypes.bfloat16), _INT32S),
    17: (np.dtype(ml_dtypes.float8_e4m3fn), _INT32S),
    18: (np.dtype(ml_dtypes.float8_e4m3fnuz), _INT32S),
    19: (np.dtype(ml_dtypes.float8_e5m2), _INT32S),
    20: (np.dtype(ml_dtypes.float8_e5m2fnuz), _INT32S),
    24: (np.dtype(ml_dtypes.float8_e8m0fnu), _INT32S),
}
"""What TensorProto.DataType stands for, and the typed field that holds such values."""

_TYPED = {field for _, field in DTYPES.values()}

_UNREAD = {
    8: "string",
    14: "complex64",
    15: "complex128",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    25: "uint2",
    26: "int2",
    27: "float6_e2m3fn",
    28: "float6_e3m2fn",
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One stored tensor; `value` is None where values of its dtype are not read.

    `file` is where the values are, relative to the model's folder, if they are not in the model.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    value: Value | None
    file: str | None = None


class _Field:
    """Numbers of the fields of TensorProto; those of typed values stand in `DTYPES`."""

    DIMS, TYPE, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 8, 9, 13, 14


@dataclasses.dataclass
class _Header:
    """A TensorProto without its values: what it promises, and where the values are."""

    message: ProtobufMessage
    dims: list[int] = dataclasses.field(default_factory=list)
    type: int = 0
    name: str = ""
    raw: ProtobufMessage | None = None
    typed: dict[int, int] = dataclasses.field(default_factory=dict)
    entries: dict[str, str] = dataclasses.field(default_factory=dict)
    is_external: bool = False

    def error(self, reason: str) -> CheckpointError:
        """The error that names the tensor and the file."""
        return CheckpointError(reason, path=self.message.wire.source.path, tensor=self.name)


def read_tensor(message: ProtobufMessage, files: ExternalFiles) -> Tensor:
    """One TensorProto. Raises CheckpointError if its metadata contradict its bytes."""
    header = _header(message)
    shape = _shape(header)
    if header.type not in DTYPES:
        dtype = _UNREAD.get(header.type, f"data type {header.type}")
        return Tensor(header.name, shape, dtype, None)
    dtype, field = DTYPES[header.type]
    nbytes, file = math.prod(shape) * dtype.itemsize, None
    if header.is_external:
        data = files.reader(header.entries, nbytes, header.name)
        file = header.entries["location"]
    elif header.raw is not None:
        data = _raw(header, header.raw, nbytes)
    else:
        data = _typed(header, field, math.prod(shape), dtype)
    value = Value(shape, dtype, lambda: np.frombuffer(data(), dtype).reshape(shape))
    return Tensor(header.name, shape, dtype.name, value, file)


def read_numbers(attribute: ProtobufMessage, field: int, type: int) -> Tensor:
    """The numbers in one field of an AttributeProto, as a tensor of one axis."""
    dtype, _ = DTYPES[type]
    values = _collected(_Header(attribute, name="an attribute"), field, dtype)
    return Tensor("", values.shape, dtype.name, Value(values.shape, dtype, lambda: values))


def read_pair(entry: ProtobufMessage) -> tuple[str, str]:
    """The key and the value of a StringStringEntryProto."""
    texts = {number: field.text() for number, field in entry if isinstance(field, ProtobufMessage)}
    return texts.get(1, ""), texts.get(2, "")


def _header(message: ProtobufMessage) -> _Header:
    header = _Header(message)
    for number, field in message:
        match number, field:
            case _Field.DIMS, _:
                # One size too many is enough to refuse; `_shape` does so when it knows the name.
                header.dims = (header.dims + _sizes(header, field))[: MAX_RANK + 1]
            case _Field.TYPE, int():
                header.type = field
            case _Field.NAME, ProtobufMessage():
                header.name = field.text()
            case _Field.RAW, ProtobufMessage():
                header.raw = field
            case _Field.LOCATION, int():
                header.is_external = field == 1
            case _Field.EXTERNAL, ProtobufMessage() if len(header.entries) < _MAX_ENTRIES:
                header.entries.update([read_pair(field)])
            case _, _ if number in _TYPED:
                length = len(field) if isinstance(field, ProtobufMessage) else 1
                header.typed[number] = header.typed.get(number, 0) + length
    return header


def _sizes(header: _Header, field: int | ProtobufMessage) -> list[int]:
    if isinstance(field, int):
        return [signed_varint(field)]
    if len(field) > 10 * MAX_RANK:
        # A size takes ten bytes at most.
        return [0] * (MAX_RANK + 1)
    return _varints(header, field.read()).tolist()


def _shape(header: _Header) -> tuple[int, ...]:
    if len(header.dims) > MAX_RANK:
        raise header.error(f"expected at most {MAX_RANK} axes, found more")
    if any(size < 0 for size in header.dims):
        raise header.error(f"expected sizes of 0 and more, found {tuple(header.dims)}")
    return tuple(header.dims)


def _raw(header: _Header, raw: ProtobufMessage, nbytes: int) -> Callable[[], memoryview]:
    if len(raw) != nbytes or any(header.typed.values()):
        beside = " beside typed ones" if any(header.typed.values()) else ""
        raise header.error(f"expected {nbytes} bytes, found {len(raw)} raw ones{beside}")
    return raw.read


def _typed(header: _Header, field: int, size: int, dtype: np.dtype) -> Callable[[], bytes]:
    """Return the reader of `size` numbers in a typed field, whose bytes must be able to hold them."""
    stored = header.typed.get(field, 0)
    # A varint takes one to ten bytes; what it holds shows only when it is read.
    least, most = (dtype.itemsize,) * 2 if _is_fixed(dtype) else (1, 10)
    if not least * size <= stored <= most * size:
        raise header.error(f"expected {size} numbers of {dtype}, found {stored} bytes of them")
    recounted = dataclasses.replace(header, message=header.message.recounted())

    def read() -> bytes:
        values = _collected(recounted, field, dtype)
        if len(values) != size:
            raise header.error(f"expected {size} numbers of {dtype}, found {len(values)}")
        return values.tobytes()

    return read


def _is_fixed(dtype: np.dtype) -> bool:
    return dtype in (np.float32, np.float64)


def _collected(header: _Header, field: int, dtype: np.dtype) -> np.ndarray:
    """All numbers in one repeated field, packed or not."""
    if _is_fixed(dtype):
        return _collected_floats(header, field, dtype)
    values = array.array("q")
    for number, value in header.message:
        if number == field and isinstance(value, int):
            values.append(signed_varint(value))
        elif number == field and isinstance(value, ProtobufMessage):
            values.frombytes(_varints(header, value.read()).tobytes())
    return _narrowed(header, np.frombuffer(values, np.int64), dtype)


def _collected_floats(header: _Header, field: int, dtype: np.dtype) -> np.ndarray:
    data = bytearray()
    for number, value in header.message:
        if number == field and isinstance(value, ProtobufMessage):
            data += value.read()
    if len(data) % dtype.itemsize:
        raise header.error(f"expected numbers of {dtype}, found {len(data)} bytes")
    return np.frombuffer(data, dtype)


def _varints(header: _Header, data: memoryview) -> np.ndarray:
    try:
        return packed_varints(data)
    except ValueError as error:
        raise header.error(f"damaged protobuf: {error}") from error


def _narrowed(header: _Header, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers from a field of wider ones: integers by value, short floats by their bits."""
    if dtype in (np.int64, np.uint64):
        return values.view(dtype)
    integer = dtype if dtype.kind in "iu" else np.dtype(f"uint{8 * dtype.itemsize}")
    narrow = values.astype(integer)
    if (narrow != values).any():
        raise header.error(f"expected numbers of {dtype}, found some beyond its range")
    return narrow.view(dtype)
