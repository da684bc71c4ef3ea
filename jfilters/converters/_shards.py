"""Checkpoints in several files that an index names, joined for every format alike.

An index is JSON with a `weight_map` from the names of arrays to the files that hold them, as transformers,
diffusers and Keras write it. The whole is of the format that the files are of.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from ..errors import CheckpointError
from ..io import (
    MAX_JSON_BYTES,
    Location,
    base_name,
    budget,
    children,
    is_file,
    is_folder,
    json_object,
    open_source,
)
from ._depth_names import natural_key
from ._foreign import foreign_error, promises_weights
from ._format import Format
from ._names import split_params
from ._stored import StoredArray

_HEAD = 512
_INDEX = re.compile(r"(?P<stem>.+)(?P<suffix>\.\w+)\.index(?P<variant>\.\w+)?\.json")
_KERAS_INDEX = ".weights.json"
_RANKED = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_NETWORK = re.compile(r"\A(?:diffusion_)?(?:pytorch_|tf_|flax_)?model(?=\.|\Z)")
_KEYS = (b'"weight_map"', b'"metadata"')
_AGAIN = "the file is damaged or was cut short: fetch it again"
_SAME = "the same network in another format, not read"
_OTHER = "another file of weights beside the index, not read: give it by itself"


class Index(NamedTuple):
    """The files that hold each array, and the bytes of all arrays where the index tells them."""

    path: Location
    shards_of: dict[str, tuple[str, ...]]
    total: int | None

    @property
    def shards(self) -> list[str]:
        """The names of all files, in their numbered order."""
        names = {shard for shards in self.shards_of.values() for shard in shards}
        return sorted(names, key=natural_key)


def with_shards(single: Format, data_size: Callable[[Location], int] | None = None) -> Format:
    """The format that takes an index, or the folder of one, as well as a single file.

    `data_size` gives the bytes of the arrays of one file, where they are to sum up to what the index says.
    """

    def recognizes(path: Location, head: bytes) -> bool:
        try:
            if not head and is_folder(path):
                return bool(_indexes(path, single))
            return single.recognizes(path, head) or (_is_index(path, head) and _is_of(path, single))
        except (CheckpointError, OSError):
            return False

    def arrays(path: Location) -> Sequence[StoredArray]:
        if is_folder(path):
            joined = _joined(read_index(_the_index(path, single)), single, data_size)
            return joined + [_left_out(name, _OTHER) for name in uncovered(children(path))]
        if single.recognizes(path, bytes(open_source(path).read(0, _HEAD))):
            return single.arrays(path)
        return _joined(read_index(path), single, data_size)

    return dataclasses.replace(single, recognizes=recognizes, arrays=arrays)


def read_index(path: Location) -> Index:
    """The index in a file. Raises CheckpointError if it is none."""
    content = json_object(open_source(path))
    weight_map, metadata = content.get("weight_map"), content.get("metadata", {})
    if not isinstance(weight_map, dict):
        _refuse(path, "expected a weight_map from tensor names to file names")
    shards_of = {name: _names(path, value) for name, value in weight_map.items()}
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return Index(path, shards_of, total)


def companions(paths: Sequence[Location]) -> set[str]:
    """The names of those files of a folder that an index among them stands for.

    Those are its shards, and the index of the same network in a format that is read less well.
    """
    names = {base_name(path): path for path in paths}
    indexes = [name for name in names if is_named_as_index(name)]
    shards = {shard for name in indexes for shard in _shards(names[name])}
    return shards | {copy for name in indexes for copy in _copies(name, indexes)}


def index_files(paths: Sequence[Location]) -> list[Location]:
    """The files among `paths` that are indexes, those of copies left out."""
    left_out = companions(paths)
    files = (path for path in paths if is_named_as_index(base_name(path)))
    return [path for path in files if base_name(path) not in left_out and _counts(path)]


def uncovered(paths: Sequence[Location]) -> list[str]:
    """The names of those files of a folder that promise weights and that no index stands for."""
    covered = companions(paths)
    names = (name for path in paths if (name := base_name(path)) not in covered and is_file(path))
    return [name for name in names if promises_weights(name) and not is_named_as_index(name)]


def _shards(path: Location) -> list[str]:
    try:
        return read_index(path).shards
    except CheckpointError:
        return []


def _names(path: Location, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    names = tuple(name for name in values if isinstance(name, str))
    if not names or len(names) < len(values):
        _refuse(path, "expected a weight_map from tensor names to file names")
    return names


def _is_index(path: Location, head: bytes) -> bool:
    is_text = head.lstrip()[:1] == b"{" and min(head[:8]) >= ord("\t")
    if not is_text or not any(key in head for key in _KEYS):
        return False
    return _KEYS[0] in bytes(open_source(path).read(0, MAX_JSON_BYTES))


def is_named_as_index(name: str) -> bool:
    """Tell whether a name is one that writers give to an index."""
    match = _INDEX.fullmatch(name)
    return name.endswith(_KERAS_INDEX) or bool(match and match["suffix"] in _RANKED)


def _counts(path: Location) -> bool:
    """Return whether a file of an index's name is one; what Keras names so has to show it."""
    if not is_file(path):
        return False
    name = base_name(path)
    return not name.endswith(_KERAS_INDEX) or _is_index(
        path, bytes(open_source(path).read(0, _HEAD))
    )


def _indexes(folder: Location, single: Format) -> list[Location]:
    candidates = [path for path in children(folder) if is_named_as_index(base_name(path))]
    return [path for path in candidates if _counts(path) and _is_of(path, single)]


