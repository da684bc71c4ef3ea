"""The Darknet format: every byte of the weights belongs to a layer, or the file is refused."""

import functools
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ...errors import CheckpointError
from ...io import ByteSource, Cursor, Location, base_name, is_file, open_source
from .._format import Format
from .._graph_depth import node_depths
from .._stored import StoredArray
from ._network import Part, Step, read_steps

_SNAPSHOT = re.compile(r"_(final|last|best|\d+)$")
_HEAD = 512


def _configuration(weights: Location) -> Location | None:
    """The configuration beside a file of weights; snapshots of a training share one."""
    stem = base_name(weights).removesuffix(".weights")
    names = dict.fromkeys((f"{stem}.cfg", f"{_SNAPSHOT.sub('', stem)}.cfg"))
    paths = (weights.parent / name for name in names)
    return next((path for path in paths if is_file(path) and _is_configuration(path)), None)


def _is_configuration(path: Location) -> bool:
    return _begins_network(bytes(open_source(path).read(0, _HEAD)))


def _begins_network(head: bytes) -> bool:
    """Return whether the first line that says something opens the section of the network."""
    lines = (line.strip() for line in head.split(b"\n"))
    first = next((line for line in lines if line and line[:1] not in b"#;"), b"")
    return first.startswith((b"[net]", b"[network]"))


def _files(path: Location) -> tuple[Location, Location] | None:
    """The configuration and the weights, given either of them; None without both."""
    name = base_name(path)
    if name.endswith(".weights"):
        configuration = _configuration(path)
        return (configuration, path) if configuration else None
    weights = path.parent / f"{name.removesuffix('.cfg')}.weights"
    is_pair = name.endswith(".cfg") and _is_configuration(path) and is_file(weights)
    return (path, weights) if is_pair else None


def described(files: Sequence[Location]) -> set[str]:
    """The names of configurations in a folder that their weights stand for."""
    names = {base_name(file) for file in files}
    return {name for name in names if f"{name.removesuffix('.cfg')}.weights" in names - {name}}


def _recognizes(path: Location, head: bytes) -> bool:
    return bool(head) and _files(path) is not None


def _arrays(path: Location) -> Sequence[StoredArray]:
    configuration, weights = _files(path) or (path, path)
    try:
        steps = read_steps(open_source(configuration))
        parts = [step.parts() for step in steps]
    except CheckpointError as error:
        raise CheckpointError(error.reason, path=configuration) from error
    depths = node_depths([step.feeds for step in steps], range(len(steps[:1]))) or []
    beside = base_name(configuration if path == weights else weights)
    cursor = _behind_head(open_source(weights))
    arrays = list(_listed(cursor, steps, parts, depths, beside))
    if cursor.position != cursor.source.size:
        count = cursor.source.size - cursor.position
        reason = f"{count} bytes of weights behind those of the last layer"
        raise CheckpointError(reason, path=weights, remedy=f"is {beside} its configuration?")
    return arrays


def _behind_head(source: ByteSource) -> Cursor:
    """A cursor behind the version and the count of images seen, which got longer with version 0.2."""
    cursor = Cursor(source)
    major, minor, _ = (cursor.number("<i") for _ in range(3))
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise cursor.refusal(f"expected a version of Darknet, found {major}.{minor}")
    cursor.take(8 if major * 10 + minor >= 2 else 4)
    return cursor


def _listed(
    cursor: Cursor,
    steps: Sequence[Step],
    parts: Sequence[Sequence[Part]],
    depths: Sequence[int],
    beside: str,
) -> Iterator[StoredArray]:
    for index, (step, members) in enumerate(zip(steps, parts, strict=True)):
        for part in members:
            start = cursor.skip(4 * math.prod(part.shape))
            is_weight = part.name == "conv.weight"
            yield StoredArray(
                f"{index}.{part.name}",
                part.shape,
                "float32",
                functools.partial(_read, cursor.source, start, part.shape),
                axes="OIHW" if is_weight else None,
                groups=step.groups if is_weight else None,
                transposed=False if is_weight else None,
                depth=depths[index] if is_weight else None,
                file=beside,
            )


def _read(source: ByteSource, start: int, shape: tuple[int, ...]) -> np.ndarray:
    stop = start + 4 * math.prod(shape)
    return np.frombuffer(source.read(start, stop), "<f4").reshape(shape)


FORMAT = Format(
    name="darknet",
    reads="Darknet weights with the configuration beside them; true graph depth",
    suffixes=(".weights", ".cfg"),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
