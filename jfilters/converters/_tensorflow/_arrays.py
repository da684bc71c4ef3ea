"""The arrays of a TensorFlow checkpoint: tensors of its table and constants of its graph."""

import dataclasses
import functools
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NoReturn

from ...errors import CheckpointError
from ...io import Location, ProtobufMessage
from .._names import Distinct
from .._not_weights import DERIVED, OPTIMIZER
from .._stored import StoredArray
from ._bundle import OBJECT_GRAPH, Bundle, Entry
from ._flat import FlatGraph
from ._listing import Facts, graph_facts
from ._meta import restored_keys
from ._named import WEIGHT, by_names
from ._nodes import Node
from ._objects import SLOT, VALUE, Variable, short_name, variables_of
from ._operators import CONSTANT
from ._tensor import Tensor
from ._uses import Uses
from ._value import Value

_UNUSED = Facts(reason="used by no operator of the graph")
_LISTED = re.compile(r"(^|/)\d+$")


class Arrays:
    """The arrays of one checkpoint; `bundle` or `graph` may be left out.

    `folder` is that of the bundle's files, relative to the checkpoint, and `further` are files that
    belong to it.
    """

    def __init__(
        self,
        path: Location,
        bundle: Bundle | None,
        graph: FlatGraph | None,
        folder: str = "",
        further: Sequence[str] = (),
    ):
        self.path, self.bundle, self.graph = path, bundle, graph
        self._folder, self._further = folder, tuple(further)
        self._objects = self._variables()
        self._made_as = _by_full_name(self._objects)
        self._constants: dict[Hashable, tuple[str, Tensor]] = {}
        self._names = Distinct()

    def entries(self, *, constants: bool) -> Iterator[StoredArray]:
        """All tensors, then the constants: all of them, or only those that convolutions apply."""
        facts = self._facts()
        copies = {} if facts else self._equal()
        entries = self._entries()
        # Of two variables of one name the one that is applied has it.
        entries.sort(key=lambda entry: facts.get(entry.name, _UNUSED).axes is None and bool(facts))
        for entry in entries:
            yield self._tensor(entry, copies.get(entry.name, "") or None, facts)
        for key, (name, tensor) in self._constants.items():
            fact = facts.get(key, _UNUSED)
            if constants or fact.reason is None or fact.unread:
                yield self._constant(name, tensor, fact)
        yield from (fact.missing for fact in facts.values() if fact.missing is not None)

    def _facts(self) -> Mapping[Hashable, Facts]:
        if self.graph is None:
            return {}
        self._keys = restored_keys(self.graph)
        facts = graph_facts(Uses(self.graph, self._lookup), self.path)
        # A graph that applies none of the variables is not that of the network.
        is_network = any(fact.depth is not None for fact in facts.values())
        return facts if self.bundle is None or is_network else {}

    def _variables(self) -> dict[str, Variable]:
        entry = self.bundle.entries.get(OBJECT_GRAPH) if self.bundle else None
        if self.bundle is None or entry is None:
            return {}
        return variables_of(self.bundle.text(entry), self.path)

    def _lookup(self, graph: FlatGraph, number: int) -> Value | None:
        """The stored value of a variable or constant of the graph."""
        node = graph.nodes[number]
        if node.op == CONSTANT:
            return self._constant_value(graph, number)
        name = node.record.name if node.record else ""
        key = self._keys.get(number) or self._made_as.get(_shared_name(node.record), name)
        entry = self.bundle.entries.get(key) if self.bundle else None
        if self.bundle is None or entry is None or entry.dtype == "string":
            return None
        return Value(key, entry.shape, self.bundle.reader(entry), is_whole=bool(entry.slices))

    def _constant_value(self, graph: FlatGraph, number: int) -> Value | None:
        record = graph.nodes[number].record
        message = record.attribute("value") if record else None
        if not isinstance(message, ProtobufMessage) or record is None:
            return None
        # A function that is run several times has its constants once.
        key = ("constant", message.start)
        if key not in self._constants:
            self._constants[key] = record.name, Tensor(message)
        tensor = self._constants[key][1]
        return Value(key, tensor.shape, tensor.read)

    def _tensor(
        self, entry: Entry, copy: str | None, facts: Mapping[Hashable, Facts]
    ) -> StoredArray:
        bundle, place, name = self.bundle, self._place(entry), self._shown(entry)
        reason = _own_reason(entry, self._objects.get(entry.name)) or copy
        fact = self._by_graph(entry, facts) if facts else self._by_names(entry)
        if entry.dtype in ("string", "resource", "variant") or bundle is None:
            return self._refused(name, entry, reason or f"{entry.dtype}: no numbers")
        first, *parts = (f"{self._folder}{file}" for file in bundle.files(entry))
        return _stored(
            StoredArray(
                self._names(name),
                entry.shape,
                entry.dtype,
                bundle.reader(entry),
                sort_name=place,
                file=first,
                further_files=(*parts, *self._further),
            ),
            dataclasses.replace(fact, reason=reason) if reason else fact,
        )

    def _by_graph(self, entry: Entry, facts: Mapping[Hashable, Facts]) -> Facts:
        fact = facts.get(entry.name)
        is_applied = fact is not None and (fact.axes is not None or fact.unread)
        return fact if fact is not None and is_applied else self._unapplied(entry, fact or _UNUSED)

    def _unapplied(self, entry: Entry, fact: Facts) -> Facts:
        """The facts about a tensor that no convolution reads: slots are named after their variables."""
        entries = self.bundle.entries if self.bundle else {}
        origin = entries.get(entry.name.rpartition("/")[0])
        is_slot = origin is not None and origin.shape == entry.shape
        return Facts(reason=DERIVED) if is_slot else fact

    def _by_names(self, entry: Entry) -> Facts:
        variable, name = self._objects.get(entry.name), self._shown(entry)
        stem, _, leaf = name.rpartition("/")
        bias = self._biases.get(stem) if WEIGHT.fullmatch(leaf) else None
        return by_names(entry.shape, name, variable.full_name if variable else "", bias)

    @functools.cached_property
    def _biases(self) -> dict[str, int]:
        """The lengths of biases, by the names of the layers that they lie in."""
        biases = {}
        for entry in self.bundle.entries.values() if self.bundle else ():
            stem, _, leaf = self._shown(entry).rpartition("/")
            if leaf.strip("_") in ("bias", "biases", "b") and len(entry.shape) == 1:
                biases[stem] = entry.shape[0]
        return biases

    def _place(self, entry: Entry) -> str:
        """The place of a tensor in the model, or its key where that is not known."""
        variable = self._objects.get(entry.name)
        return variable.place if variable and variable.place else short_name(entry.name)

    def _shown(self, entry: Entry) -> str:
        """The name of a tensor: its place, or what it was made as if that is but a number in a list."""
        variable, place = self._objects.get(entry.name), self._place(entry)
        is_listed = _LISTED.search(place) is not None
        return variable.full_name if variable and variable.full_name and is_listed else place

    def _entries(self) -> list[Entry]:
        """The tensors of the table, those of lists that Keras keeps for itself behind the others."""
        entries = self.bundle.entries.values() if self.bundle else ()
        return sorted(entries, key=lambda entry: entry.name.startswith("_"))

    def _equal(self) -> dict[str, str]:
        """The variables that a model lists a second time, by key, with the reason; checksums tell."""
        reasons: dict[str, str] = {}
        firsts: dict[tuple, Entry] = {}
        for entry in self._entries():
            variable = self._objects.get(entry.name)
            if variable is not None and variable.full_name and entry.checksum:
                content = (variable.full_name, entry.dtype, entry.shape, entry.checksum)
                first = firsts.setdefault(content, entry)
                if first is not entry:
                    reasons[entry.name] = f"equal to {short_name(first.name)}"
        return reasons

    def _constant(self, name: str, tensor: Tensor, fact: Facts) -> StoredArray:
        array = StoredArray(self._names(name), tensor.shape, tensor.dtype, tensor.read)
        return _stored(array, fact)

    def _refused(self, name: str, entry: Entry, reason: str) -> StoredArray:
        def read() -> NoReturn:
            raise CheckpointError(reason, path=self.path, tensor=name)

        return StoredArray(self._names(name), entry.shape, entry.dtype, read, reason=reason)


