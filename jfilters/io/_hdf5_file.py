"""HDF5 files of unknown origin: opened over a byte source, walked and read within bounds.

What a file claims is compared with what it stores before anything is allocated. Links, external storage
and virtual datasets could reach any other file: they are named and never followed.
"""

import contextlib
import dataclasses
import math
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, MissingExtraError
from ._budget import budget
from ._guard import checkpoint_errors
from ._hdf5_header import claimed_length
from ._hdf5_source import GuardedFile, base_address, keeps_sizes
from ._location import Location
from ._source import ByteSource

if TYPE_CHECKING:
    import h5py

MAX_OBJECTS = 200_000
"""Links in one file; Keras stores some ten a layer."""

MAX_TEXT = 1 << 26
"""Bytes of all attributes that are read from one file."""

DEFLATE_RATIO = 1032
"""How much smaller deflate can make anything (zlib's technical notes)."""

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3

_NODE_BYTES, _ATTRIBUTE_BYTES = 3_000, 200
_NODE_COST, _ATTRIBUTE_COST = 256, 64
"""Elements that a node and an attribute count as: each takes 0.1 ms or more of the HDF5 library."""

_REMEDY = "save it again with h5py, and with gzip if it has to be compressed"


@contextlib.contextmanager
def hdf5_errors(path: Location, tensor: str | None = None) -> Iterator[None]:
    """Raise what HDF5 and h5py raise over damaged files as `CheckpointError`."""
    with checkpoint_errors(path, tensor):
        try:
            yield
        except OSError as error:
            # The bytes did arrive: a source that fails raises UnreadableError by itself.
            reason = f"damaged HDF5 ({str(error)[:200]})"
            raise CheckpointError(reason, path=path, tensor=tensor) from error


@dataclasses.dataclass(frozen=True)
class Hdf5Node:
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
        weakref.finalize(self.file, _close, self.file.id, type(self.file))

    def nodes(self) -> Iterator[Hdf5Node]:
        """All datasets, once each, and all links that lead out of the file or nowhere."""
        visited = {_address(self.file): ""}
        groups = [("", self.file)]
        while groups:
            prefix, group = groups.pop()
            for name in group:
                if len(visited) > MAX_OBJECTS:
                    raise self.error(f"more than {MAX_OBJECTS:,} objects")
                budget(self.path).take(
                    memory=_NODE_BYTES + len(prefix) + len(name), elements=_NODE_COST
                )
                node, child = self._node(prefix, group, name, visited)
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
        strings = (
            values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "S" else ()
        )
        return tuple(value.decode("utf-8", "replace") for value in strings)

    def check_claim(self, node: Hdf5Node) -> None:
        """Raises CheckpointError if a dataset claims more than the file stores of it."""
        dataset: Any = node.dataset
        claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
        stored, packed = dataset.id.get_storage_size(), DEFLATE in filters_of(dataset)
        if packed:
            budget(self.path).check_expansion(claimed, stored, f"{node.name}: an array")
        if claimed > stored * (DEFLATE_RATIO if packed else 1):
            expected = f"expected the {claimed:,} bytes of shape {dataset.shape}"
            raise self.error(f"{expected}, found {stored:,} stored", node.name)
        if stored > self.size:
            raise self.error(f"{stored:,} bytes claimed by a file of {self.size:,}", node.name)

    def check_sizes(self, node: Hdf5Node) -> None:
        """Raises CheckpointError unless every chunk of a dataset without deflate has the size of one.

        HDF5 reads as much as the index claims of a chunk into a buffer of that size.
        """
        dataset: Any = node.dataset
        size = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
        size += 4 * (FLETCHER32 in filters_of(dataset))
        if node.name not in self._whole and dataset.id.chunk_iter(
            lambda chunk: chunk if chunk.size != size or chunk.filter_mask else None
        ):
            raise self.error(f"expected chunks of {size:,} bytes, found another", node.name)
        self._whole.add(node.name)

    def error(self, reason: str, tensor: str | None = None) -> CheckpointError:
        """The error that refuses this file."""
        return CheckpointError(reason, path=self.path, tensor=tensor, remedy=_REMEDY)

    def _node(self, prefix: str, group: Any, name: str, visited: dict) -> tuple[Hdf5Node, Any]:
        """A link, and the group it leads to if that has not been visited."""
        h5py = require_h5py(self.path)
        path = f"{prefix}{name}"
        budget(self.path).check_nesting(prefix.count("/"), "groups")
        if "/" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            visited[path] = path
            return Hdf5Node(path, reason="a link that may lead out of the file, not followed"), None
        item = group[name]
        address = _address(item)
        first = visited.setdefault(address, path)
        if first != path:
            visited[path] = path
            return Hdf5Node(path, reason=f"the same object as {first or '/'}"), None
        if isinstance(item, h5py.Group):
            return Hdf5Node(path), item
        if not isinstance(item, h5py.Dataset):
            return Hdf5Node(path, reason="a type definition"), None
        return Hdf5Node(path, item, self._reason(item)), None

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
        filters = filters_of(dataset)
        readable = {DEFLATE, SHUFFLE, FLETCHER32}
        if not readable.issuperset(filters) or len(set(filters)) < len(filters):
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
        # The list of its texts takes far more than their bytes.
        count = math.prod(attribute.shape)
        budget(self.path).take(memory=_ATTRIBUTE_BYTES * count + 2 * size, elements=_ATTRIBUTE_COST)
        return holder.attrs[name]


def filters_of(dataset: Any) -> list[int]:
    """List the numbers of the filters that pack a dataset."""
    plan = dataset.id.get_create_plist()
    return [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]


def _address(item: Any) -> int:
    return require_h5py(Path()).h5o.get_info(item.id).addr


def require_h5py(path: Location) -> Any:
    """The package h5py; raises MissingExtraError if it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras", path=path) from error
    return h5py


def _close(identifier: Any, file_type: Any) -> None:
    if identifier.valid:
        file_type(identifier).close()
