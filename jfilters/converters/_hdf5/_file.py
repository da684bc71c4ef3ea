"""HDF5 files of unknown origin: opened over a byte source, walked and read within bounds.

What a file claims is compared with what it stores before anything is allocated. Links, external storage
and virtual datasets could reach any other file: they are named and never followed.
"""

import contextlib
import dataclasses
import itertools
import math
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointError, MissingExtraError
from .._bytes import ByteSource, Location
from .._guard import checkpoint_errors
from ._header import claimed_length
from ._source import GuardedFile, base_address, holds_bytes, keeps_sizes

if TYPE_CHECKING:
    import h5py

MAX_OBJECTS = 200_000
"""Links in one file; Keras stores some ten a layer."""

MAX_NESTING = 64
"""Groups within groups."""

MAX_TEXT = 1 << 26
"""Bytes of all attributes that are read from one file."""

MAX_ARRAY = 1 << 33
"""Bytes of one array in memory."""

MAX_CHUNK = 1 << 28
"""Bytes of one chunk, unpacked."""

MAX_CHUNKS = 1_000_000
"""Chunks of one read."""

DEFLATE_RATIO = 1032
"""How much smaller deflate can make anything (zlib's technical notes)."""

_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3

_REMEDY = "save it again with h5py, and with gzip if it has to be compressed"


@contextlib.contextmanager
def hdf5_errors(path: Location, tensor: str | None = None) -> Iterator[None]:
    """What HDF5 and h5py raise over damaged files, as `CheckpointError`."""
    with checkpoint_errors(path, tensor):
        try:
            yield
        except OSError as error:
            # The bytes did arrive: a source that fails raises UnreadableError by itself.
            reason = f"damaged HDF5 ({str(error)[:200]})"
            raise CheckpointError(reason, path=path, tensor=tensor) from error


@dataclasses.dataclass(frozen=True)
class Node:
    """A link of a file: its path, the dataset if it leads to one, and why it cannot be read."""

    name: str
    dataset: "h5py.Dataset | None" = None
    reason: str | None = None


class Hdf5File:
    """An open HDF5 file and what may still be read of its attributes."""

    def __init__(self, path: Location, source: ByteSource):
        h5py = require_h5py(path)
        self.path, self.size, self._text_left = path, source.size, MAX_TEXT
        self._source, self._base, self._whole = source, base_address(source), set[str]()
        with hdf5_errors(path):
            self.file = h5py.File(GuardedFile(source, self._base), "r", locking=False)
        # HDF5 reads through Python: a file still open when the interpreter ends would crash it.
        weakref.finalize(self.file, _close, self.file.id)

    def nodes(self) -> Iterator[Node]:
        """All datasets, once each, and all links that lead out of the file or nowhere."""
        seen = {_address(self.file): ""}
        groups = [("", self.file)]
        while groups:
            prefix, group = groups.pop()
            for name in group:
                if len(seen) > MAX_OBJECTS:
                    raise self.error(f"more than {MAX_OBJECTS:,} objects")
                node, child = self._node(prefix, group, name, seen)
                if child is not None:
                    groups.append((f"{node.name}/", child))
                else:
                    yield node

    def text(self, holder: Any, name: str) -> str | None:
        """The attribute `name` of a group or dataset if it is one string, else None."""
        value = self._attribute(holder, name, ())
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def texts(self, holder: Any, name: str) -> tuple[str, ...]:
        """The attribute `name` if it is a list of strings of fixed length, else none.

        Strings of variable length may all be one and the same long string.
        """
        values = self._attribute(holder, name, None)
        found = (
            values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "S" else ()
        )
        return tuple(value.decode("utf-8", "replace") for value in found)

    def check_claim(self, node: Node) -> None:
        """Raises CheckpointError if a dataset claims more than the file stores of it."""
        dataset: Any = node.dataset
        claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
        stored, packed = dataset.id.get_storage_size(), _DEFLATE in _filters(dataset)
        if claimed > stored * (DEFLATE_RATIO if packed else 1):
            expected = f"expected the {claimed:,} bytes of shape {dataset.shape}"
            raise self.error(f"{expected}, found {stored:,} stored", node.name)
        if stored > self.size:
            raise self.error(f"{stored:,} bytes claimed by a file of {self.size:,}", node.name)

    def check_sizes(self, node: Node) -> None:
        """Raises CheckpointError unless every chunk of a dataset without deflate has the size of one.

        HDF5 reads as much as the index claims of a chunk into a buffer of that size.
        """
        dataset: Any = node.dataset
        size = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
        size += 4 * (_FLETCHER32 in _filters(dataset))
        if node.name not in self._whole and dataset.id.chunk_iter(
            lambda chunk: chunk if chunk.size != size or chunk.filter_mask else None
        ):
            raise self.error(f"expected chunks of {size:,} bytes, found another", node.name)
        self._whole.add(node.name)

    def error(self, reason: str, tensor: str | None = None) -> CheckpointError:
        """The error that refuses this file."""
        return CheckpointError(reason, path=self.path, tensor=tensor, remedy=_REMEDY)

    def _node(self, prefix: str, group: Any, name: str, seen: dict) -> tuple[Node, Any]:
        """A link, and the group it leads to if that has not been visited."""
        h5py = require_h5py(self.path)
        path = f"{prefix}{name}"
        if prefix.count("/") > MAX_NESTING:
            raise self.error(f"more than {MAX_NESTING} nested groups")
        if "/" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            seen[path] = path
            return Node(path, reason="a link that may lead out of the file, not followed"), None
        found = group[name]
        address = _address(found)
        first = seen.setdefault(address, path)
        if first != path:
            seen[path] = path
            return Node(path, reason=f"the same object as {first or '/'}"), None
        if isinstance(found, h5py.Group):
            return Node(path), found
        if not isinstance(found, h5py.Dataset):
            return Node(path, reason="a type definition"), None
        return Node(path, found, self._reason(found)), None

    def _reason(self, dataset: Any) -> str | None:
        """Why a dataset cannot be read."""
        h5py = require_h5py(self.path)
        plan = dataset.id.get_create_plist()
        if plan.get_external_count() or plan.get_layout() not in (
            h5py.h5d.COMPACT,
            h5py.h5d.CONTIGUOUS,
            h5py.h5d.CHUNKED,
        ):
            return "values stored in another file, not followed"
        if dataset.shape is None:
            return "no values"
        if not keeps_sizes(dataset.id.get_type(), dataset.dtype):
            return f"values of no common type, read as {dataset.dtype}"
        filters = _filters(dataset)
        known = {_DEFLATE, _SHUFFLE, _FLETCHER32}
        if not known.issuperset(filters) or len(set(filters)) < len(filters):
            return f"packed by a filter that is not read here; {_REMEDY}"
        return None

    def _attribute(self, holder: Any, name: str, shape: tuple | None) -> Any:
        """A string attribute within what is left to read; None if there is none of this shape."""
        if name not in holder.attrs:
            return None
        attribute = holder.attrs.get_id(name)
        string = require_h5py(self.path).check_string_dtype(attribute.dtype)
        if string is None or attribute.shape is None or (attribute.shape == ()) != (shape == ()):
            return None
        size = attribute.get_storage_size()
        if string.length is None:
            size = claimed_length(self._source, self._base, _address(holder), name)
        if size is None or (attribute.shape and string.length is None):
            return None
        self._text_left -= size
        if self._text_left < 0:
            raise self.error(f"more than {MAX_TEXT:,} bytes of attributes, with {name!r}")
        return holder.attrs[name]


