"""The values of HDF5 datasets, read within bounds: what is unpacked is bounded before it is unpacked."""

import itertools
import math
import zlib
from typing import Any

import numpy as np

from ._hdf5_file import DEFLATE, Hdf5File, Hdf5Node, filters_of, hdf5_errors
from ._hdf5_source import holds_bytes

MAX_ARRAY = 1 << 33
"""Bytes of one array in memory."""

MAX_CHUNK = 1 << 28
"""Bytes of one chunk, unpacked."""

MAX_CHUNKS = 1_000_000
"""Chunks of one read."""


def read_hdf5_rows(file: Hdf5File, node: Hdf5Node, rows: slice = slice(None)) -> np.ndarray:
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


def read_hdf5_bytes(file: Hdf5File, node: Hdf5Node) -> bytes:
    """The bytes of a dataset that holds one value of variable length, as PyTables stores objects.

    Raises CheckpointError if it holds anything else, or claims more than the file could hold.
    """
    dataset: Any = node.dataset
    with hdf5_errors(file.path, node.name):
        is_single = dataset.shape == (1,) and dataset.chunks and not filters_of(dataset)
        if not is_single or not holds_bytes(dataset.id.get_type()):
            raise file.error("expected one value of variable length", node.name)
        file.check_claim(node)
        file.check_sizes(node)
        # HDF5 allocates what the first 4 bytes of a value claim before it looks for them.
        claimed = int.from_bytes(dataset.id.read_direct_chunk((0,))[1][:4], "little")
        if claimed > file.size:
            raise file.error(f"{claimed:,} bytes claimed by a file of {file.size:,}", node.name)
        return dataset[0].tobytes()


def _check_chunks(file: Hdf5File, node: Hdf5Node, rows: slice) -> None:
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
    if DEFLATE in filters_of(dataset):
        for offset in itertools.product(*grid):
            _check_chunk(file, node, offset, size)
    else:
        file.check_sizes(node)


def _extents(dataset: Any, rows: slice) -> list[tuple[slice, int]]:
    slices = (rows, *(slice(None),) * (len(dataset.shape) - 1))
    return list(zip(slices, dataset.shape, strict=True))


def _check_chunk(file: Hdf5File, node: Hdf5Node, offset: tuple[int, ...], size: int) -> None:
    dataset: Any = node.dataset
    stored = dataset.id.get_chunk_info_by_coord(offset).size
    if stored > min(file.size, 2 * size + 1024):
        raise file.error(f"a chunk of {stored:,} bytes for {size:,}", node.name)
    mask, packed = dataset.id.read_direct_chunk(offset)
    # One byte more than the chunk is enough to see a bomb.
    unpacked = len(zlib.decompressobj().decompress(packed, size + 1)) if mask == 0 else 0
    if unpacked != size:
        raise file.error(f"expected a chunk of {size:,} bytes, found {unpacked:,}", node.name)
