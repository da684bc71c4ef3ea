"""The values of a stored tensor: unpacked, dense and dequantized."""

import functools
from collections.abc import Callable

import numpy as np

from .._dtypes import numeric_dtype
from . import _schema as schema
from ._model import Tensor
from ._sparse import densified


class NotRead(Exception):
    """The reason why the values of a weight are not read."""


def is_quantized(tensor: Tensor) -> bool:
    """Return whether integers stand for the values."""
    return tensor.dtype in schema.QUANTIZED


def weight_reader(tensor: Tensor) -> Callable[[], np.ndarray]:
    """The reader of a weight as the network applies it.

    Raises NotRead if it cannot be read, CheckpointError if its values do not fit its shape.
    """
    if tensor.is_external or tensor.span is None:
        raise NotRead("its values lie in another file")
    values = values_reader(tensor)
    if not is_quantized(tensor):
        return values
    scale, zero = _quantization(tensor)
    return lambda: _dequantized(values(), scale, zero)


def values_reader(tensor: Tensor) -> Callable[[], np.ndarray]:
    """The reader of the values as they are stored."""
    name = "int8" if tensor.dtype == "int2" else tensor.dtype.removesuffix("4") + "8"
    dtype = numeric_dtype(name if tensor.bits < 8 else tensor.dtype)
    if tensor.bits == 0 or dtype is None or tensor.span is None:
        raise NotRead(f"{tensor.dtype} values are not read")
    sparsity = tensor.table.table(schema.Tensor.SPARSITY)
    if min(tensor.shape, default=1) < 0:
        tensor.table.file.refuse(f"{tensor.name}: a shape of {tensor.shape}")
    if sparsity is None:
        _check_size(tensor)
    return functools.partial(_read, tensor, dtype, sparsity)


def _check_size(tensor: Tensor) -> None:
    start, stop = tensor.span or (0, 0)
    expected = -(-tensor.size * tensor.bits // 8)
    if stop - start != expected:
        whole = f"{tensor.dtype} {tensor.shape}"
        tensor.table.file.refuse(
            f"{tensor.name}: expected {expected} bytes of {whole}, found {stop - start}"
        )


def _read(tensor: Tensor, dtype: np.dtype, sparsity) -> np.ndarray:
    start, stop = tensor.span or (0, 0)
    data = np.frombuffer(tensor.table.file.source.read(start, stop), np.uint8)
    if tensor.bits < 8:
        values = _unpacked(data, tensor.bits, signed=tensor.dtype.startswith("int"))
    else:
        values = data[: len(data) // dtype.itemsize * dtype.itemsize].view(dtype)
    if sparsity is not None:
        return densified(sparsity, values, tensor.shape)
    return values[: tensor.size].reshape(tensor.shape)


def _unpacked(data: np.ndarray, bits: int, *, signed: bool) -> np.ndarray:
    """Several values a byte, the first in the lowest bits, as one value a byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = (data[:, None] >> shifts & np.uint8(2**bits - 1)).ravel()
    if not signed:
        return values
    # Moved to the top and back, the sign fills the bits above.
    return (values << np.uint8(8 - bits)).view(np.int8) >> np.int8(8 - bits)


def _quantization(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The scale and the zero point, in shapes that broadcast against the tensor."""
    table = tensor.table.table(schema.Tensor.QUANTIZATION)
    if table is not None and table.number(schema.Quantization.DETAILS, "<B"):
        raise NotRead("quantized in blocks or by an operator of one's own")
    scale = np.empty(0) if table is None else table.numbers(schema.Quantization.SCALE, "<f4")
    if table is None or not len(scale):
        raise NotRead("integer weights without a scale")
    zero = table.numbers(schema.Quantization.ZERO, "<i8")
    zero = zero if len(zero) else np.zeros(1, np.int64)
    axis = table.number(schema.Quantization.AXIS, "<i")
    return _along(tensor, scale, axis), _along(tensor, zero, axis)


def _along(tensor: Tensor, parameter: np.ndarray, axis: int) -> np.ndarray:
    single = [1] * len(tensor.shape)
    if len(parameter) == 1:
        return parameter.reshape(single)
    if not 0 <= axis < len(single) or len(parameter) != tensor.shape[axis]:
        along = f"along axis {axis} of {tensor.shape}"
        tensor.table.file.refuse(f"{tensor.name}: {len(parameter)} scales or zero points {along}")
    single[axis] = len(parameter)
    return parameter.reshape(single)


def _dequantized(values: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    # Float32 as in the interpreter; a double holds the difference of the integers exactly.
    return (values.astype(np.float64) - zero).astype(np.float32) * scale
