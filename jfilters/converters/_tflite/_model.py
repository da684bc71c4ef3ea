"""The graph of a TensorFlow Lite model: subgraphs of operators and tensors, none of whose data is read."""

import dataclasses
import functools
import math
from collections.abc import Sequence

from ...io import Flatbuffer, FlatTable
from . import _schema as schema

MAX_RANK = 16
"""Axes of a tensor."""

ABSENT = -1
"""The number of an input that is left out."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph: its record, and the span of its stored values, None for a computed one.

    `buffer` tells tensors apart that share their values.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    bits: int
    buffer: int
    span: tuple[int, int] | None
    is_external: bool
    table: FlatTable

    @property
    def size(self) -> int:
        """Values in it."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator by name, the numbers of the tensors that it reads and makes, and of what it runs."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: FlatTable | None
    calls: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Subgraph:
    """The operators of a subgraph, its tensors, and which of these are its inputs."""

    name: str
    tensors: Sequence[Tensor]
    inputs: tuple[int, ...]
    operators: Sequence[Operator]

    @functools.cached_property
    def makers(self) -> dict[int, int]:
        """For each computed tensor the operator that makes it."""
        return {t: index for index, op in enumerate(self.operators) for t in op.outputs}


class Reader:
    """Reads the subgraphs of one file. Raises CheckpointError where an index leads nowhere."""

    def __init__(self, file: Flatbuffer):
        self._file, root = file, file.root()
        self._codes = [_operator_name(code) for code in root.tables(schema.Model.OPERATOR_CODES)]
        self._buffers = root.span(schema.Model.BUFFERS, 4) or (0, 0)
        self._subgraphs = root.tables(schema.Model.SUBGRAPHS)
        self._spans: dict[int, tuple[int, int] | None] = {}

    def subgraphs(self) -> list[Subgraph]:
        """All subgraphs, in the order of the file."""
        return [self._subgraph(table) for table in self._subgraphs]

    def _subgraph(self, table: FlatTable) -> Subgraph:
        tensors = [self._tensor(item) for item in table.tables(schema.Subgraph.TENSORS)]
        operators = table.tables(schema.Subgraph.OPERATORS)
        return Subgraph(
            table.text(schema.Subgraph.NAME),
            tensors,
            self._places(table, schema.Subgraph.INPUTS, len(tensors)),
            [self._operator(item, len(tensors)) for item in operators],
        )

    def _operator(self, table: FlatTable, tensors: int) -> Operator:
        code = table.number(schema.Operator.CODE, "<I")
        if code >= len(self._codes):
            self._file.refuse(f"operator code {code} of {len(self._codes)}")
        name, options = self._codes[code], table.table(schema.Operator.OPTIONS)
        fields = schema.CALLS.get(name, ()) if options else ()
        calls = tuple(options.number(field, "<i") for field in fields) if options else ()
        if any(not 0 <= call < len(self._subgraphs) for call in calls):
            self._file.refuse(f"{name} runs subgraphs {calls} of {len(self._subgraphs)}")
        inputs = self._places(table, schema.Operator.INPUTS, tensors)
        outputs = self._places(table, schema.Operator.OUTPUTS, tensors)
        return Operator(name, inputs, outputs, options, calls)

    def _places(self, table: FlatTable, field: int, count: int) -> tuple[int, ...]:
        """The numbers of tensors in a field."""
        places = tuple(table.numbers(field, "<i4").tolist())
        if places and not (min(places) >= ABSENT and max(places) < count):
            self._file.refuse(f"tensors {min(places)}..{max(places)} of {count}")
        return places

    def _tensor(self, table: FlatTable) -> Tensor:
        kind = table.number(schema.Tensor.TYPE, "<b")
        dtype, bits = schema.DTYPES.get(kind, (f"type {kind}", 0))
        buffer = table.number(schema.Tensor.BUFFER, "<I")
        return Tensor(
            table.text(schema.Tensor.NAME),
            self._shape(table, schema.Tensor.SHAPE),
            self._shape(table, schema.Tensor.SIGNATURE),
            dtype,
            bits,
            buffer,
            self._span(buffer),
            table.number(schema.Tensor.EXTERNAL, "<I") > 0,
            table,
        )

    def _shape(self, table: FlatTable, field: int) -> tuple[int, ...]:
        shape = tuple(table.numbers(field, "<i4").tolist())
        if len(shape) > MAX_RANK:
            self._file.refuse(f"a tensor of {len(shape)} axes")
        return shape

    def _span(self, index: int) -> tuple[int, int] | None:
        """The bytes start..stop of a buffer; None for one without values."""
        if index not in self._spans:
            self._spans[index] = self._read_span(index)
        return self._spans[index]

    def _read_span(self, index: int) -> tuple[int, int] | None:
        start, stop = self._buffers
        place = start + 4 * index
        if place >= stop:
            self._file.refuse(f"buffer {index} of {(stop - start) // 4}")
        table = FlatTable(self._file, self._file.follow(place))
        offset = table.number(schema.Buffer.OFFSET, "<Q")
        # Models beyond 2 GB keep their values behind the flatbuffer.
        if offset > 1:
            return self._outside(offset, table.number(schema.Buffer.SIZE, "<Q"))
        span = table.span(schema.Buffer.DATA)
        return span if span and span[0] < span[1] else None

    def _outside(self, offset: int, size: int) -> tuple[int, int]:
        if offset + size > self._file.source.size:
            whole = f"found only {self._file.source.size}"
            self._file.refuse(f"expected values in bytes {offset}..{offset + size}, {whole}")
        return offset, offset + size


def _operator_name(code: FlatTable) -> str:
    """The name of an operator: a number beyond 127 has a field of its own."""
    number = max(
        code.number(schema.OperatorCode.OLD_BUILTIN, "<b"),
        code.number(schema.OperatorCode.BUILTIN, "<i"),
    )
    name = schema.OPERATORS.get(number, f"operator {number}")
    return code.text(schema.OperatorCode.CUSTOM) or name if name == "CUSTOM" else name
