"""The description of an OpenVINO network as one flat graph of nodes.

The XML is parsed by expat, which follows no entity and no reference here: a document type is refused.
"""

import dataclasses
import re
import xml.parsers.expat
from collections.abc import Mapping
from typing import NoReturn

from ...errors import CheckpointError
from ...io import ByteSource

MAX_BYTES = 1 << 24
"""Bytes of a description; that of a large language model has 5 MB."""

MAX_ELEMENTS = 1 << 20
"""Elements of a description, each of which takes its parser a microsecond."""

MAX_NESTING = 64
"""Elements inside each other."""

MAX_NODES = 1 << 17
"""Nodes of a network, with those of the bodies of loops and branches."""

OLDEST = 10
"""The first version of the format in which constants are nodes."""

_BODIES = ("body", "then_body", "else_body")
_NUMBER = re.compile(r"\d{1,9}")
_HEAD = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>\s*)?(<!--((?!-->).)*-->\s*)*<net\s[^>]*\bversion=",
    re.DOTALL,
)

Shape = tuple[int, ...]


@dataclasses.dataclass
class Node:
    """One layer: its type, name and attributes, and by port what it reads and the shapes that it makes.

    Axes of a length that is not known are -1. `names` are those of its outputs in the original model.
    """

    kind: str
    name: str
    data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reads: dict[int, int] = dataclasses.field(default_factory=dict)
    shapes: dict[int, list[int]] = dataclasses.field(default_factory=dict)
    names: str = ""
    after: list[int] = dataclasses.field(default_factory=list)

    @property
    def sources(self) -> list[int]:
        """The nodes that a node needs, among them those of its body."""
        return [*self.reads.values(), *self.after]

    @property
    def shape(self) -> Shape:
        """The shape of the first output; () where there is none."""
        return tuple(next(iter(self.shapes.values()), ()))


@dataclasses.dataclass
class _Scope:
    """The network, or the body of a loop or a branch: its nodes by their numbers, and its edges."""

    owner: int | None = None
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    edges: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)


def describes(head: bytes) -> bool:
    """Return whether these are the first bytes of a description."""
    return _HEAD.match(head) is not None


def read_nodes(source: ByteSource) -> list[Node]:
    """The nodes of a description. Raises CheckpointError if it is damaged, too large or too old."""
    if source.size > MAX_BYTES:
        raise CheckpointError(f"more than {MAX_BYTES} bytes of description", path=source.path)
    reader = _Reader(source)
    parser = xml.parsers.expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(bytes(source.read(0, MAX_BYTES)), True)
    except xml.parsers.expat.ExpatError as error:
        reader.refuse(f"no valid XML ({error})")
    return reader.nodes


class _Reader:
    """The state while a description is parsed."""

    def __init__(self, source: ByteSource):
        self.nodes: list[Node] = []
        self._source, self._path, self._text = source, [], ""
        self._scopes, self._current = [_Scope()], list[int]()
        self._ports: list[int] = []
        self._count = 0

    def refuse(self, reason: str) -> NoReturn:
        """Refuse the description."""
        raise CheckpointError(reason, path=self._source.path, remedy="convert the model again")

    def doctype(self, *_: object) -> NoReturn:
        """Refuse a document type, which could define entities."""
        self.refuse("a document type, which no description of a network has")

    def text(self, data: str) -> None:
        """Keep the text of an axis."""
        if self._path and self._path[-1] == "dim" and len(self._text) < 32:
            self._text += data

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in the beginning of an element."""
        parent = self._path[-1] if self._path else ""
        self._path.append(tag)
        self._text = ""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            self.refuse(f"more than {MAX_ELEMENTS} elements of XML")
        if len(self._path) > MAX_NESTING:
            self.refuse(f"more than {MAX_NESTING} elements inside each other")
        match parent, tag:
            case "", _:
                self._start_net(tag, attributes)
            case "layers", "layer":
                self._start_layer(attributes)
            case "layer", "data":
                self._node.data = attributes
            case "output", "port":
                self._start_port(attributes)
            case "edges", "edge":
                self._add_edge(attributes)
            case "layer", body if body in _BODIES:
                self._scopes.append(_Scope(self._current[-1]))

    def end(self, tag: str) -> None:
        """Take in the end of an element."""
        self._path.pop()
        parent = self._path[-1] if self._path else ""
        match parent, tag:
            case "layers", "layer":
                self._current.pop()
            case "port", "dim" if self._path[-2] == "output" and self._ports:
                axis = int(self._text) if _NUMBER.fullmatch(self._text.strip()) else -1
                self._node.shapes[self._ports[-1]].append(axis)
            case ("layer", body) if body in _BODIES:
                self._close_body(self._scopes.pop())
            case "", _:
                self._connect(self._scopes[0])

    @property
    def _node(self) -> Node:
        return self.nodes[self._current[-1]]

    def _start_net(self, tag: str, attributes: dict[str, str]) -> None:
        version = attributes.get("version", "")
        if tag != "net" or not _NUMBER.fullmatch(version):
            self.refuse(f"expected a network with a version, found {tag!r:.40}")
        if int(version) < OLDEST:
            self.refuse(f"version {int(version)} of the format, expected {OLDEST} or later")

    def _start_layer(self, attributes: dict[str, str]) -> None:
        number, name = attributes.get("id", ""), attributes.get("name", "")
        numbers = self._scopes[-1].numbers
        if len(self.nodes) >= MAX_NODES or number in numbers:
            self.refuse(f"more than {MAX_NODES} layers, or two of the number {number!r:.20}")
        numbers[number] = len(self.nodes)
        self._current.append(len(self.nodes))
        self.nodes.append(Node(attributes.get("type", ""), name))

    def _start_port(self, attributes: dict[str, str]) -> None:
        port = self._port(attributes.get("id", ""))
        self._ports = [port]
        self._node.shapes[port] = []
        self._node.names = self._node.names or attributes.get("names", "")

    def _add_edge(self, attributes: dict[str, str]) -> None:
        ends = ("from-layer", "to-layer", "to-port")
        first, last, port = (attributes.get(key, "") for key in ends)
        self._scopes[-1].edges.append((first, last, port))

    def _port(self, text: str) -> int:
        if not _NUMBER.fullmatch(text):
            self.refuse(f"expected the number of a port, found {text!r:.20}")
        return int(text)

    def _connect(self, scope: _Scope) -> None:
        for first, last, port in scope.edges:
            if first not in scope.numbers or last not in scope.numbers:
                self.refuse(
                    f"an edge between layers {first!r:.20} and {last!r:.20} that are missing"
                )
            node = self.nodes[scope.numbers[last]]
            node.reads[self._port(port)] = scope.numbers[first]

    def _close_body(self, scope: _Scope) -> None:
        """Lead what the owner of a body reads into its parameters, and its results to the owner."""
        self._connect(scope)
        if scope.owner is None:
            return
        for index in scope.numbers.values():
            if self.nodes[index].kind == "Parameter":
                self.nodes[index].after.append(~scope.owner)
            elif self.nodes[index].kind == "Result":
                self.nodes[scope.owner].after.append(index)
