"""Arrays from the records of a pickle: torch's tensors, NumPy's and JAX's arrays.

Each is recognized by the function that would have built it; its values are read later, if at all.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Literal

import ml_dtypes
import numpy as np

from ...errors import CheckpointError
from ...io import Global, Inert, PickledBytes
from ._distributed import Local, local_part
from ._legacy import nested_storage
from ._storage import LARGEST, MAX_RANK, Storage, View, dtype_of, with_bits


@dataclasses.dataclass(frozen=True, slots=True)
class PickledArray:
    """An array in a pickle: as in `StoredArray`, with the `View` that tells aliases apart."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    reason: str | None = None
    view: View | None = None
    torch: bool = True
    unread: bool = False


def pickled_array(value: object) -> PickledArray | None:
    """The array that a value stands for, or None. Raises `CheckpointError` for a bad one."""
    if isinstance(value, Storage):
        return _whole(value)
    if local := local_part(value):
        return _local(local)
    name, args, state = _unwrapped(value)
    if name.startswith("torch._utils._rebuild") or name in _UNREADABLE:
        return _TENSORS.get(name.rpartition(".")[2], _unreadable)(name, args)
    if name in _NUMPY_STATES and isinstance(state, tuple):
        return _numpy_state(state)
    if name in _NUMPY_BUFFERS:
        return _numpy_buffer(args)
    return None


def _local(local: Local) -> PickledArray:
    """The part of a spread tensor that the file holds, if it is the whole; else why it is none."""
    part = None if local_part(local.tensor) else pickled_array(local.tensor)
    reason = local.reason(part.shape if part else ())
    if part and not reason:
        return part
    kind = part.dtype if part else "unknown"
    return dataclasses.replace(_valueless(local.shape, kind, reason or "a shard"), unread=True)


_WRAPPERS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_xla_tensor",
    "torch.nn.parameter.Parameter",
    "torch.autograd.variable.Variable",
}
_SUBCLASSES = {"torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2"}
_JAX = "jax._src.array._reconstruct_array"
_DEEPEST_WRAPPER = 8
_UNREADABLE = {"torch._tensor._rebuild_wrapper_subclass"}


def _unwrapped(value: object) -> tuple[str, tuple, object]:
    """Name, arguments and state of the record inside the wrappers, which add no values."""
    for _ in range(_DEEPEST_WRAPPER):
        if not isinstance(value, Inert):
            break
        match value.name, value.args:
            case name, (Global() as function, _, tuple(args), *_) if name in _SUBCLASSES:
                value = Inert(function.name, args)
            case name, (inner, *_) if name in _WRAPPERS:
                value = inner
            case name, (Global() as function, _, tuple(state), *_) if name == _JAX:
                value = Inert(function.name, state=state)
            case _:
                return value.name, value.args, value.state
    return "", (), None


def _whole(storage: Storage) -> PickledArray | None:
    """A storage that was saved by itself."""
    return _viewed(storage, storage.kind, 0, (storage.count,), (1,))


def _strided(name: str, args: tuple) -> PickledArray:
    match _with_storage(args):
        case (Storage() as storage, offset, size, strides, _, _, metadata, *_) if metadata:
            return _viewed(storage, storage.kind, offset, size, strides, metadata)
        case (Storage() as storage, offset, size, strides, *_):
            return _viewed(storage, storage.kind, offset, size, strides)
    raise _refusal(f"{name} without a storage, an offset, a shape and strides")


def _strided_with_dtype(name: str, args: tuple) -> PickledArray:
    match _with_storage(args):
        case (Storage() as storage, offset, size, strides, _, _, Global(name=dtype), *metadata):
            return _viewed(storage, dtype, offset, size, strides, *metadata[:1])
    raise _refusal(f"{name} without a storage, an offset, a shape, strides and a dtype")


def _with_storage(args: tuple) -> tuple:
    """The arguments, with the storage that a plain pickle holds as a torch file of its own."""
    match args:
        case (
            Inert(name="torch.storage._load_from_bytes", args=(PickledBytes() as data,)),
            *arguments,
        ):
            if data.latin1:
                raise _refusal("a tensor that was pickled with protocol 2; save it with torch.save")
            return (nested_storage(data), *arguments)
    return args


def _viewed(
    storage: Storage,
    kind: str | None,
    offset: object,
    size: object,
    strides: object,
    metadata: object = None,
) -> PickledArray:
    dtype, shape = dtype_of(kind), _integers(size)
    if dtype is None:
        return _valueless(shape, kind or "unknown", f"dtype {kind or 'unknown'} is not read")
    start = storage.offset + _integer(offset)
    view = View(storage, dtype, start, shape, _integers(strides))
    view = with_bits(view, metadata) if metadata else view
    if view.repeats:
        reason = f"{view.count} elements that repeat {view.extent} stored ones"
        return dataclasses.replace(_valueless(shape, dtype.name, reason), view=view)
    return PickledArray(shape, dtype.name, view.read, view=view)


def _quantized(name: str, args: tuple) -> PickledArray:
    """Integers as float32, by a scale and a zero point for all or for each index of one axis."""
    stored, parameters = _strided(name, args), args[4:5]
    if stored.view is None or stored.reason:
        return stored
    match parameters:
        case ((Global(name="torch.per_tensor_affine"), float(scale), int(zero)),):
            reader = _dequantizer(stored.view, lambda: (np.float64(scale), np.float64(zero)))
        case ((Global(name="torch.per_channel_affine"), scales, zeros, int(axis)),):
            reader = _dequantizer(stored.view, _by_channel(stored.shape, scales, zeros, axis))
        case _:
            return dataclasses.replace(stored, reason="a quantization scheme that is not read")
    return dataclasses.replace(stored, dtype="float32", read=reader)


