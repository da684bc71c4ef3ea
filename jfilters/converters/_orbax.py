"""Orbax checkpoints: a tree in `_METADATA`, its arrays as zarr in plain folders or in OCDBT.

A step is a folder of items, each with its own tree; a manager's root is a folder of steps. Arrays
are read one by one with tensorstore, which, unlike Orbax's own restore, needs neither the tree nor
the devices that saved it.
"""

import functools
import math
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, UnreadableError
from ..io import (
    LEAST_EXPANSION,
    MAX_JSON_BYTES,
    RATIO,
    Location,
    base_name,
    budget,
    children,
    open_source,
    parsed_json,
)
from ._copied import copied_arrays
from ._format import Format
from ._names import split_params
from ._not_weights import OPTIMIZER, path_reason
from ._orbax_layout import (
    COMMITTED,
    STEP_FILE,
    TREE,
    UNFINISHED,
    is_item,
    items_of,
    recognizes,
)
from ._orbax_stores import TIMEOUT, open_stores, tensorstore_errors
from ._stored import StoredArray

LARGEST_LIMIT = 1 << 34
"""Bytes that no array or chunk may exceed."""

_CHUNK_BYTES = 1_000
"""Memory of one chunk while it is read."""

_SETTINGS = ("use_ocdbt", "use_zarr3", "store_array_data_equal_to_fill_value")


def arrays(path: Location) -> Sequence[StoredArray]:
    """Every array of every item, known from metadata alone; `network` is the item's name.

    Raises CheckpointError if the checkpoint is unfinished, damaged, or holds only optimizer state.
    """
    if not isinstance(path, Path):
        # Tensorstore has clients of its own, but not fsspec's credentials.
        return copied_arrays(path, arrays)
    try:
        limit = min(LARGEST_LIMIT, max(LEAST_EXPANSION, RATIO * _stored_bytes(path)))
        items = items_of(path)
        _check_finished(path, items)
        if not items and not is_item(path):
            raise CheckpointError(f"expected the file {TREE}, here or in an item", path=path)
        stored = [array for item in items or [path] for array in _item_arrays(item, path, limit)]
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), path=path) from error
    if {array.reason for array in stored if len(array.shape) > 1} == {OPTIMIZER}:
        remedy = "give the checkpoint that holds the parameters"
        raise CheckpointError("holds only optimizer state", path=path, remedy=remedy)
    return stored


def _check_finished(path: Location, items: list[Location]):
    inside = [base_name(child) for child in children(path)]
    folder = path.resolve()
    names = [name for name in (folder.parent.name, folder.name, *inside) if UNFINISHED in name]
    step = _json(path / STEP_FILE) if STEP_FILE in inside else {}
    begun = step.get("init_timestamp_nsecs") and not step.get("commit_timestamp_nsecs")
    committed = any((item / COMMITTED).is_file() for item in items)
    if names or (COMMITTED not in inside and (begun or committed)):
        why = f"{names[0]} is temporary" if names else "no commit was recorded"
        remedy = "wait for the save to end, or use an earlier step"
        raise CheckpointError(f"unfinished: {why}", path=path, remedy=remedy)


def _json(path: Location) -> dict[str, Any]:
    """An object from a JSON file of bounded size."""
    source = open_source(path)
    if source.size > MAX_JSON_BYTES:
        reason = f"{source.size} bytes of metadata; expected at most {MAX_JSON_BYTES}"
        raise CheckpointError(reason, path=path)
    content = parsed_json(source.read(0, source.size), path, is_strict=False)
    if not isinstance(content, dict):
        raise CheckpointError("expected a JSON object", path=path)
    return content


def _item_arrays(item: Location, path: Location, limit: int) -> list[StoredArray]:
    """The arrays of one item of the checkpoint at `path`, each of at most `limit` bytes."""
    if not (item / TREE).is_file():
        raise CheckpointError(f"expected the file {TREE}, which lists the arrays", path=item)
    network = "" if item == path else item.name
    with budget(path).temporary():
        metadata = _json(item / TREE)
        leaves, random_keys = _leaves(metadata, item / TREE), _random_keys(item)
        metadata = {key: metadata.get(key) for key in _SETTINGS}
    stores = open_stores(item, [".".join(keys) for keys in leaves], metadata)
    return [
        _stored(item, network, keys, store, limit, random_keys)
        for keys, store in zip(leaves, stores, strict=True)
    ]


