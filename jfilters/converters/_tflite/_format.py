"""The TensorFlow Lite format: a layer for every weight of a convolution, and all other stored tensors."""

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import Flatbuffer, Location, open_source
from .._format import Format
from .._names import Distinct
from .._stored import StoredArray
from . import _schema as schema
from ._model import ABSENT, Reader, Subgraph, Tensor
from ._values import NotRead, is_quantized, values_reader
from ._weights import Weight, roots, weights

_IDENTIFIER = b"TFL3"


def _recognizes(path: Location, head: bytes) -> bool:
    return head[4:8] == _IDENTIFIER or head[8:12] == _IDENTIFIER


def _arrays(path: Location) -> Sequence[StoredArray]:
    subgraphs = Reader(Flatbuffer(open_source(path))).subgraphs()
    return list(_Listing(path, subgraphs).entries())


class _Listing:
    """The arrays of one model, whose names are given out one after the other."""

    def __init__(self, path: Location, subgraphs: Sequence[Subgraph]):
        self.path, self.subgraphs = path, subgraphs
        self.names, self.weights, self.listed = Distinct(), {}, set()
        for weight in weights(subgraphs):
            self.weights.setdefault((weight.subgraph, weight.tensor), weight)
        self.networks = self._networks()

    def entries(self) -> Iterator[StoredArray]:
        """All arrays, in the order of the file."""
        for number, subgraph in enumerate(self.subgraphs):
            roles = _roles(subgraph)
            for index, tensor in enumerate(subgraph.tensors):
                weight = self.weights.get((number, index))
                if weight is not None and tensor.span is not None:
                    yield self._weight(weight, tensor)
                elif tensor.span is not None or tensor.is_external:
                    yield self._skipped(number, tensor, roles.get(index, "used by no operator"))
        for (number, index), weight in self.weights.items():
            tensor = self.subgraphs[number].tensors[index] if index != ABSENT else None
            if tensor is None or tensor.span is None:
                name = weight.operator.name if tensor is None else tensor.name
                yield self._unread(number, name, weight.shape, "unknown", weight.reason)

    def _networks(self) -> list[str]:
        """The network that each subgraph is a part of, named where several have convolutions."""
        root = roots(self.subgraphs)
        networks = {root[number] for number, _ in self.weights}
        names = Distinct()
        labels = {number: names(self.subgraphs[number].name) for number in sorted(networks)}
        return [labels.get(number, "") if len(networks) > 1 else "" for number in root]

    def _weight(self, weight: Weight, tensor: Tensor) -> StoredArray:
        network = self.networks[weight.subgraph]
        # Several signatures of a model share their weights.
        if (place := (tensor.span, tensor.shape)) in self.listed:
            return self._skipped(weight.subgraph, tensor, "the weight of another subgraph")
        self.listed.add(place)
        if weight.read is None:
            return self._unread(
                weight.subgraph, tensor.name, weight.shape, tensor.dtype, weight.reason
            )
        convolution = schema.CONVOLUTIONS[weight.operator.name]
        axes = convolution.axes if len(weight.shape) == len(convolution.axes) else None
        return StoredArray(
            self.names(tensor.name),
            weight.shape,
            tensor.dtype,
            weight.read,
            axes=axes,
            groups=weight.groups,
            transposed=convolution.transposed,
            mirrored=False,
            depth=weight.depth,
            network=network,
            reason=None if axes else f"a weight of {len(weight.shape)} axes",
            applied="dequantized" if is_quantized(tensor) else "as stored",
        )

    def _skipped(self, number: int, tensor: Tensor, reason: str) -> StoredArray:
        def read() -> np.ndarray:
            try:
                return values_reader(tensor)()
            except NotRead as error:
                raise CheckpointError(str(error), path=self.path, tensor=tensor.name) from error

        return StoredArray(
            self.names(tensor.name),
            tensor.shape,
            tensor.dtype,
            read,
            network=self.networks[number],
            reason=reason,
            # A weight of few bits is told by the operator alone.
            unread=reason.startswith("a weight of "),
        )

    def _unread(
        self, number: int, name: str, shape: tuple[int, ...], dtype: str, reason: str
    ) -> StoredArray:
        """A weight that a convolution applies and that is not read."""

        def read() -> NoReturn:
            raise CheckpointError(reason, path=self.path, tensor=name)

        is_kernel = set(_spatial(shape)) != {1}
        network = self.networks[number]
        return StoredArray(
            self.names(name), shape, dtype, read, network=network, reason=reason, unread=is_kernel
        )


def _spatial(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The extents of a weight: those between its channels, or in front of them in three dimensions."""
    return shape[:3] if len(shape) == 5 else shape[1:-1]


def _roles(subgraph: Subgraph) -> dict[int, str]:
    """The use that the first operator makes of each tensor that it reads."""
    roles: dict[int, str] = {}
    for operator in subgraph.operators:
        convolution = schema.CONVOLUTIONS.get(operator.name)
        for position, tensor in enumerate(operator.inputs):
            if convolution is not None:
                what = "bias" if position == convolution.bias else "a parameter"
                reason = f"{what} of {operator.name}"
            elif "conv" in operator.name.lower() and position:
                reason = f"a weight of {operator.name}, whose axes are not known"
            else:
                reason = f"used by {operator.name}, not by a convolution"
            roles.setdefault(tensor, reason)
    return roles


FORMAT = Format(
    name="tflite",
    reads="TensorFlow Lite (LiteRT) models: float, quantized or sparse; true graph depth",
    suffixes=(".tflite",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