Numbers = Callable[[], tuple[np.ndarray | np.floating, np.ndarray | np.floating]]


def _dequantizer(view: View, numbers: Numbers) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        scale, zero = numbers()
        with np.errstate(over="ignore", invalid="ignore"):
            return (scale * (view.read().astype(np.float64) - zero)).astype(np.float32)

    return read


def _by_channel(shape: tuple[int, ...], scales: object, zeros: object, axis: int) -> Numbers:
    parameters = _unquantized(scales), _unquantized(zeros)
    if not 0 <= axis < len(shape) or {part.shape for part in parameters} != {
        shape[axis : axis + 1]
    }:
        raise _refusal(f"scales or zero points that do not go with axis {axis} of {shape}")
    along = tuple(-1 if index == axis else 1 for index in range(len(shape)))

    def read() -> tuple[np.ndarray, np.ndarray]:
        scale, zero = (part.read().astype(np.float64).reshape(along) for part in parameters)
        return scale, zero

    return read


def _unquantized(value: object) -> PickledArray:
    # Only a plain tensor: a quantized one would have scales of its own, and so on without end.
    match value:
        case Inert(name="torch._utils._rebuild_tensor_v2" as name, args=args):
            return _strided(name, args)
    raise _refusal("scales or zero points that are no plain tensors")


def _unreadable(name: str, args: tuple) -> PickledArray:
    kind = name.rpartition("_rebuild_")[2].removesuffix("_no_storage").replace("_", " ")
    return _valueless((), "unknown", f"a {kind}, which stores no dense values")


_TENSORS = {
    "_rebuild_tensor": _strided,
    "_rebuild_tensor_v2": _strided,
    "_rebuild_tensor_v3": _strided_with_dtype,
    "_rebuild_qtensor": _quantized,
}

_NUMPY_STATES = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
_NUMPY_BUFFERS = {f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")}
_DTYPE = re.compile(r"[<>|=]?([fiu][1248]|c8|c16|b1)")


def _numpy_state(state: tuple) -> PickledArray:
    match state[-4:]:
        case (shape, dtype, bool(fortran) | int(fortran), data):
            return _numpy(shape, dtype, "F" if fortran else "C", data)
    raise _refusal("a NumPy array without shape, dtype, order and data")


def _numpy_buffer(args: tuple) -> PickledArray:
    match args:
        case (data, dtype, shape, str(order)):
            return _numpy(shape, dtype, order, data)
    raise _refusal("a NumPy array without data, dtype, shape and order")


def _numpy(size: object, kind: object, order: str, data: object) -> PickledArray:
    shape, dtype = _integers(size), _numpy_dtype(kind)
    if dtype is None or not isinstance(data, PickledBytes | str):
        return dataclasses.replace(_valueless(shape, "object", "not numeric"), torch=False)
    expected = math.prod(shape) * dtype.itemsize
    stored = data.stop - data.start if isinstance(data, PickledBytes) else len(data)
    # Text takes up to two bytes for each of its single bytes.
    most = 2 * expected if isinstance(data, PickledBytes) and data.latin1 else expected
    possible = min(shape, default=0) >= 0 and math.prod(filter(None, shape)) < LARGEST
    if not possible or not expected <= stored <= most:
        raise _refusal(f"{dtype} {shape} needs {expected} bytes, found {stored}")
    layout = "F" if order == "F" else "C"
    return PickledArray(
        shape, dtype.name, lambda: _numpy_values(data, dtype, shape, layout), torch=False
    )


def _numpy_values(
    data: PickledBytes | str, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]
) -> np.ndarray:
    try:
        raw = data.read() if isinstance(data, PickledBytes) else data.encode("latin-1")
        return np.frombuffer(raw, dtype, math.prod(shape)).reshape(shape, order=order)
    except ValueError as error:
        raise _refusal(f"the text is not that of the bytes of {dtype} {shape}") from error


def _numpy_dtype(kind: object) -> np.dtype | None:
    """The dtype that a call of numpy.dtype would give; None for structures and objects."""
    match kind:
        case Inert(name="numpy.dtype", args=(str(code), *_), state=state) if _DTYPE.fullmatch(code):
            order = ">" if isinstance(state, tuple) and state[1:2] == (">",) else "<"
            return np.dtype(code).newbyteorder(order)
        case Inert(name="numpy.dtype", args=(Global(name=name), *_)) if name.startswith(
            "ml_dtypes."
        ):
            return np.dtype(dtype) if (dtype := _EXTENDED.get(name)) else None
    return None


_EXTENDED = {
    f"ml_dtypes.{name}": getattr(ml_dtypes, name)
    for name in ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
}


def _valueless(shape: tuple[int, ...], dtype: str, reason: str) -> PickledArray:
    def read() -> np.ndarray:
        raise _refusal(reason)

    return PickledArray(shape, dtype, read, reason)


def _integers(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple) and len(value) <= MAX_RANK:
        return tuple(_integer(number) for number in value)
    raise _refusal(f"expected a shape or strides of at most {MAX_RANK} numbers")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _refusal(f"expected an integer, found {type(value).__name__}")


def _refusal(reason: str) -> CheckpointError:
    return CheckpointError(reason)
