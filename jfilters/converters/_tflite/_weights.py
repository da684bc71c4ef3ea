"""The weights of the convolutions of a model: which tensors they are, how they are read, and how deep."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...io import FlatTable
from .._graph_depth import longest_paths
from . import _schema as schema
from ._model import ABSENT, Operator, Subgraph, Tensor
from ._values import NotRead, values_reader, weight_reader

MAX_STEPS = 8
"""Operators between a stored weight and the convolution that applies it."""


@dataclasses.dataclass(frozen=True)
class Weight:
    """The weight of one operator: the stored tensor, the shape that the operator sees, and the reader.

    `reason` says why it is not read.
    """

    subgraph: int
    tensor: int
    operator: Operator
    shape: tuple[int, ...]
    groups: int
    depth: int
    read: Callable[[], np.ndarray] | None
    reason: str = ""


def weights(subgraphs: Sequence[Subgraph]) -> Iterator[Weight]:
    """All weights of convolutions, in the order of the file."""
    depths = _depths(subgraphs)
    for number, subgraph in enumerate(subgraphs):
        for operator, depth in zip(subgraph.operators, depths[number], strict=True):
            if operator.name in schema.CONVOLUTIONS:
                yield _weight(number, subgraph, operator, max(depth, 0))


def roots(subgraphs: Sequence[Subgraph]) -> list[int]:
    """For each subgraph the one that runs it, over any number of others; itself if none does."""
    callers = {
        call: number
        for number, subgraph in enumerate(subgraphs)
        for operator in subgraph.operators
        for call in operator.calls
    }
    root_of: dict[int, int] = {}
    for number in range(len(subgraphs)):
        path, root = {}, number
        while root in callers and root not in root_of and root not in path:
            path[root] = None
            root = callers[root]
        root_of |= dict.fromkeys((number, *path), root_of.get(root, root))
    return [root_of[number] for number in range(len(subgraphs))]


def _weight(number: int, subgraph: Subgraph, operator: Operator, depth: int) -> Weight:
    convolution = schema.CONVOLUTIONS[operator.name]
    at = _input(operator, convolution.weight)
    tensors = subgraph.tensors
    if at == ABSENT:
        return Weight(number, at, operator, (), 1, depth, None, f"a {operator.name} without weight")
    image = _input(operator, convolution.image)
    shape = tensors[at].shape
    groups = _groups(operator, shape, tensors[image] if image != ABSENT else None)
    try:
        source, read = _traced(subgraph, at)
    except NotRead as error:
        source = _source(subgraph, at)
        return Weight(number, source, operator, shape, groups, depth, None, str(error))
    return Weight(number, source, operator, shape, groups, depth, read)


def _input(operator: Operator, position: int) -> int:
    return operator.inputs[position] if position < len(operator.inputs) else ABSENT


def _source(subgraph: Subgraph, tensor: int) -> int:
    """The stored tensor behind a weight, as far as each operator on the way reads one."""
    for _ in range(MAX_STEPS):
        maker = subgraph.makers.get(tensor)
        inputs = () if maker is None else subgraph.operators[maker].inputs
        if not inputs or inputs[0] == ABSENT:
            break
        tensor = inputs[0]
    return tensor


def _traced(subgraph: Subgraph, tensor: int) -> tuple[int, Callable[[], np.ndarray]]:
    """The stored tensor that a weight comes from, and the reader of the weight."""
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    for _ in range(MAX_STEPS):
        maker = subgraph.makers.get(tensor)
        if maker is None:
            break
        operator = subgraph.operators[maker]
        step = _step(subgraph, operator, tensor)
        source = _input(operator, 0)
        if step is None or source == ABSENT:
            raise NotRead(f"computed by {operator.name}")
        steps.append(step)
        tensor = source
    stored = subgraph.tensors[tensor]
    if stored.span is None and not stored.is_external:
        raise NotRead("given when the network is run: no values are stored")
    read = weight_reader(stored)

    def effective() -> np.ndarray:
        values = read()
        for step in reversed(steps):
            values = step(values)
        return values

    return tensor, effective


def _step(
    subgraph: Subgraph, operator: Operator, output: int
) -> Callable[[np.ndarray], np.ndarray] | None:
    """The change that an operator makes to a weight on its way; None for one that is not followed."""
    if operator.name in (schema.DEQUANTIZE, schema.DENSIFY):
        return lambda values: values
    if operator.name in schema.RESHAPES:
        return lambda values: values.reshape(subgraph.tensors[output].shape)
    order = _input(operator, 1)
    if operator.name != schema.TRANSPOSE or order == ABSENT:
        return None
    stored = subgraph.tensors[order]
    axes = values_reader(stored)() if stored.size <= len(subgraph.tensors[output].shape) else None
    return None if axes is None else lambda values: values.transpose(axes.tolist())


def _groups(operator: Operator, shape: tuple[int, ...], image: Tensor | None) -> int:
    """The groups of a convolution, by the channels of its image."""
    if len(shape) < 3 or image is None or not image.shape:
        return 1
    channels = (image.signature or image.shape)[-1]
    if operator.name == schema.DEPTHWISE:
        factor = _multiplier(operator.options)
        groups = channels if channels > 0 else shape[-1] // max(factor, 1)
        return groups if groups > 0 and shape[-1] % groups == 0 else shape[-1] or 1
    if operator.name != schema.CONV_2D or channels < 1 or channels % (shape[-1] or 1):
        return 1
    groups = channels // (shape[-1] or 1)
    return groups if groups and shape[0] % groups == 0 else 1


def _multiplier(options: FlatTable | None) -> int:
    return options.number(3, "<i") if options else 1


def _depths(subgraphs: Sequence[Subgraph]) -> list[list[int]]:
    """The longest path to each operator, for each subgraph; a subgraph that is run lies in its caller."""
    lengths: dict[int, list[int]] = {}
    pending = [*range(len(subgraphs))]
    visits = 0
    while pending:
        number = pending[-1]
        calls = {call for op in subgraphs[number].operators for call in op.calls}
        waiting = [call for call in calls if call not in lengths]
        visits += 1
        if waiting and visits <= 2 * len(subgraphs):
            pending += waiting
            continue
        pending.pop()
        if number not in lengths:
            lengths[number] = _lengths(subgraphs[number], lengths)
    return _nested(subgraphs, lengths)


def _lengths(subgraph: Subgraph, inner: dict[int, list[int]]) -> list[int]:
    feeds = [
        sorted({subgraph.makers[t] for t in op.inputs if t in subgraph.makers})
        for op in subgraph.operators
    ]
    inputs = set(subgraph.inputs)
    starts = [i for i, op in enumerate(subgraph.operators) if not inputs.isdisjoint(op.inputs)]
    costs = [
        1 + max((max(inner.get(call, ()), default=0) for call in op.calls), default=0)
        for op in subgraph.operators
    ]
    paths = longest_paths(feeds, starts, costs)
    if paths is None:
        file = subgraph.tensors[0].table.file
        file.refuse(f"the graph of {subgraph.name or 'the model'} has a cycle")
    return paths


def _nested(subgraphs: Sequence[Subgraph], lengths: dict[int, list[int]]) -> list[list[int]]:
    """The lengths with those of the operator that runs a subgraph added to its own."""
    offsets = [0] * len(subgraphs)
    # Who runs others comes behind them in the order of their lengths.
    for number in reversed(lengths):
        for operator, depth in zip(subgraphs[number].operators, lengths[number], strict=True):
            for call in operator.calls:
                own = max(lengths[call], default=0)
                offsets[call] = max(offsets[call], depth - own + offsets[number])
    return [
        [depth + offset if depth >= 0 else depth for depth in lengths[number]]
        for number, offset in enumerate(offsets)
    ]
