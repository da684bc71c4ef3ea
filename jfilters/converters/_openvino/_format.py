"""The OpenVINO format: the weights of all convolutions as the network computes them, and their depth."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ...errors import CheckpointError
from ...io import Location, checkpoint_errors, open_source
from ...layers import Applied
from .._axes import for_rank
from .._format import Format
from .._graph_depth import node_depths
from .._names import Distinct
from .._pairs import Pair
from .._stored import StoredArray
from ._constants import Constant
from ._values import MAX_DEPTH, PASSING, Tracer, Untraced, Value
from ._xml import Node, Shape, describes, read_nodes

PAIR = Pair((".xml",), ".bin", describes)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A type of convolution: the port of its weight, whether groups are an axis of it, its direction."""

    port: int = 1
    is_grouped: bool = False
    transposed: bool = False


CONVOLUTIONS = {
    "Convolution": Convolution(),
    "GroupConvolution": Convolution(is_grouped=True),
    "ConvolutionBackpropData": Convolution(transposed=True),
    "GroupConvolutionBackpropData": Convolution(is_grouped=True, transposed=True),
    "DeformableConvolution": Convolution(port=2),
    "BinaryConvolution": Convolution(),
}


def _arrays(path: Location) -> Sequence[StoredArray]:
    files = PAIR.files(path)
    nodes = read_nodes(open_source(files.description))
    with checkpoint_errors(files.description):
        listing = _Listing(path, files.weights, nodes)
        names = Distinct()
        return [
            dataclasses.replace(array, name=names(array.name), file=files.beside)
            for array in (*listing.weights(), *listing.others())
        ]


class _Listing:
    """The arrays of one model."""

    def __init__(self, path: Location, weights: Location, nodes: Sequence[Node]):
        self._path, self._nodes, source = path, nodes, open_source(weights)
        self._constants = {
            index: Constant(node, source)
            for index, node in enumerate(nodes)
            if node.kind == "Const"
        }
        self._tracer = Tracer(nodes, self._constants)
        self._reasons: dict[int, str] = {}
        self._depths = self._longest_paths()

    def weights(self) -> list[StoredArray]:
        """The weights of all convolutions; a weight of several is that of the first."""
        users: dict[int, int] = {}
        for index in sorted(self._convolutions(), key=lambda index: self._depths[index]):
            node = self._nodes[index]
            source = node.reads.get(CONVOLUTIONS[node.kind].port)
            if source is None:
                self._refuse(node, "a convolution without a weight")
            users.setdefault(source, index)
        return [self._weight(source, index) for source, index in users.items()]

    def others(self) -> Iterator[StoredArray]:
        """The constants that are no weight."""
        readers: dict[int, tuple[int, Node]] = {}
        for index, node in enumerate(self._nodes):
            for source in node.reads.values():
                readers.setdefault(source, (index, node))
        for index, constant in self._constants.items():
            reason = self._reasons.get(index) or _role(index, readers)
            if reason != _WEIGHT:
                name = _name(self._nodes[index])
                yield StoredArray(
                    name, constant.shape, constant.dtype_name, constant.read, reason=reason
                )

    def _convolutions(self) -> Iterator[int]:
        return (index for index, node in enumerate(self._nodes) if node.kind in CONVOLUTIONS)

    def _longest_paths(self) -> list[int]:
        # A parameter of a body waits for what the owner of the body reads.
        feeds = [
            [
                index
                for source in node.sources
                for index in (self._nodes[~source].reads.values() if source < 0 else (source,))
            ]
            for node in self._nodes
        ]
        inputs = [at for at, x in enumerate(self._nodes) if not feeds[at] and x.kind != "Const"]
        depths = node_depths(feeds, inputs)
        if depths is None:
            raise CheckpointError("layers that feed each other in a circle", path=self._path)
        return depths

    def _weight(self, source: int, index: int) -> StoredArray:
        node = self._nodes[index]
        try:
            value = self._tracer.trace(source)
            return self._layer(node, self._depths[index], value)
        except Untraced as error:
            return self._unread(node, self._depths[index], source, str(error))

    def _layer(self, node: Node, depth: int, value: Value) -> StoredArray:
        layout = _layout(node, value.shape)
        for part in value.parts:
            self._reasons.setdefault(part, f"part of the weight of {node.kind} {node.name}")
        constant = self._constants[value.main]
        self._reasons[value.main] = _WEIGHT
        return StoredArray(
            name=_name(self._nodes[value.main]),
            dtype=constant.dtype_name,
            read=lambda: value.read().reshape(layout["shape"]),
            depth=depth,
            applied=_applied(value, is_integer=constant.is_integer),
            **layout,
        )

    def _unread(self, node: Node, depth: int, source: int, reason: str) -> StoredArray:
        """A convolution whose weight cannot be computed."""

        def read() -> NoReturn:
            raise CheckpointError(reason, path=self._path, tensor=node.name)

        layout: dict[str, Any] = {"shape": ()}
        with contextlib.suppress(Untraced):
            layout = _layout(node, self._nodes[source].shape)
        is_kernel = set(layout["shape"][2:]) != {1}
        return StoredArray(
            name=f"{node.name}.weight",
            dtype="unknown",
            read=read,
            depth=depth,
            reason=reason,
            unread=is_kernel,
            **layout,
        )

    def _refuse(self, node: Node, reason: str) -> NoReturn:
        raise CheckpointError(reason, path=self._path, tensor=node.name)


_WEIGHT = "weight"


def _layout(node: Node, shape: Shape) -> dict[str, Any]:
    """The fields of an array that say how the weight of a convolution lies. Raises Untraced."""
    convolution, groups = CONVOLUTIONS[node.kind], 1
    if convolution.is_grouped and len(shape) > 1:
        groups, shape = shape[0], (shape[0] * shape[1], *shape[2:])
    elif node.kind == "DeformableConvolution":
        groups = int(node.data.get("group", "1")[:9])
    if not 3 <= len(shape) <= 5 or groups < 1 or min(shape) < 1:
        raise Untraced(f"a weight of {shape} in {groups} groups")
    return {
        "shape": shape,
        "axes": for_rank("IOHW" if convolution.transposed else "OIHW", len(shape)),
        "groups": groups,
        "transposed": convolution.transposed,
        "mirrored": False,
    }


def _applied(value: Value, *, is_integer: bool) -> Applied:
    if value.is_computed or (value.is_scaled and not is_integer):
        return "computed"
    return "dequantized" if is_integer else "as stored"


def _role(index: int, readers: dict[int, tuple[int, Node]]) -> str:
    """The use that the first node makes of a constant, behind those that only pass it on."""
    for _ in range(MAX_DEPTH):
        if index not in readers:
            return "used by no layer"
        index, node = readers[index]
        if node.kind not in PASSING:
            return f"used by {node.kind}, not by a convolution"
    return "used behind many conversions"


def _name(node: Node) -> str:
    """The name of a constant in the model that was converted, where the file has it."""
    return node.names.partition(",")[0] or node.name


FORMAT = Format(
    name="openvino",
    reads="OpenVINO models (IR 10 and 11), compressed or quantized; true graph depth",
    suffixes=(".xml", ".bin"),
    recognizes=PAIR.recognizes,
    arrays=_arrays,
    order="registration-order",
)