def _stored(array: StoredArray, facts: Facts) -> StoredArray:
    return dataclasses.replace(
        array,
        shape=facts.shape or array.shape,
        read=facts.read or array.read,
        axes=facts.axes,
        groups=facts.groups,
        transposed=facts.transposed,
        mirrored=False if facts.transposed else None,
        depth=facts.depth,
        reason=facts.reason,
        note=facts.note,
        unread=facts.unread,
        applied="computed" if facts.is_computed else "as stored",
    )


def _own_reason(entry: Entry, variable: Variable | None) -> str | None:
    """The reason that the checkpoint itself gives why a tensor is no weight of the network."""
    if entry.name == OBJECT_GRAPH:
        return "the objects of the checkpoint"
    is_reached = variable is None or bool(variable.place)
    is_state = SLOT in entry.name or (entry.name.endswith(VALUE) and not is_reached)
    return OPTIMIZER if is_state else None


def _by_full_name(objects: Mapping[str, Variable]) -> dict[str, str]:
    """The keys of variables by the names that they were made with; the first of several."""
    keys: dict[str, str] = {}
    for key, variable in objects.items():
        if variable.full_name:
            keys.setdefault(variable.full_name, key)
    return keys


def _shared_name(record: Node | None) -> str:
    value = record.attribute("shared_name") if record else None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
