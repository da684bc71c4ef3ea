"""The TensorFlow.js format: weights of a manifest, and what a graph or a Keras topology says about them."""

from collections.abc import Hashable, Sequence
from typing import Any

from ...errors import CheckpointError
from ...io import Location, base_name, children, is_file, is_folder, open_source
from ...layers import Applied
from .._axes import for_rank
from .._foreign import promises_weights
from .._format import Format
from .._names import looks_transposed, parts
from .._stored import StoredArray
from .._tensorflow._flat import FlatGraph, TooLarge
from .._tensorflow._listing import Facts, graph_facts
from .._tensorflow._uses import Uses
from .._tensorflow._value import Value
from ._manifest import MANIFEST, TOPOLOGY, Weight, is_model, read_model, shards_beside, weights
from ._topology import graph_of, layers_of

MAX_MODELS = 16
"""JSON files of a folder that are looked into."""

_HEAD = 512


def _recognizes(path: Location, head: bytes) -> bool:
    try:
        if not head and is_folder(path):
            return _only_model(path) is not None
        return is_model(path, head)
    except (CheckpointError, OSError):
        return False


def _only_model(folder: Location) -> Location | None:
    """The one model of a folder that holds no other weights."""
    files = [file for file in children(folder) if is_file(file)]
    described = [file for file in files if base_name(file).endswith(".json")]
    if not 0 < len(described) <= MAX_MODELS:
        return None
    models = [file for file in described if is_model(file, bytes(open_source(file).read(0, _HEAD)))]
    names = {base_name(file) for file in files} - shards_beside(models and files)
    is_alone = len(models) == 1 and not any(map(promises_weights, names))
    return models[0] if is_alone else None


def _arrays(path: Location) -> Sequence[StoredArray]:
    model = _only_model(path) if is_folder(path) else path
    if model is None:
        raise CheckpointError("expected one TensorFlow.js model", path=path)
    content = read_model(model)
    listed = list(weights(model, content[MANIFEST]))
    facts = _facts(model, content.get(TOPOLOGY), listed)
    arrays = [_array(weight, facts.get(weight.name, Facts())) for weight in listed]
    return arrays + [fact.missing for fact in facts.values() if fact.missing is not None]


def _facts(path: Location, topology: Any, listed: Sequence[Weight]) -> dict[Hashable, Facts]:
    graph = graph_of(topology, path)
    if graph is None:
        return _layer_facts(layers_of(topology, path), listed)
    by_name = {weight.name: Value(weight.name, weight.shape, weight.read) for weight in listed}

    def lookup(flat: FlatGraph, number: int) -> Value | None:
        record = flat.nodes[number].record
        return by_name.get(record.name) if record else None

    try:
        return graph_facts(Uses(FlatGraph(*graph), lookup), path)
    except TooLarge as error:
        raise CheckpointError(str(error), path=path) from error


def _layer_facts(layers: dict[str, Any], listed: Sequence[Weight]) -> dict[Hashable, Facts]:
    """What the names of Keras and the classes of its layers say."""
    return {weight.name: _of_layer(layers, weight) for weight in listed}


def _of_layer(layers: dict[str, Any], weight: Weight) -> Facts:
    *outer, leaf = parts(weight.name)
    layer = next((layers[name] for name in reversed(outer) if name in layers), None)
    kind, rank = layer.kind if layer else "", len(weight.shape)
    if kind and "conv" not in kind:
        return Facts(reason=f"{kind}: no convolution" if rank > 2 else None)
    if rank not in (3, 4, 5) or not leaf.endswith("kernel"):
        return Facts()
    if leaf == "depthwise_kernel" or kind.startswith("depthwise_"):
        return Facts(axes=for_rank("HWIM", rank), transposed=False)
    transposed = "transpose" in kind if kind else looks_transposed(weight.name)
    axes = for_rank("HWOI" if transposed else "HWIO", rank)
    groups = layer.groups if layer and leaf == "kernel" else None
    return Facts(axes=axes, groups=groups, transposed=transposed)


def _array(weight: Weight, facts: Facts) -> StoredArray:
    first, *further = weight.files or (None,)
    shape, read = facts.shape or weight.shape, facts.read or weight.read
    return StoredArray(
        weight.name,
        shape,
        weight.dtype,
        read,
        axes=facts.axes,
        groups=facts.groups,
        transposed=facts.transposed,
        mirrored=False if facts.transposed else None,
        depth=facts.depth,
        reason=facts.reason or ("text" if weight.dtype == "string" else None),
        unread=facts.unread,
        applied=_applied(weight, facts),
        file=first,
        further_files=tuple(further),
    )


def _applied(weight: Weight, facts: Facts) -> Applied:
    if facts.is_computed:
        return "computed"
    return "as stored" if weight.scale is None else "dequantized"


FORMAT = Format(
    name="tfjs",
    reads="TensorFlow.js models, of graphs or of layers, with their shards, quantized or not",
    suffixes=(".json",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