def _the_index(folder: Location, single: Format) -> Location:
    indexes = _indexes(folder, single)
    networks = {_network(base_name(path)) for path in index_files(children(folder))}
    if len(indexes) > 1 or len(networks) > 1:
        names = ", ".join(base_name(path) for path in index_files(children(folder)))
        raise CheckpointError(f"several indexes: {names}", path=folder, remedy="name one of them")
    return indexes[0]


def _is_of(index: Location, single: Format) -> bool:
    """Tell whether the files of an index are of a format, or should be where they are missing or text."""
    shards = [name for name in _shards(index) if _is_plain(name)]
    file = next((index.parent / name for name in shards if is_file(index.parent / name)), None)
    head = b"" if file is None else bytes(open_source(file).read(0, _HEAD))
    if file is not None and single.recognizes(file, head):
        return True
    return head.isascii() and _expected_suffix(index, shards) in single.suffixes


def _expected_suffix(index: Location, shards: list[str]) -> str:
    if shards and (suffix := re.search(r"\.\w+$", shards[0])):
        return suffix[0]
    name = base_name(index)
    match = _INDEX.fullmatch(name)
    return ".h5" if name.endswith(_KERAS_INDEX) else match["suffix"] if match else ".safetensors"


def _network(name: str) -> str:
    """Return the network that an index is of: the same for its names in all frameworks."""
    match = _INDEX.fullmatch(name)
    if match is None:
        return name
    return _NETWORK.sub("model", match["stem"]) + (match["variant"] or "")


def _copies(name: str, names: Sequence[str]) -> Iterator[str]:
    """The names among `names` of indexes of the same network in formats that come after that of `name`."""
    rank = _rank(name)
    return (other for other in names if _network(other) == _network(name) and _rank(other) > rank)


def _rank(name: str) -> int:
    match = _INDEX.fullmatch(name)
    return _RANKED.index(match["suffix"]) if match and match["suffix"] in _RANKED else -1


def _joined(
    index: Index, single: Format, data_size: Callable[[Location], int] | None
) -> list[StoredArray]:
    """The arrays of all shards that an index names."""
    files = {shard: _file(index.path, shard) for shard in index.shards}
    arrays_of = {shard: _shard_arrays(file, single) for shard, file in files.items()}
    _check_holders(index, arrays_of)
    if data_size is not None and index.total is not None:
        size = sum(map(data_size, files.values()))
        if index.total != size:
            _refuse(index.path, f"total_size says {index.total} bytes, the shards hold {size}")
    arrays = [
        dataclasses.replace(array, file=shard)
        for shard, part in arrays_of.items()
        for array in part
    ]
    return arrays + [_left_out(name, _SAME) for name in _copies_beside(index.path)]


def _file(index: Location, shard: str) -> Location:
    if not _is_plain(shard):
        _refuse(index, f"expected the name of a file beside the index, found {shard!r}")
    path = index.parent / shard
    if not is_file(path):
        remedy = "fetch all shards into one folder"
        raise CheckpointError(f"the shard {shard} is missing", path=index, remedy=remedy)
    return path


def _is_plain(shard: str) -> bool:
    """Tell whether this is the name of a file: no folder, no "..", no absolute path, no drive, no URL."""
    return bool(shard) and shard not in (".", "..") and not set(shard) & set("/\\:\0")


def _shard_arrays(file: Location, single: Format) -> Sequence[StoredArray]:
    head = bytes(open_source(file).read(0, _HEAD))
    if not single.recognizes(file, head) and (error := foreign_error(file, head)):
        raise error
    # The header of one file is gone before that of the next is read; the arrays are counted at the end.
    with budget(file).temporary():
        return single.arrays(file)


def _check_holders(index: Index, arrays_of: dict[str, Sequence[StoredArray]]) -> None:
    """Every array lies in the files that the index says, and in one alone."""
    holders: dict[tuple[str, str], str] = {}
    for shard, arrays in arrays_of.items():
        for array in arrays:
            other = holders.setdefault((array.network, array.name), shard)
            if other != shard:
                _refuse(index.path, f"stored in two shards, {other} and {shard}", array.name)
    names = {shard: set(_paths(arrays)) for shard, arrays in arrays_of.items()}
    for name, shards in index.shards_of.items():
        path = name.strip("/").removesuffix(":0")
        spellings = {path, split_params(path.split("/"))[1]}
        for shard in shards:
            if not spellings & names[shard]:
                actual = ", ".join(other for other in names if spellings & names[other])
                reason = f"expected it in {shard}, found it in {actual or 'no shard'}"
                _refuse(index.path, reason, name)


def _paths(arrays: Sequence[StoredArray]) -> Iterator[str]:
    """The names of arrays and of the groups that they lie in, as an index may spell them."""
    for array in arrays:
        yield f"{array.network}.{array.name}"
        for name in (array.name, f"{array.network}/{array.name}"):
            parts = name.split("/")
            yield from ("/".join(parts[:stop]) for stop in range(1, len(parts) + 1))


def _copies_beside(index: Location) -> list[str]:
    try:
        names = [base_name(path) for path in children(index.parent)]
    except (OSError, CheckpointError):
        return []
    indexes = [name for name in names if is_named_as_index(name)]
    return list(_copies(base_name(index), indexes))


def _left_out(name: str, reason: str) -> StoredArray:
    def read() -> np.ndarray:
        raise CheckpointError(reason, tensor=name)

    return StoredArray(name, (), "", read, reason=reason)


def _refuse(path: Location, reason: str, tensor: str | None = None) -> NoReturn:
    raise CheckpointError(reason, path=path, tensor=tensor, remedy=_AGAIN)
