"""The ONNX format: weights wherever a graph keeps them, and the true depth of every convolution.

jfilters reads the file itself, range by range: it may be longer than protobuf's 2 GiB, no native
parser sees it, and the package onnx is not needed.
"""

from ...errors import CheckpointError
from ...io import Location, ProtobufFile, open_source
from .._format import Format
from .._stored import StoredArray
from ._external import ExternalFiles
from ._graph import Stored
from ._listing import Listing
from ._model import is_model, read_graph
from ._tensor import Tensor, read_numbers, read_tensor
from ._weights import collect


def read_listing(path: Location) -> Listing:
    """The arrays of an ONNX model, none of them read yet. Raises CheckpointError if it is damaged."""
    graph = read_graph(ProtobufFile(open_source(path)))
    files = ExternalFiles(path)
    tensors = {start: _read_stored(stored, files) for start, stored in graph.stored.items()}
    return Listing(path, graph, tensors, collect(graph, tensors))


def _arrays(path: Location) -> list[StoredArray]:
    return [array for array, _ in read_listing(path).entries()]


def _read_stored(stored: Stored, files: ExternalFiles) -> Tensor:
    """A stored tensor, wherever and however the model keeps it."""
    if stored.field:
        return read_numbers(stored.message, stored.field, stored.type)
    return read_tensor(stored.message, files)


def _recognizes(path: Location, head: bytes) -> bool:
    # A model has no magic number; ir_version comes first in every writer but pnnx: there it is the graph.
    is_version = head[:1] == b"\x08" and 1 <= int.from_bytes(head[1:2]) <= 0x1F
    if not is_version and head[:1] != b"\x3a":
        return False
    try:
        return is_model(ProtobufFile(open_source(path)))
    except CheckpointError:
        return False


FORMAT = Format(
    name="onnx",
    reads="ONNX models, with external data beside them, quantized or not",
    suffixes=(".onnx",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
