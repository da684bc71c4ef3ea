"""One tensor of a distributed checkpoint: chunks of several files that tile it, joined when it is read."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...errors import CheckpointError
from ...io import Location, SourceRange, open_source
from ._saved import saved_array

MAX_CHUNKS = 2048
"""Chunks of one tensor; a job of more devices shards along several axes or replicates."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """A block of a tensor, and the bytes start..stop of the file that holds it as a torch file."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: Location
    start: int
    stop: int

    @property
    def place(self) -> tuple[slice, ...]:
        """The block as an index into the whole tensor."""
        pairs = zip(self.offsets, self.sizes, strict=True)
        return tuple(slice(offset, offset + size) for offset, size in pairs)


def tiling_fault(shape: tuple[int, ...], chunks: Sequence[Chunk]) -> str | None:
    """The reason why chunks are not one whole tensor without a gap or an overlap; None where they are."""
    if len(chunks) > MAX_CHUNKS:
        return f"more than {MAX_CHUNKS} chunks"
    if any(len(chunk.offsets) != len(shape) or len(chunk.sizes) != len(shape) for chunk in chunks):
        return f"chunks of another rank than {shape}"
    starts = np.array([chunk.offsets for chunk in chunks], object).reshape(len(chunks), -1)
    sizes = np.array([chunk.sizes for chunk in chunks], object).reshape(len(chunks), -1)
    stops, total = starts + sizes, int(np.prod(np.array(shape, object)))
    if (starts < 0).any() or (sizes < 1).any() or (stops > np.array(shape, object)).any():
        return f"a chunk that leaves {shape}"
    size = int(np.prod(sizes, axis=1).sum()) if len(chunks) else 0
    if size < total:
        return f"chunks with {size} of {total} elements: a part is missing"
    return "chunks that overlap" if size > total or _overlap(starts, stops) else None


def _overlap(starts: np.ndarray, stops: np.ndarray) -> bool:
    starts, stops = starts.astype(np.int64), stops.astype(np.int64)
    apart = np.zeros((len(starts), len(starts)), bool)
    for axis in range(starts.shape[1]):
        apart |= starts[:, None, axis] >= stops[None, :, axis]
    apart |= apart.T
    np.fill_diagonal(apart, True)
    return not apart.all()


def joined(shape: tuple[int, ...], dtype: np.dtype, chunks: Sequence[Chunk]) -> np.ndarray:
    """The whole tensor. Raises CheckpointError for a chunk that is not what the metadata promise."""
    parts = [_part(chunk, dtype) for chunk in chunks]
    if len(parts) == 1:
        return parts[0]
    whole = np.empty(shape, dtype)
    for chunk, part in zip(chunks, parts, strict=True):
        whole[chunk.place] = part
    return whole


def _part(chunk: Chunk, dtype: np.dtype) -> np.ndarray:
    source = open_source(chunk.file)
    array = saved_array(SourceRange(source, chunk.start, chunk.stop))
    if array.reason or (array.shape, array.dtype) != (chunk.sizes, dtype.name):
        actual = array.reason or f"{array.dtype} {array.shape}"
        reason = f"expected a chunk of {dtype.name} {chunk.sizes}, found {actual}"
        raise CheckpointError(reason, path=chunk.file)
    return array.read()
