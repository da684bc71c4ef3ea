"""Caffe models (.caffemodel): the layers of a network with their blobs, in protobuf.

Field numbers are those of the public schema, BVLC/caffe/src/caffe/proto/caffe.proto.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import CheckpointError
from ..io import Location, ProtobufFile, ProtobufMessage, open_source, packed_varints
from ._axes import for_rank
from ._format import Format
from ._graph_depth import feeds_by_name, node_depths
from ._names import Distinct
from ._stored import StoredArray

MAX_LAYERS = 1 << 16
"""Layers of a network."""

MAX_AXES = 32
"""Axes of a blob, as Caffe limits them."""

_NET = {*range(1, 9), 100}
_CONVOLUTIONS = {"Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", "Deconvolution"}
_OLD_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}


@dataclasses.dataclass(frozen=True)
class _Fields:
    """The numbers of the fields of a layer, which another schema had before."""

    name: int
    type: int
    reads: int
    makes: int
    blobs: int
    convolution: int


_LAYERS = {100: _Fields(1, 2, 3, 4, 7, 106), 2: _Fields(4, 5, 2, 3, 6, 10)}


class _Blob:
    NUM, WIDTH, DATA, SHAPE, DOUBLES = 1, 4, 5, 7, 8


@dataclasses.dataclass
class _Layer:
    """One layer: its type and name, what it reads and makes, its blobs, and the groups that it states."""

    kind: str = ""
    name: str = ""
    reads: list[str] = dataclasses.field(default_factory=list)
    makes: list[str] = dataclasses.field(default_factory=list)
    blobs: list[ProtobufMessage] = dataclasses.field(default_factory=list)
    groups: int | None = None


def _recognizes(path: Location, head: bytes) -> bool:
    # A name, or a layer at once; a layer needs a name and a type.
    if not head.startswith((b"\n", b"\xa2\x06", b"\x12")):
        return False
    try:
        message = ProtobufFile(open_source(path)).message()
        for number, field in itertools.islice(message, 64):
            if number not in _NET or isinstance(field, int):
                return False
            if number in _LAYERS:
                return _is_layer(field, _LAYERS[number])
    except CheckpointError:
        return False
    return False


def _is_layer(message: ProtobufMessage, fields: _Fields) -> bool:
    """Return whether a message has the name and the type of a layer, the type as its schema has it."""
    kinds = {number: type(field) for number, field in itertools.islice(message, 64)}
    expected = ProtobufMessage if fields is _LAYERS[100] else int
    return kinds.get(fields.name) is ProtobufMessage and kinds.get(fields.type) is expected


def _arrays(path: Location) -> Sequence[StoredArray]:
    layers = list(_layers(ProtobufFile(open_source(path)).message()))
    feeds = feeds_by_name([x.reads for x in layers], [x.makes for x in layers])
    depths = node_depths(feeds, [at for at, sources in enumerate(feeds) if not sources])
    if depths is None:
        raise CheckpointError("layers that feed each other in a circle", path=path)
    names = Distinct()
    return [
        dataclasses.replace(array, name=names(array.name))
        for layer, depth in zip(layers, depths, strict=True)
        for array in _of_layer(layer, depth)
    ]


def _layers(message: ProtobufMessage) -> Iterator[_Layer]:
    layers = (
        _layer(field, _LAYERS[number])
        for number, field in message
        if number in _LAYERS and isinstance(field, ProtobufMessage)
    )
    for count, layer in enumerate(layers):
        if count == MAX_LAYERS:
            message.wire.refuse(f"more than {MAX_LAYERS} layers")
        yield layer


def _layer(message: ProtobufMessage, fields: _Fields) -> _Layer:
    layer = _Layer()
    for number, field in message:
        if isinstance(field, int):
            if number == fields.type:
                layer.kind = _OLD_TYPES.get(field, f"type {field}")
        elif number == fields.name:
            layer.name = field.text()
        elif number == fields.type:
            layer.kind = field.text()
        elif number == fields.reads:
            layer.reads.append(field.text())
        elif number == fields.makes:
            layer.makes.append(field.text())
        elif number == fields.blobs:
            layer.blobs.append(field)
        elif number == fields.convolution:
            groups = [value for key, value in field if key == 5 and isinstance(value, int)]
            layer.groups = groups[-1] if groups else None
    return layer


def _of_layer(layer: _Layer, depth: int) -> Iterator[StoredArray]:
    is_convolution = layer.kind in _CONVOLUTIONS
    for index, message in enumerate(layer.blobs):
        role = ("weight", "bias")[index] if index < 2 else str(index)
        array = _blob(f"{layer.name}.{role}", message, keeps_ones=is_convolution and not index)
        if not is_convolution or index:
            is_named = not is_convolution and (len(array.shape) > 2 or layer.kind == "BatchNorm")
            reason = f"used by {layer.kind}, not by a convolution" if is_named else None
            yield dataclasses.replace(array, reason=reason)
            continue
        rank, transposed = len(array.shape), layer.kind == "Deconvolution"
        depthwise = array.shape[0] if "epthwise" in layer.kind and array.shape else 1
        yield dataclasses.replace(
            array,
            axes=for_rank("IOHW" if transposed else "OIHW", rank) if 3 <= rank <= 5 else None,
            groups=max(layer.groups or depthwise, 1),
            transposed=transposed,
            mirrored=False,
            depth=depth,
        )


def _blob(name: str, message: ProtobufMessage, *, keeps_ones: bool) -> StoredArray:
    """One blob, whose values lie in one range; it is read only if they are as many as its shape says."""
    shape: tuple[int, ...] | None = None
    old, spans = [1, 1, 1, 1], list[tuple[str, ProtobufMessage]]()
    for number, field in message:
        if number == _Blob.SHAPE and isinstance(field, ProtobufMessage):
            shape = _shape(field)
        elif _Blob.NUM <= number <= _Blob.WIDTH and isinstance(field, int):
            old[number - 1] = field
        elif number in (_Blob.DATA, _Blob.DOUBLES) and isinstance(field, ProtobufMessage):
            spans.append(("float32" if number == _Blob.DATA else "float64", field))
    if shape is None:
        shape = tuple(old) if keeps_ones else _without_ones(old)
    if any(axis >> 31 for axis in shape):
        message.wire.refuse(f"expected the axes of a blob, found {shape!s:.80}")
    dtype, values = spans[0] if len(spans) == 1 else ("float32", message)
    if len(spans) != 1 or len(values) != math.prod(shape) * np.dtype(dtype).itemsize:
        sizes = ", ".join(str(len(span)) for _, span in spans[:3]) or "none"
        reason = f"{name}: expected the bytes of {dtype} {shape} in one piece, found {sizes}"
        raise CheckpointError(reason, path=message.wire.source.path)
    return StoredArray(name, shape, dtype, functools.partial(_read, values, dtype, shape))


def _shape(message: ProtobufMessage) -> tuple[int, ...]:
    axes: list[int] = []
    for number, field in message:
        if number == 1 and len(message) <= 10 * MAX_AXES:
            axes += [field] if isinstance(field, int) else packed_varints(field.read()).tolist()
    if len(axes) > MAX_AXES:
        message.wire.refuse(f"more than {MAX_AXES} axes of a blob")
    return tuple(map(int, axes))


def _without_ones(old: Sequence[int]) -> tuple[int, ...]:
    """The shape of a blob that always has 4 axes: vectors and matrices have ones before theirs."""
    if old[:3] == [1, 1, 1]:
        return (old[3],)
    return tuple(old[2:]) if old[:2] == [1, 1] else tuple(old)


def _read(values: ProtobufMessage, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(values.read(), np.dtype(dtype).newbyteorder("<")).reshape(shape)


FORMAT = Format(
    name="caffe",
    reads="Caffe models (.caffemodel) of both schemas; true graph depth",
    suffixes=(".caffemodel",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
