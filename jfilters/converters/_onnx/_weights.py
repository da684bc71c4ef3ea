"""From a convolution back to the tensor that stores its weight, and forward to that weight."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

from ._graph import ABSENT, Graph, Stored
from ._operators import OPERATIONS, NotFollowed, Step, dequantize
from ._tensor import Tensor, Value

MAX_STEPS = 64
"""Operators between a stored tensor and the convolution that it is the weight of."""


@dataclasses.dataclass(frozen=True)
class Convolution:
    """At which inputs an operator has its weight, bias, and the weight's scale and zero point."""

    weight: int = 1
    bias: int = 2
    scale: int | None = None
    zero: int | None = None
    axes: str = "OIHW"
    transposed: bool = False


CONVOLUTIONS = {
    "Conv": Convolution(),
    "com.microsoft.FusedConv": Convolution(),
    "ConvTranspose": Convolution(axes="IOHW", transposed=True),
    "DeformConv": Convolution(bias=3),
    "ConvInteger": Convolution(bias=-1, zero=3),
    "QLinearConv": Convolution(weight=3, bias=8, scale=4, zero=5),
}
"""All convolution operators, by name."""


class Untraced(ValueError):
    """A weight that cannot be traced to one stored tensor.

    `blamed` are the tensors at which the trace ends, `value` is what nothing in the file makes.
    """

    def __init__(self, reason: str, *, blamed: tuple[Stored, ...] = (), value: int = ABSENT):
        super().__init__(reason)
        self.reason, self.blamed, self.value = reason, blamed, value


class Tracer:
    """The way of the weights through one graph whose stored tensors are known."""

    def __init__(self, graph: Graph, tensors: Mapping[int, Tensor]):
        self.graph, self._tensors = graph, tensors
        self._traced: dict[int, tuple[Stored, Value] | Untraced] = {}

    def weight(self, node: int) -> tuple[Stored, Value]:
        """The tensor that holds the weight of a convolution, and the weight itself.

        Raises Untraced if the weight is computed in a way that is not known, or not stored.
        """
        convolution = CONVOLUTIONS[self.graph.ops[node]]
        stored, value = self._trace(self._input(node, convolution.weight))
        if convolution.zero is None:
            return stored, value
        with _blaming(stored):
            scale = self._scale(node, convolution, value.shape)
            return stored, dequantize(value, scale, self._parameter(node, convolution.zero), 0)

    def _input(self, node: int, position: int) -> int:
        reads = self.graph.reads(node)
        return reads[position] if position < len(reads) else ABSENT

    def _trace(self, value: int) -> tuple[Stored, Value]:
        """The tensor that a value is made from, and the value; every one is traced once."""
        if value not in self._traced:
            try:
                self._traced[value] = self._forward(*self._back(value))
            except Untraced as error:
                self._traced[value] = error
        found = self._traced[value]
        if isinstance(found, Untraced):
            raise found
        return found

    def _back(self, value: int) -> tuple[Stored, list[int]]:
        """The tensor that a value is made from, and the nodes between them, the last one first."""
        nodes: list[int] = []
        while value not in self.graph.held:
            node = self.graph.maker(value)
            if node is None:
                raise Untraced("no stored values", value=value)
            if self.graph.ops[node] not in OPERATIONS or len(nodes) == MAX_STEPS:
                raise Untraced(f"computed by {self.graph.ops[node]}", blamed=self._held_by(node))
            nodes.append(node)
            value = self._input(node, 0)
        return self.graph.held[value], nodes

    def _forward(self, stored: Stored, nodes: Sequence[int]) -> tuple[Stored, Value]:
        with _blaming(stored):
            value = self._tensor(stored)
            for node in reversed(nodes):
                op, attributes = self.graph.ops[node], self.graph.attributes(node)
                parameter = functools.partial(self._parameter, node)
                value = OPERATIONS[op](value, Step(op, attributes, parameter))
            return stored, value

    def _held_by(self, node: int) -> tuple[Stored, ...]:
        held = self.graph.held
        return tuple(held[value] for value in self.graph.reads(node) if value in held)

    def _parameter(self, node: int, position: int) -> Value | None:
        """The stored tensor at an input of a node, possibly copied; None if that is left out."""
        value = self._input(node, position)
        for _ in range(MAX_STEPS):
            if value == ABSENT:
                return None
            if value in self.graph.held:
                return self._tensor(self.graph.held[value])
            maker = self.graph.maker(value)
            if maker is None or self.graph.ops[maker] != "Identity":
                break
            value = self._input(maker, 0)
        raise NotFollowed(f"{self.graph.ops[node]} with a parameter that is not stored")

    def _tensor(self, stored: Stored) -> Value:
        tensor = self._tensors[stored.message.start]
        if tensor.value is None:
            raise NotFollowed(f"{tensor.dtype} values are not read")
        return tensor.value

    def _scale(self, node: int, convolution: Convolution, shape: tuple[int, ...]) -> Value | None:
        if convolution.scale is not None:
            return self._parameter(node, convolution.scale)
        scale = self._dynamic_scale(node)
        return scale if scale and scale.shape in ((), (1,), shape[:1]) else None

    def _dynamic_scale(self, node: int) -> Value | None:
        """The weight's scale behind a ConvInteger, where dynamic quantization multiplies with it.

        None if there is none to be found; a normalized kernel is the same without.
        """
        for _ in range(MAX_STEPS):
            made = self.graph.makes(node)[:1]
            readers = self.graph.readers(made[0]) if made else []
            if not readers:
                return None
            node = readers[0]
            if self.graph.ops[node] == "Mul":
                return self._stored_factor(self.graph.reads(node))
            if self.graph.ops[node] not in ("Cast", "Identity"):
                return None
        return None

    def _stored_factor(self, factors: Sequence[int]) -> Value | None:
        """The one stored factor of a product, or of the products that are its factors."""
        makers = [self.graph.maker(value) for value in factors]
        products = [node for node in makers if node is not None and self.graph.ops[node] == "Mul"]
        inner = [value for node in products for value in self.graph.reads(node)]
        for value in (*factors, *inner):
            if value in self.graph.held:
                return self._tensors[self.graph.held[value].message.start].value
        return None


@contextlib.contextmanager
def _blaming(stored: Stored) -> Iterator[None]:
    try:
        yield
    except NotFollowed as error:
        raise Untraced(str(error), blamed=(stored,)) from error
