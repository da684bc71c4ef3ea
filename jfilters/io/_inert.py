"""The content of a pickle when nothing in it is built: records for objects, ranges for big bytes.

A class, a function and a call are kept by name with what they would have been given, so that the
arrays inside can be found; no name is ever looked up.
"""

import dataclasses
from collections.abc import Iterator

from ._location import Location
from ._source import ByteSource


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A class or function that the pickle names, as "module.name"; it is not imported."""

    name: str


@dataclasses.dataclass(slots=True, eq=False)
class Inert:
    """An object that was not built: what would have made it, and what would have been put into it.

    - `name`: the class or function, "(computed)" where the pickle would have called one for it.
    - `args`, `state`: the arguments, and what __setstate__ would have been given.
    - `items`, `pairs`: what would have been appended, and set by key.
    """

    name: str
    args: tuple = ()
    state: object = None
    items: list | None = None
    pairs: "InertMapping | None" = None


class InertMapping(list):
    """A dict as keys and values in turn, because keys from a hostile file must not be hashed."""

    __slots__ = ()

    def pairs(self) -> Iterator[tuple[object, object]]:
        """Keys with their values, in the order of insertion."""
        return zip(self[::2], self[1::2], strict=True)

    def get(self, name: str) -> object:
        """The value that was last set under `name`; None without one."""
        for index in range(len(self) - 2, -1, -2):
            if isinstance(self[index], str) and self[index] == name:
                return self[index + 1]
        return None

    def has(self, *names: str) -> bool:
        """Return whether all of `names` are keys."""
        return {*names} <= {key for key in self[::2] if isinstance(key, str)}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PickledBytes:
    """Bytes of a pickle that stay where they are until they are read.

    `latin1`: they are stored as text, in UTF-8 of one character a byte, as protocol 2 does.
    """

    source: ByteSource
    start: int
    stop: int
    latin1: bool = False

    def read(self) -> memoryview:
        """The bytes. Raises UnicodeError if they are no text of single bytes."""
        data = self.source.read(self.start, self.stop)
        return memoryview(str(data, "utf-8").encode("latin-1")) if self.latin1 else data


@dataclasses.dataclass(frozen=True, slots=True)
class MemorySource:
    """Bytes that a file holds in encoded form, as a source of their own."""

    path: Location
    data: memoryview

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data)

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop."""
        return self.data[start:stop]


def called(callee: object, args: tuple) -> object:
    """Return the result of a call that makes a plain container or bytes, else a record of the call."""
    name = callee.name if isinstance(callee, Global) else "(computed)"
    convert = _PLAIN.get(name)
    value = None if convert is None else convert(args)
    return Inert(name, args) if value is None else value


def _mapping(args: tuple) -> object:
    """A dict from the pairs that it was called with; a defaultdict's factory gives none."""
    pairs = args[0] if args and isinstance(args[0], list) else []
    if isinstance(pairs, InertMapping):
        return pairs
    if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        return InertMapping(part for pair in pairs for part in pair)
    return None


def _sequence(args: tuple) -> object:
    argument = args[0] if args else []
    return argument if isinstance(argument, list | tuple) else None


def _bytes(args: tuple) -> object:
    """The text from which protocol 2 makes bytes; it is encoded where it is needed."""
    argument = args[0] if args else ""
    return argument if isinstance(argument, PickledBytes | str) else None


_PLAIN = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "_codecs.encode": _bytes,
    "torch.Size": _sequence,
}
for _module in ("builtins", "__builtin__"):
    _PLAIN |= {f"{_module}.{name}": _sequence for name in ("list", "set", "frozenset", "tuple")}
    _PLAIN |= {f"{_module}.{name}": _bytes for name in ("bytes", "bytearray")}
    _PLAIN[f"{_module}.dict"] = _mapping


def type_name(kind: type) -> str:
    """The name of a type as messages give it."""
    return "Mapping" if kind is InertMapping else kind.__name__