def read_rows(file: Hdf5File, node: Node, rows: slice = slice(None)) -> np.ndarray:
    """The values of a dataset, or its rows along the first axis.

    Raises CheckpointError if they are too big, damaged, or unpack to more than they should.
    """
    dataset: Any = node.dataset
    with hdf5_errors(file.path, node.name):
        file.check_claim(node)
        count = len(range(*rows.indices(dataset.shape[0]))) if dataset.shape else 1
        size = count * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
        if size > MAX_ARRAY:
            raise file.error(f"{size:,} bytes to read at once, more than {MAX_ARRAY:,}", node.name)
        if dataset.chunks:
            _check_chunks(file, node, rows)
        return np.asarray(dataset[rows] if dataset.shape else dataset[()])


def read_bytes(file: Hdf5File, node: Node) -> bytes:
    """The bytes of a dataset that holds one value of variable length, as PyTables stores objects.

    Raises CheckpointError if it holds anything else, or claims more than the file could hold.
    """
    dataset: Any = node.dataset
    with hdf5_errors(file.path, node.name):
        one = dataset.shape == (1,) and dataset.chunks and not _filters(dataset)
        if not one or not holds_bytes(dataset.id.get_type()):
            raise file.error("expected one value of variable length", node.name)
        file.check_claim(node)
        file.check_sizes(node)
        # HDF5 allocates what the first 4 bytes of a value claim before it looks for them.
        claimed = int.from_bytes(dataset.id.read_direct_chunk((0,))[1][:4], "little")
        if claimed > file.size:
            raise file.error(f"{claimed:,} bytes claimed by a file of {file.size:,}", node.name)
        return dataset[0].tobytes()


def _check_chunks(file: Hdf5File, node: Node, rows: slice) -> None:
    """Unpack each chunk of the rows within its bound; HDF5 itself would unpack without one."""
    dataset: Any = node.dataset
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    starts, stops, _ = zip(*(s.indices(n) for s, n in _extents(dataset, rows)), strict=True)
    grid = [
        range(start // chunk * chunk, stop, chunk)
        for start, stop, chunk in zip(starts, stops, dataset.chunks, strict=True)
    ]
    if size > MAX_CHUNK or math.prod(map(len, grid)) > MAX_CHUNKS:
        raise file.error(f"chunks {dataset.chunks} of shape {dataset.shape}", node.name)
    if _DEFLATE in _filters(dataset):
        for offset in itertools.product(*grid):
            _check_chunk(file, node, offset, size)
    else:
        file.check_sizes(node)


def _extents(dataset: Any, rows: slice) -> list[tuple[slice, int]]:
    slices = (rows, *(slice(None),) * (len(dataset.shape) - 1))
    return list(zip(slices, dataset.shape, strict=True))


def _check_chunk(file: Hdf5File, node: Node, offset: tuple[int, ...], size: int) -> None:
    dataset: Any = node.dataset
    stored = dataset.id.get_chunk_info_by_coord(offset).size
    if stored > min(file.size, 2 * size + 1024):
        raise file.error(f"a chunk of {stored:,} bytes for {size:,}", node.name)
    mask, packed = dataset.id.read_direct_chunk(offset)
    # One byte more than the chunk is enough to see a bomb.
    unpacked = len(zlib.decompressobj().decompress(packed, size + 1)) if mask == 0 else 0
    if unpacked != size:
        raise file.error(f"expected a chunk of {size:,} bytes, found {unpacked:,}", node.name)


def _filters(dataset: Any) -> list[int]:
    plan = dataset.id.get_create_plist()
    return [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]


def _address(found: Any) -> int:
    return require_h5py(Path()).h5o.get_info(found.id).addr


def require_h5py(path: Location) -> Any:
    """The package h5py; raises MissingExtraError if it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras", path=path) from error
    return h5py


def _close(identifier: Any) -> None:
    import h5py

    if identifier.valid:
        h5py.File(identifier).close()
