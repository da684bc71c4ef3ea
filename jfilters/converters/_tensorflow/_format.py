"""The TensorFlow format: checkpoints, SavedModels and frozen graphs."""

from collections.abc import Sequence

from ...errors import CheckpointError
from ...io import (
    Location,
    ProtobufFile,
    ProtobufMessage,
    base_name,
    children,
    is_file,
    is_folder,
    is_sorted_table,
    open_source,
)
from .._foreign import promises_weights
from .._format import Format
from .._stored import StoredArray
from ._arrays import Arrays
from ._bundle import SUFFIX, Bundle
from ._flat import FlatGraph, TooLarge
from ._meta import flat_graph, meta_graph
from ._nodes import is_graph, read_graph

SAVED_MODEL = "saved_model.pb"
VARIABLES = "variables"

_OWN = ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb")


def _recognizes(path: Location, head: bytes) -> bool:
    try:
        if not head and is_folder(path):
            return _is_saved_model_folder(path)
        if head[:1] == b"\0":
            return is_sorted_table(open_source(path))
        if head[:2] == b"\x08\1":
            return _saved_model(ProtobufFile(open_source(path)).message())
        if head[:1] == b"\n":
            message = ProtobufFile(open_source(path)).message()
            return is_graph(message) and next(iter(message))[0] == 1
        return base_name(path).endswith(SUFFIX) and is_sorted_table(open_source(path))
    except (CheckpointError, OSError):
        return False


def _is_saved_model_folder(folder: Location) -> bool:
    """Return whether a folder is a SavedModel: some repositories keep other models beside it."""
    names = {base_name(path) for path in children(folder)}
    beside = names.difference(_OWN)
    return SAVED_MODEL in names and not any(map(promises_weights, beside))


def _saved_model(message: ProtobufMessage) -> bool:
    """Return whether a message is a SavedModel: its version, and graphs with nodes or functions."""
    numbers = [number for number, _ in message]
    graph = meta_graph(message) if set(numbers) == {1, 2} else None
    inner = (
        next((v for n, v in graph if n == 2 and not isinstance(v, int)), None) if graph else None
    )
    return inner is not None and is_graph(inner)


def _arrays(path: Location) -> Sequence[StoredArray]:
    if is_folder(path):
        return _of_saved_model(path / SAVED_MODEL)
    source = open_source(path)
    head = bytes(source.read(0, 2))
    if head == b"\x08\1":
        return _of_saved_model(path)
    if head[:1] == b"\n":
        return _of_graph(path, ProtobufFile(source).message())
    return _of_checkpoint(path)


def _of_graph(path: Location, message: ProtobufMessage) -> list[StoredArray]:
    graph = FlatGraph(*read_graph(message))
    return list(Arrays(path, None, graph).entries(constants=True))


def _of_saved_model(path: Location) -> list[StoredArray]:
    meta = meta_graph(ProtobufFile(open_source(path)).message())
    graph = None if meta is None else _flat(meta)
    index = path.parent / VARIABLES / f"{VARIABLES}{SUFFIX}"
    bundle = Bundle(index) if is_file(index) else None
    if bundle is None and _has_variables(graph):
        remedy = "fetch the whole folder of the SavedModel"
        reason = f"its weights lie in {VARIABLES}/{VARIABLES}{SUFFIX}, which is missing"
        raise CheckpointError(reason, path=path, remedy=remedy)
    folder = f"{VARIABLES}/"
    further = (f"{folder}{VARIABLES}{SUFFIX}",) if bundle else ()
    return list(Arrays(path, bundle, graph, folder, further).entries(constants=False))


def _of_checkpoint(path: Location) -> list[StoredArray]:
    stem = base_name(path).removesuffix(SUFFIX)
    beside = path.parent / f"{stem}.meta"
    has_graph = is_file(beside)
    graph = _flat(ProtobufFile(open_source(beside)).message()) if has_graph else None
    further = (base_name(beside),) if has_graph else ()
    return list(Arrays(path, Bundle(path), graph, "", further).entries(constants=False))


def _flat(meta: ProtobufMessage) -> FlatGraph | None:
    """The graph, None if it is too large to follow: names then tell of the weights."""
    try:
        return flat_graph(meta)
    except TooLarge:
        return None


def _has_variables(graph: FlatGraph | None) -> bool:
    return graph is not None and any(
        node.op in ("VarHandleOp", "VariableV2", "Variable") for node in graph.nodes
    )


def parts_beside(paths: Sequence[Location]) -> set[str]:
    """The names of those files of a folder that are parts of a checkpoint of TensorFlow."""
    names = {base_name(path) for path in paths}
    stems = tuple(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    parts = {
        name
        for name in names
        for stem in stems
        if name == f"{stem}.meta" or name.startswith(f"{stem}.data-")
    }
    if SAVED_MODEL in names:
        parts |= names.intersection(_OWN) - {SAVED_MODEL}
    # The SavedModel above stands for its variables.
    folder = paths[0].parent if f"{VARIABLES}{SUFFIX}" in names else None
    if folder and base_name(folder) == VARIABLES and is_file(folder.parent / SAVED_MODEL):
        parts |= {name for name in names if name.startswith(f"{VARIABLES}.")}
    return parts


FORMAT = Format(
    name="tensorflow",
    reads="TensorFlow checkpoints (.index, .data), SavedModels and frozen graphs; graph depth if told",
    suffixes=(".ckpt.index", ".pb"),
    recognizes=_recognizes,
    arrays=_arrays,
    order="name-order",
)
