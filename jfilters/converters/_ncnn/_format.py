"""The ncnn format: every byte of the weights is accounted for, or the file is refused."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from ...errors import CheckpointError
from ...io import Cursor, Location, open_source
from .._axes import for_rank
from .._format import Format
from .._graph_depth import feeds_by_name, node_depths
from .._names import Distinct
from .._pairs import Pair
from .._stored import StoredArray
from ._kinds import KINDS
from ._param import Step, describes, read_steps
from ._sizes import CONVOLUTIONS, SCALES, Part, has_known_parts, parts
from ._stored import Encoding, Span, divided, take

PAIR = Pair((".param", ".param.bin"), ".bin", describes)

_DYNAMIC = "its weight is computed while the network runs"
_UNSCALED = "integer weights without a scale"
_LATER = "stored as floats; ncnn rounds it to int8 when it loads the network"


def _arrays(path: Location) -> Sequence[StoredArray]:
    files = PAIR.files(path)
    with _named(files.description):
        steps = read_steps(open_source(files.description))
        depths = _depths(steps)
        needed = [parts(step) for step in steps]
    cursor = Cursor(open_source(files.weights))
    spans = [_taken(cursor, step, wanted) for step, wanted in zip(steps, needed, strict=True)]
    _check_end(cursor, steps)
    names = Distinct()
    return [
        dataclasses.replace(array, name=names(array.name), file=files.beside)
        for step, depth, members in zip(steps, depths, spans, strict=True)
        for array in _of_step(step, depth, members)
    ]


@contextlib.contextmanager
def _named(path: Location) -> Iterator[None]:
    """Name the file in errors that know only the layer."""
    try:
        yield
    except CheckpointError as error:
        if error.path:
            raise
        raise CheckpointError(
            error.reason, path=path, tensor=error.tensor, remedy=error.remedy
        ) from error


def _taken(cursor: Cursor, step: Step, needed: Sequence[Part]) -> dict[str, Span]:
    try:
        return {part.role: take(cursor, part) for part in needed}
    except CheckpointError as error:
        raise CheckpointError(error.reason, path=error.path, tensor=step.name) from error


def _check_end(cursor: Cursor, steps: Sequence[Step]) -> None:
    remaining = cursor.source.size - cursor.position
    if not remaining:
        return
    reason = f"{remaining} bytes of weights behind those of the last layer"
    unknown = {
        step.kind for step in steps if not (has_known_parts(step.kind) or step.kind in KINDS)
    }
    if unknown:
        reason += f"; layers of unknown types: {', '.join(sorted(unknown)[:3])}"
    raise CheckpointError(reason, path=cursor.source.path)


def _depths(steps: Sequence[Step]) -> list[int]:
    """The longest path to each layer from an input, in layers."""
    feeds = feeds_by_name([step.reads for step in steps], [step.makes for step in steps])
    inputs = [at for at, x in enumerate(steps) if not feeds[at] and x.kind != "MemoryData"]
    depths = node_depths(feeds, inputs)
    if depths is None:
        raise CheckpointError("layers that feed each other in a circle")
    return depths


def _of_step(step: Step, depth: int, spans: dict[str, Span]) -> Iterator[StoredArray]:
    for role, span in spans.items():
        if role == "weight" and step.kind in CONVOLUTIONS:
            yield _convolution(step, depth, span, spans.get(SCALES))
        else:
            yield _other(step, role, span)
    if step.kind in CONVOLUTIONS and not spans:
        yield StoredArray(
            f"{step.name}.weight", (), "unknown", _nothing, reason=_DYNAMIC, unread=True
        )


def _convolution(step: Step, depth: int, span: Span, scales: Span | None) -> StoredArray:
    convolution, is_integer = CONVOLUTIONS[step.kind], span.encoding is Encoding.INT8
    array = StoredArray(
        f"{step.name}.weight",
        span.shape,
        span.encoding.dtype,
        span.read,
        axes=for_rank("OIHW", len(span.shape)),
        groups=convolution.groups(step),
        transposed=convolution.transposed,
        mirrored=False,
        depth=depth,
    )
    if is_integer and scales is None:
        return dataclasses.replace(array, reason=_UNSCALED, unread=True)
    if is_integer and scales is not None:
        read = functools.partial(divided, span, scales)
        return dataclasses.replace(array, read=read, applied="dequantized")
    if span.encoding is Encoding.TABLE:
        return dataclasses.replace(array, applied="dequantized")
    return dataclasses.replace(array, note=_LATER if scales else "")


def _other(step: Step, role: str, span: Span) -> StoredArray:
    is_plain = len(span.shape) < 3 and span.encoding is not Encoding.INT8
    reason = None if is_plain else f"used by {step.kind}, not by a convolution"
    name, dtype = f"{step.name}.{role}", span.encoding.dtype
    return StoredArray(name, span.shape, dtype, span.read, reason=reason)


def _nothing() -> np.ndarray:
    raise CheckpointError(_DYNAMIC)


FORMAT = Format(
    name="ncnn",
    reads="ncnn models, text or binary: float32, float16, int8 and lookup tables; true graph depth",
    suffixes=(".param", ".bin"),
    recognizes=PAIR.recognizes,
    arrays=_arrays,
    order="registration-order",
)
