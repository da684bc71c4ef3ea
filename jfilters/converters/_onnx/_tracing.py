"""From a value of a graph back to the stored tensors that it is computed from, and forward to it."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...errors import CheckpointError, UnreadableError
from ...io import ProtobufMessage
from ._budget import Budget
from ._graph import ABSENT, JUNCTION, Graph, Stored
from ._operators import OPERATIONS, PASSING
from ._step import REMEDY, NotFollowed, Step
from ._tensor import Tensor
from ._value import Value

MAX_STEPS = 64
"""Operators on the longest way from a stored tensor to the convolution that it is the weight of."""

MAX_TRACED = 1 << 16
"""Operators that all weights of a model may be computed by."""

_MAX_COMPARED = 1 << 12
"""Elements of a Constant node whose numbers say whether another is the same."""

_DAMAGES = (ValueError, TypeError, ArithmeticError, LookupError, MemoryError)
_RANDOM = ("Random", "Bernoulli", "Multinomial")


_MAX_BLAMED = 16


class Untraced(ValueError):
    """A value that is not computed from stored tensors in a way that is known.

    `blamed` are the tensors that the trace does lead to, `value` is what nothing in the file makes.
    """

    def __init__(self, reason: str, *, blamed: Iterable[Stored | None] = (), value: int = ABSENT):
        super().__init__(reason)
        self.reason, self.value = reason, value
        distinct = {stored.message.start: stored for stored in blamed if stored is not None}
        self.blamed = (*itertools.islice(distinct.values(), _MAX_BLAMED),)


@dataclasses.dataclass(frozen=True)
class Failure:
    """The matter of an `Untraced`, without the frames that such an error keeps in memory."""

    reason: str
    blamed: tuple[Stored, ...]
    value: int

    def error(self) -> Untraced:
        """The error to raise."""
        return Untraced(self.reason, blamed=self.blamed, value=self.value)


@dataclasses.dataclass(frozen=True)
class Traced:
    """A value, the largest of the stored tensors in it, and how many operators it lies behind."""

    value: Value
    main: Stored | None
    steps: int = 0


class Tracer:
    """The values of one graph whose stored tensors are read and whose depths are known."""

    def __init__(self, graph: Graph, tensors: Mapping[int, Tensor], depths: Sequence[int]):
        self.graph, self._tensors, self._depths = graph, tensors, depths
        self.budget = Budget(sum(math.prod(tensor.shape) for tensor in tensors.values()))
        self._traced: dict[int, Traced | Failure] = {}
        self._values: dict[tuple, Value] = {}
        self._constants: set[Value] = set()
        self._identities: dict[Value, object] = {}
        self._operators = 0

    def trace(self, value: int) -> Traced:
        """A value that is computed from stored tensors alone; each is traced once. Raises Untraced."""
        stack = [value]
        while stack:
            waiting = [x for x in self._needs(stack[-1]) if x not in self._traced]
            if waiting:
                stack.extend(waiting)
            else:
                self._settle(stack.pop())
        result = self._traced[value]
        if isinstance(result, Failure):
            raise result.error()
        return result

    def is_constant(self, value: int) -> bool:
        """True for a value that is stored, or made by a node that no input of the model has a path to."""
        node = self.graph.maker(value)
        return value in self.graph.stored_values if node is None else self._depths[node] < 0

    def interned(self, key: tuple, value: Value) -> Value:
        """The value that was computed in the same way before, if there is one."""
        return self._values.setdefault(key, value)

    def identity(self, value: Value | None) -> object:
        """An object that is equal for equal values: for those of small Constant nodes their numbers."""
        if value not in self._identities and value is not None:
            self._identities[value] = self._numbers(value)
        return value and self._identities[value]

    def _numbers(self, value: Value) -> object:
        # Exporters write such a constant anew wherever it is used; other tensors are what they are,
        # and reading each of them would take long from a distant host.
        if value not in self._constants or value.size > _MAX_COMPARED:
            return value
        try:
            return value.dtype.name, value.shape, value.read().tobytes()
        except CheckpointError:
            return value

    def _needs(self, value: int) -> Iterator[int]:
        """The values that must be traced before this one."""
        node = self.graph.maker(value)
        if value in self._traced or value in self.graph.stored_values or node is None:
            return
        if self._depths[node] < 0 and self.graph.ops[node] in OPERATIONS:
            yield from (x for x in self.graph.reads(node) if x != ABSENT)

    def _settle(self, value: int) -> None:
        if value in self._traced:
            return
        try:
            self._traced[value] = self._attempt(value)
        except Untraced as error:
            self._traced[value] = Failure(error.reason, error.blamed, error.value)

    def _attempt(self, value: int) -> Traced:
        node, stored = self.graph.maker(value), self.graph.stored_values.get(value)
        if stored is not None:
            return self._leaf(stored, is_constant=node is not None)
        if node is None:
            raise Untraced("no stored values", value=value)
        if self._depths[node] >= 0:
            raise self._dynamic(value)
        op = self.graph.ops[node]
        if op not in OPERATIONS:
            raise Untraced(_refusal(op), blamed=self._stored_inputs(node))
        inputs = self._inputs(node)
        try:
            return self._computed(node, value, inputs)
        except UnreadableError:
            raise
        # Deliberately broad: a damaged operator costs its own weight, not the whole file.
        except _DAMAGES as error:
            reason = str(error) if isinstance(error, NotFollowed) else f"{op}: {error}"
            raise Untraced(reason, blamed=[self._main(inputs)]) from error

    def _leaf(self, stored: Stored, *, is_constant: bool) -> Traced:
        tensor = self._tensors[stored.message.start]
        if tensor.value is None:
            raise Untraced(f"{tensor.dtype} values are not read", blamed=[stored])
        if is_constant and tensor.file is None:
            self._constants.add(tensor.value)
        return Traced(tensor.value, stored)

    def _inputs(self, node: int) -> list[Traced | None]:
        """The inputs of a node. Raises Untraced for the first that has no values."""
        results = [self._traced.get(value) for value in self.graph.reads(node)]
        inputs = [x if isinstance(x, Traced) else None for x in results]
        for position, failure in enumerate(results):
            if isinstance(failure, Failure):
                blamed, reason = [*failure.blamed, self._main(inputs)], failure.reason
                if failure.value != ABSENT and position > 0:
                    reason = f"{self.graph.ops[node]} with a parameter that is not stored"
                raise Untraced(reason, blamed=blamed, value=failure.value)
        return inputs

    def _computed(self, node: int, value: int, inputs: Sequence[Traced | None]) -> Traced:
        op, self._operators = self.graph.ops[node], self._operators + 1
        steps = 1 + max((x.steps for x in inputs if x), default=0)
        if steps > MAX_STEPS or self._operators > MAX_TRACED:
            raise NotFollowed(f"computed by {op} behind too many operators; {REMEDY}")
        step = self._step(node, value, inputs)
        result = OPERATIONS[op](step)
        if result.size > self.budget.largest:
            most = f"expected at most {self.budget.largest}"
            raise NotFollowed(f"computed by {op}: {result.size} numbers, {most}")
        sources = [x for x in inputs if x and x.value in (result, *result.inputs)]
        # A member of a sequence was made earlier than this operator.
        if result.inputs and not sources:
            sources = inputs
        main = self._main(sources)
        if not any(x and x.value is result for x in inputs):
            result = self.interned(self._key(step), result)
        return Traced(result, main, steps)

    def _step(self, node: int, value: int, inputs: Sequence[Traced | None]) -> Step:
        makes = list(self.graph.makes(node))
        return Step(
            self.graph.ops[node],
            self.graph.attributes(node),
            [x.value if x else None for x in inputs],
            output=makes.index(value),
            outputs=sum(x != ABSENT for x in makes),
            tensor=self._attribute_tensor,
            read=self.budget.read,
        )

    def _attribute_tensor(self, message: ProtobufMessage) -> Value | None:
        tensor = self._tensors.get(message.start)
        return tensor.value if tensor else None

    def _key(self, step: Step) -> tuple:
        """All that the result of a step depends on: equal keys, equal numbers."""
        inputs = []
        for position, value in enumerate(step.inputs):
            numbers = step.parameters.get(position)
            is_read = numbers is not None
            inputs.append((numbers.shape, numbers.tobytes()) if is_read else self.identity(value))
        attributes = sorted(attribute.content() for attribute in step.attributes.values())
        return step.op, step.output, step.outputs, *inputs, *attributes

    def _main(self, inputs: Sequence[Traced | None]) -> Stored | None:
        """The largest tensor among the largest ones of inputs, a mask last."""
        mains = [x.main for x in inputs if x and x.main]
        return max(mains, key=self._weight, default=None)

    def _weight(self, stored: Stored) -> tuple[bool, int]:
        tensor = self._tensors[stored.message.start]
        is_mask = tensor.dtype == "bool" or tensor.name.endswith("mask")
        return not is_mask, math.prod(tensor.shape)

    def _stored_inputs(self, node: int) -> list[Stored]:
        stored = self.graph.stored_values
        return [stored[value] for value in self.graph.reads(node) if value in stored]

    def _dynamic(self, value: int) -> Untraced:
        """The reason against a value that inputs of the model have a path to."""
        queue, blamed, op, graph_input = [value], [], None, ABSENT
        for place in queue:
            node = self.graph.maker(place)
            if self.is_constant(place):
                blamed += self._mains(place)
            elif node is None:
                graph_input = graph_input or place
            else:
                name = self.graph.ops[node]
                op = name if op is None and name not in PASSING else op
                is_followed = name in OPERATIONS and len(queue) < MAX_STEPS
                reads = self.graph.reads(node) if is_followed else ()
                queue += [x for x in reads if x != ABSENT and x not in queue]
                blamed += [] if name in OPERATIONS else self._stored_inputs(node)
        if op is None:
            return Untraced("no stored values", blamed=blamed, value=graph_input)
        maker = "a body of the graph" if op == JUNCTION else op
        return Untraced(f"computed by {maker} from an input of the network", blamed=blamed)

    def _mains(self, value: int) -> list[Stored]:
        try:
            main = self.trace(value).main
        except Untraced as error:
            return list(error.blamed)
        return [main] if main else []


def _refusal(op: str) -> str:
    """The reason against an operator that is not computed."""
    if op == JUNCTION:
        return "carried into a body of the graph"
    random = op.startswith(_RANDOM)
    return f"computed by {op}" + ("" if random else f"; {REMEDY}")
