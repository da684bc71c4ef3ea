"""The manifest of a TensorFlow.js model: which weights lie where in the shards beside it.

Source: tensorflow/tfjs, tfjs-core/src/io/types.ts and io_utils.ts (decodeWeights).
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import MAX_JSON_BYTES, Location, base_name, is_file, json_object, open_source
from .._dtypes import numeric_dtype

MAX_RANK = 16
"""Axes of a weight."""

MANIFEST, TOPOLOGY = "weightsManifest", "modelTopology"

_HINTS = (b'"weightsManifest"', b'"modelTopology"', b'"graph-model"', b'"layers-model"')
_HEAD = 512
_INTEGERS = ("uint8", "uint16", "int8", "int16")
_AGAIN = "the file is damaged or was cut short: fetch it again"


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight of the manifest: where it lies, and what it is.

    `dtype` is as stored; `scale` and `least` turn its integers into numbers. `files` are the shards.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    least: float
    files: tuple[str, ...]
    read: Callable[[], np.ndarray]


def is_model(path: Location, head: bytes) -> bool:
    """Return whether a file is a model: JSON with a manifest, wherever in it."""
    if head.lstrip()[:1] != b"{" or not any(hint in head for hint in _HINTS):
        return False
    return _HINTS[0] in bytes(open_source(path).read(0, MAX_JSON_BYTES))


def read_model(path: Location) -> dict[str, Any]:
    """The JSON object of a model. Raises CheckpointError for anything else."""
    content = json_object(open_source(path))
    if not isinstance(content.get(MANIFEST), list):
        _refuse(path, "expected a weightsManifest, a list of groups of weights")
    return content


def shards_beside(paths: Sequence[Location]) -> set[str]:
    """The names of those files among `paths` that models among them have their weights in."""
    names = {base_name(path) for path in paths}
    shards: set[str] = set()
    for path in paths:
        if base_name(path).endswith(".json") and is_file(path):
            try:
                head = bytes(open_source(path).read(0, _HEAD))
                if is_model(path, head):
                    groups = read_model(path)[MANIFEST]
                    shards |= {name for group in groups for name in _paths(path, group)}
            except (CheckpointError, OSError):
                continue
    return shards & names


def weights(path: Location, groups: list[Any]) -> Iterator[Weight]:
    """All weights, in the order of the manifest. Raises CheckpointError for a missing or short shard."""
    for group in groups:
        data = _Group(path, _paths(path, group))
        position = 0
        for entry in _entries(path, group):
            weight, size = _weight(path, entry, data, position)
            yield weight
            position += size
        if position != data.size:
            files = ", ".join(data.names[:3])
            _refuse(path, f"expected {position} bytes of weights in {files}, found {data.size}")


class _Group:
    """The bytes of the shards of one group, end to end."""

    def __init__(self, path: Location, names: Sequence[str]):
        self.names, self.sources, self.starts = names, [], [0]
        for name in names:
            file = path.parent / name
            if not is_file(file):
                missing = [other for other in names if not is_file(path.parent / other)]
                shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
                remedy = "fetch all shards into one folder"
                reason = f"its weights lie in {shown}, which is missing"
                raise CheckpointError(reason, path=path, remedy=remedy)
            self.sources.append(open_source(file))
            self.starts.append(self.starts[-1] + self.sources[-1].size)
        self.size = self.starts[-1]

    def files(self, start: int, stop: int) -> tuple[str, ...]:
        """The shards that the bytes start..stop lie in."""
        parts = zip(self.names, self.starts, self.starts[1:], strict=False)
        return tuple(name for name, first, last in parts if first < stop and start < last)

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """The bytes start..stop."""
        pieces = [
            source.read(max(start - first, 0), min(stop, last) - first)
            for source, first, last in zip(self.sources, self.starts, self.starts[1:], strict=False)
            if first < stop and start < last
        ]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _weight(path: Location, entry: Any, data: _Group, start: int) -> tuple[Weight, int]:
    """A weight and its length in bytes."""
    name, shape, dtype = (entry.get(key) for key in ("name", "shape", "dtype"))
    sizes = isinstance(shape, list) and len(shape) <= MAX_RANK
    if not isinstance(name, str) or not sizes or not all(type(n) is int and n >= 0 for n in shape):
        _refuse(path, f"expected a name and a shape, found {entry!s:.80}")
    scale, least = None, 0.0
    quantization = entry.get("quantization")
    if isinstance(quantization, dict):
        dtype = quantization.get("dtype")
        if dtype in _INTEGERS:
            scale, least = (_number(path, name, quantization.get(k)) for k in ("scale", "min"))
    if dtype == "string":
        return _text(path, name, tuple(shape), data, start)
    stored = numeric_dtype(dtype) if isinstance(dtype, str) else None
    if stored is None:
        _refuse(path, f"expected a type of numbers, found {dtype!s:.40}", name)
    stop = start + math.prod(shape) * stored.itemsize
    if stop > data.size:
        _refuse(path, f"expected bytes {start}..{stop} of its shards, found {data.size}", name)

    def read() -> np.ndarray:
        values = np.frombuffer(data.read(start, stop), stored).reshape(shape)
        if scale is None:
            return values
        # In doubles, as JavaScript computes.
        return (values.astype(np.float64) * scale + least).astype(np.float32)

    files = data.files(start, stop)
    return Weight(name, tuple(shape), stored.name, scale, least, files, read), stop - start


def _text(
    path: Location, name: str, shape: tuple[int, ...], data: _Group, start: int
) -> tuple[Weight, int]:
    """Texts, each behind its length; they are passed over."""
    position = start
    for _ in range(math.prod(shape)):
        if position + 4 > data.size:
            _refuse(path, "expected texts within its shards", name)
        position += 4 + int.from_bytes(data.read(position, position + 4), "little")

    def read() -> NoReturn:
        _refuse(path, "texts are not read", name)

    files = data.files(start, position)
    return Weight(name, shape, "string", None, 0.0, files, read), position - start


def _number(path: Location, name: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        _refuse(path, f"expected a scale and a minimum, found {value!s:.40}", name)
    return float(value)


def _entries(path: Location, group: Any) -> list[dict]:
    entries = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        _refuse(path, "expected a list of weights in every group of the manifest")
    return entries


def _paths(path: Location, group: Any) -> list[str]:
    paths = group.get("paths") if isinstance(group, dict) else None
    if not isinstance(paths, list) or not all(isinstance(name, str) for name in paths):
        _refuse(path, "expected a list of paths in every group of the manifest")
    for name in paths:
        if not name or name in (".", "..") or set(name) & set("/\\:\0?#%"):
            _refuse(path, f"expected the name of a file beside the model, found {name!r:.80}")
    return paths


def _refuse(path: Location, reason: str, tensor: str | None = None) -> NoReturn:
    raise CheckpointError(reason, path=path, tensor=tensor, remedy=_AGAIN)
