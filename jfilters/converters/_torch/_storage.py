"""torch's storages, flat runs of numbers, and the strided views of them that tensors are.

A view is checked against its storage before anything is read, and only the bytes it spans are.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import ml_dtypes
import numpy as np

from ...errors import CheckpointError
from ...io import Global, Inert, InertMapping
from .._stored import PEEK

MAX_REPEATED = 1 << 26
"""Bytes that a view may take once copied where it repeats elements, as expand() does."""

_PIECE, _SPREAD = 1 << 26, 4
"""Bytes from which on a view is read in halves if it skips more than it shows, that many times over."""

MAX_RANK = 32

LARGEST = 1 << 62
"""A number of elements that no file holds."""

_DTYPES = {
    "float64": np.float64, "double": np.float64, "float32": np.float32, "float": np.float32,
    "float16": np.float16, "half": np.float16, "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e5m2": ml_dtypes.float8_e5m2, "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8_e8m0fnu": ml_dtypes.float8_e8m0fnu,
    "complex64": np.complex64, "complex128": np.complex128, "bool": np.bool_,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "short": np.int16, "int": np.int32, "long": np.int64,
    "qint8": np.int8, "quint8": np.uint8, "qint32": np.int32,
}  # fmt: skip

_STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Bool": "bool",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "Untyped": "uint8",
}  # fmt: skip


@runtime_checkable
class Storages(Protocol):
    """The place of a file's storages; `base` distinguishes the files within one file."""

    big_endian: bool
    base: int

    def size(self, key: str) -> int:
        """The bytes of a storage."""
        ...

    def read(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes start..stop of a storage."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """A pickle's reference to a storage; `kind` is torch's name of its dtype, if it is known."""

    owner: Storages
    key: str
    kind: str | None
    count: int
    offset: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A tensor as a strided view, in elements, of a storage that it must not leave.

    `negative` and `conjugate` are torch's bits of a view that stands for -x, or for the conjugate of x.
    """

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    negative: bool = False
    conjugate: bool = False

    def __post_init__(self):
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or len(self.shape) > MAX_RANK:
            raise _refusal(f"shape {self.shape[:9]} does not go with strides {self.strides[:9]}")
        if min(numbers) < 0 or max(numbers) >= LARGEST:
            raise _refusal("a shape, a stride or an offset is negative or larger than any file")
        if self.count == 0 and math.prod(filter(None, self.shape)) >= LARGEST:
            raise _refusal(f"shape {self.shape} is larger than any file")
        if self.count and (self.offset + self.extent) * self.dtype.itemsize > self.available:
            raise _refusal(
                f"the view needs {(self.offset + self.extent) * self.dtype.itemsize} bytes of "
                f"storage {self.storage.key}, which has {self.available}"
            )

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def extent(self) -> int:
        """Elements of the storage from the first to the last that the view touches."""
        last = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        return last + 1 if self.count else 0

    @property
    def available(self) -> int:
        """The bytes of the storage."""
        return self.storage.owner.size(self.storage.key)

    @property
    def repeats(self) -> bool:
        """Return whether the view is far larger than what it shows."""
        return self.count > self.extent and self.count * self.dtype.itemsize > MAX_REPEATED

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for two views of the same elements."""
        storage, bits = self.storage, (self.negative, self.conjugate)
        place = (storage.owner.base, storage.key, self.dtype)
        # Axes of one index have any stride: without them no file picks numbers of one hash.
        steps = tuple(
            0 if n == 1 else step for n, step in zip(self.shape, self.strides, strict=True)
        )
        return (*place, self.offset, self.shape, steps, *bits)

    @property
    def is_plain(self) -> bool:
        """Return whether the elements are those of the storage."""
        return not (self.negative or self.conjugate)

    def peek(self) -> memoryview:
        """The first bytes of the elements, as far as they lie in one piece."""
        start = self.offset * self.dtype.itemsize
        stop = start + min(self.extent * self.dtype.itemsize, PEEK)
        return self.storage.owner.read(self.storage.key, start, stop)

    def read(self) -> np.ndarray:
        """The elements, without a copy where byte order and bits allow it."""
        values = self._stored()
        values = values.conj() if self.conjugate else values
        return np.negative(values) if self.negative else values

    def _stored(self) -> np.ndarray:
        """The elements as the storage holds them."""
        width, owner = self.dtype.itemsize, self.storage.owner
        if self.count == 0:
            return np.zeros(self.shape, self.dtype)
        if self.extent > _SPREAD * self.count and self.extent * width > _PIECE:
            return self._read_in_halves()
        start = self.offset * width
        data = owner.read(self.storage.key, start, start + self.extent * width)
        data = _native(data, self.dtype) if owner.big_endian else data
        strides = tuple(step * width for step in self.strides)
        return np.ndarray(self.shape, self.dtype, data, 0, strides)

    def _read_in_halves(self) -> np.ndarray:
        """The elements of a view that skips most of what lies between its first and its last."""
        spans = [(size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)]
        axis = spans.index(max(spans))
        half = self.shape[axis] // 2
        second = self.offset + half * self.strides[axis]
        parts = ((self.offset, half), (second, self.shape[axis] - half))
        return np.concatenate([self._part(*part, axis)._stored() for part in parts], axis)

    def _part(self, offset: int, size: int, axis: int) -> "View":
        shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
        return dataclasses.replace(self, offset=offset, shape=shape)


def persistent_storage(owner: Storages) -> Callable[[object], object]:
    """Return the function that resolves the persistent ids of a pickle whose storages lie in `owner`."""

    def value(key: object) -> object:
        match key:
            case ("module", Global() as kind, *_):
                return kind
            case ("storage", Global(name=name), str(identity), _, int(count)):
                return Storage(owner, identity, kind_of_storage(name), count)
            case ("storage", Global(name=name), str(identity), _, int(count), view):
                return _storage_view(Storage(owner, identity, kind_of_storage(name), count), view)
        raise _refusal("a persistent id that is no reference to a storage")

    return value


def with_bits(view: View, metadata: object) -> View:
    """The view with the bits that torch saves beside it. Raises CheckpointError for other metadata."""
    match metadata:
        case Inert(name="torch.jit._pickle.restore_type_tag", args=(inner, *_)):
            metadata = inner
    pairs = metadata.pairs() if isinstance(metadata, InertMapping) else [(metadata, True)]
    names = {key if isinstance(key, str) else "" for key, is_set in pairs if is_set}
    if not names <= {"neg", "conj"}:
        raise _refusal("metadata of torch other than the bits neg and conj")
    return dataclasses.replace(view, negative="neg" in names, conjugate="conj" in names)


def dtype_of(name: str | None) -> np.dtype | None:
    """torch's dtype, such as "torch.float32" or "bfloat16", as numpy's; None if numpy has none."""
    kind = _DTYPES.get(name.rpartition(".")[2]) if name else None
    return None if kind is None else np.dtype(kind)


def kind_of_storage(name: str) -> str | None:
    """torch's dtype of a storage class, such as "torch.FloatStorage"; None for an unknown class."""
    return _STORAGES.get(name.rpartition(".")[2].removesuffix("Storage"))


def _storage_view(storage: Storage, view: object) -> Storage:
    """The part of a storage that legacy files call a view: (key, offset, size), in elements."""
    match view:
        case None:
            return storage
        case (str(), int(offset), int(count)) if min(offset, count) >= 0:
            return dataclasses.replace(storage, offset=offset, count=count)
    raise _refusal("a storage view that is no (key, offset, size)")


def _native(data: memoryview, dtype: np.dtype) -> memoryview:
    """Big-endian bytes in this machine's order; the parts of a complex number swap apart."""
    width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    swapped = np.frombuffer(data, f">u{width}").astype(f"=u{width}")
    return memoryview(swapped.tobytes())


def _refusal(reason: str) -> CheckpointError:
    return CheckpointError(reason)