def _stored_bytes(folder: Location) -> int:
    """The size of all files below a folder; raises CheckpointError for links and special files.

    Tensorstore would follow links out of the folder and wait for the writer of a FIFO.
    """
    total, pending = 0, [folder]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_symlink():
                remedy = "copy the folder with its links followed (cp -rL)"
                raise CheckpointError("a symbolic link", path=entry, remedy=remedy)
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                pending.append(entry)
            elif not stat.S_ISREG(status.st_mode):
                raise CheckpointError("expected a regular file, found a special one", path=entry)
            total += status.st_size
    return total


def _leaves(metadata: dict[str, Any], path: Location) -> list[tuple[str, ...]]:
    """The key paths of all arrays; strings and empty nodes are none."""
    try:
        return [
            tuple(str(key["key"]) for key in node["key_metadata"])
            for node in metadata["tree_metadata"].values()
            if not node["value_metadata"]["skip_deserialize"]
            and node["value_metadata"]["value_type"] != "string"
        ]
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"expected tree_metadata with keys and values ({error})"
        raise CheckpointError(reason, path=path) from error


def _random_keys(item: Location) -> set[str]:
    """The names of arrays that hold keys of JAX's random number generators."""
    folder = item / "array_metadatas"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    try:
        entries = [e["array_metadata"] for file in files for e in _json(file)["array_metadatas"]]
        return {entry["param_name"] for entry in entries if entry.get("ext_metadata")}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"expected array_metadatas ({error})", path=folder) from error


def _stored(
    item: Location,
    network: str,
    keys: tuple[str, ...],
    store: Any,
    limit: int,
    random_keys: set[str],
) -> StoredArray:
    # The state of an nnx module holds every parameter as a variable with the field `value`.
    path = keys[:-1] if len(keys) > 1 and keys[-1] == "value" else keys
    name = ".".join(path)
    axes = "HWIO" if name.split(".")[-1] == "kernel" else None
    reason = "random number key" if ".".join(keys) in random_keys else None
    reason = path_reason([part.lower() for part in (network, *keys)]) or reason
    inner, leaf = split_params(path)
    if inner:
        network, name = ".".join(filter(None, (network, inner))), leaf.replace("/", ".")
    chunks = zip(store.shape, store.chunk_layout.read_chunk.shape or (), strict=False)
    count = math.prod(-(-size // chunk) for size, chunk in chunks)
    # An array beyond the limit is refused by its size, whenever it is read.
    if math.prod(store.shape) * store.dtype.numpy_dtype.itemsize <= limit:
        budget(item).take(memory=_CHUNK_BYTES * count)
    reader = functools.partial(_read, item, name, store, limit)
    return StoredArray(
        name,
        tuple(store.shape),
        store.dtype.name,
        reader,
        axes=axes,
        network=network,
        reason=reason,
    )


def _read(item: Location, name: str, store: Any, limit: int) -> np.ndarray:
    with tensorstore_errors(item, name):
        layout = store.chunk_layout
        # A scalar has no chunk shape.
        shapes = (store.shape, layout.read_chunk.shape, layout.write_chunk.shape)
        size = max(math.prod(shape or ()) for shape in shapes) * store.dtype.numpy_dtype.itemsize
        if size > limit:
            reason = f"an array or chunk of {size} bytes; expected at most {limit} from this folder"
            raise CheckpointError(reason, path=item, tensor=name)
        return np.asarray(store.read().result(timeout=TIMEOUT))


FORMAT = Format(
    name="orbax",
    reads="Orbax checkpoints: one step or item, in OCDBT or plain zarr, from any number of devices",
    suffixes=(),
    recognizes=recognizes,
    arrays=arrays,
)
