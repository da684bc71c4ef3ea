"""An inert pickle machine: it runs a pickle's opcodes and imports, calls and builds nothing.

Numbers, strings, tuples, lists and dicts come out as themselves (a dict as a `Mapping`), everything
else as a record of what the pickle asked for. Work and memory are bounded whatever the pickle says.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

from .._bytes import Cursor
from ._inert import Global, Inert, Mapping, Span, called

MAX_OPCODES = 2_000_000
"""Opcodes in one pickle, each of at most about 100 bytes; 10,000 arrays need some 500,000."""

MAX_TEXT = 1 << 25
"""Bytes of all short strings, names and long integers together."""

MAX_MARKS = 10_000
"""Containers that are open at the same time."""

LONGEST_TEXT = 1 << 16
"""Bytes of one string; longer ones stay in the file as a `Span`."""

LONGEST_INTEGER = 1024
"""Bytes, or digits, of one integer."""

NEWEST_PROTOCOL = 5
_PAIR_BYTES, _NAME_BYTES = 16, 64

_Kind = TypeVar("_Kind")

_SAVE_AGAIN = "load it where it was saved and save its state_dict alone"


def unpickle(
    cursor: Cursor, persistent: Callable[[object], object], most_opcodes: int = MAX_OPCODES
) -> object:
    """The value of the pickle at the cursor, which moves behind it.

    `persistent` gives the value of a persistent id, which is how torch refers to storages.
    Raises `CheckpointError` for anything that is no pickle, or one beyond these bounds.
    """
    return _Machine(cursor, persistent).run(most_opcodes)


class _Machine:
    """The stack, the memo and the bounds of one pickle."""

    def __init__(self, cursor: Cursor, persistent: Callable[[object], object]):
        self.cursor, self.persistent = cursor, persistent
        self.stack, self.marks, self.memo, self.text = [], [], [], 0

    def run(self, most_opcodes: int) -> object:
        for _ in range(most_opcodes):
            opcode = self.cursor.take(1)
            if opcode == b".":
                return self.pop()
            handler = _OPCODES.get(opcode)
            if handler is None:
                raise self.cursor.refusal(f"{opcode!r} is no pickle opcode that is read here")
            handler(self)
        error = self.cursor.refusal(f"a pickle of more than {most_opcodes:,} opcodes")
        error.remedy = _SAVE_AGAIN
        raise error

    # The stack.

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        self._check(1)
        return self.stack.pop()

    def top(self, count: int = 1) -> object:
        self._check(count)
        return self.stack[-count]

    def pop_mark(self) -> list:
        if not self.marks:
            raise self.cursor.refusal("the pickle closes a container that it did not open")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def checked(self, value: object, kind: type[_Kind]) -> _Kind:
        if not isinstance(value, kind):
            found = type(value).__name__
            raise self.cursor.refusal(f"expected a {kind.__name__} on the stack, found {found},")
        return value

    def _check(self, count: int) -> None:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise self.cursor.refusal("the pickle takes from an empty stack")

    # Strings and numbers.

    def string(self, layout: str, encoding: str = "utf-8") -> None:
        count = self.cursor.number(layout)
        if not 0 <= count <= LONGEST_TEXT:
            return self.span(count, latin1=encoding == "utf-8")
        self.push(self.decoded(self.cursor.take(count), encoding))

    def decoded(self, data: bytes, encoding: str = "utf-8") -> str:
        self.charge(len(data))
        return data.decode(encoding, "backslashreplace")

    def charge(self, count: int) -> None:
        self.text += count
        if self.text > MAX_TEXT:
            raise self.cursor.refusal(f"more than {MAX_TEXT:,} bytes of strings")

    def span(self, count: int, latin1: bool = False) -> None:
        if count < 0:
            raise self.cursor.refusal(f"a length of {count}")
        start = self.cursor.skip(count)
        self.push(Span(self.cursor.source, start, start + count, latin1))

    def integer(self, layout: str) -> None:
        count = self.cursor.number(layout)
        if not 0 <= count <= LONGEST_INTEGER:
            raise self.cursor.refusal(f"an integer of {count} bytes")
        self.charge(count)
        self.push(int.from_bytes(self.cursor.take(count), "little", signed=True))

    def written(self, kind: Callable[[bytes], _Kind]) -> _Kind:
        line = self.cursor.line()
        try:
            return kind(line[:LONGEST_INTEGER].removesuffix(b"L"))
        except ValueError as error:
            raise self.cursor.refusal(f"expected a number, found {line[:40]!r},") from error

    # The memo.

    def get(self, index: int) -> None:
        if not 0 <= index < len(self.memo):
            raise self.cursor.refusal(f"the pickle has remembered nothing as {index}")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        # Picklers number consecutively; tools that drop unused entries leave gaps.
        if not 0 <= index <= MAX_OPCODES:
            raise self.cursor.refusal(f"a memo index of {index}")
        self.memo.extend([None] * (index + 1 - len(self.memo)))
        self.memo[index] = self.top()

    # Containers.

    def mark(self) -> None:
        if len(self.marks) >= MAX_MARKS:
            raise self.cursor.refusal(f"more than {MAX_MARKS:,} nested containers")
        self.marks.append(len(self.stack))

    def pop_or_mark(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def tuple_of(self, count: int) -> None:
        self._check(count)
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push(values)

    def extend(self, values: list) -> None:
        target = self.top()
        if isinstance(target, Inert):
            target.items = target = target.items or []
        if isinstance(target, Mapping):
            raise self.cursor.refusal("items without keys, added to a dict")
        self.checked(target, list).extend(values)

    def set_pairs(self, values: list) -> None:
        target = self.top()
        if isinstance(target, Inert):
            target.pairs = target = target.pairs or Mapping()
        self.checked(target, Mapping).extend(self.paired(values))

    def paired(self, values: list) -> Mapping:
        if len(values) % 2:
            raise self.cursor.refusal("a dict with a key that has no value")
        return Mapping(values)

    # What would run code.

    def name(self, module: str, name: str) -> Global:
        self.charge(_NAME_BYTES + len(module) + len(name))
        return Global(f"{module}.{name}")

    def name_lines(self) -> Global:
        module, name = (self.cursor.line().decode("utf-8", "backslashreplace") for _ in range(2))
        return self.name(module, name)

    def stack_name(self) -> None:
        name, module = (self.checked(self.pop(), str) for _ in range(2))
        self.push(self.name(module, name))

    def call(self) -> None:
        args, callee = self.checked(self.pop(), tuple), self.pop()
        # A dict made from a list of pairs copies it, and the memo could ask for that many times.
        self.charge(_PAIR_BYTES * sum(len(arg) for arg in args[:1] if isinstance(arg, list)))
        self.push(called(callee, args))

    def call_with_keywords(self) -> None:
        keywords, args, callee = self.pop(), self.pop(), self.pop()
        self.push(called(callee, (args, keywords)))

    def call_marked(self, values: list) -> None:
        if not values:
            raise self.cursor.refusal("an object without a class")
        self.push(called(values[0], tuple(values[1:])))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        # Attributes of a dict, such as the _metadata of a state_dict, hold no arrays of a network.
        if isinstance(target, Inert):
            target.state = state

    def protocol(self) -> None:
        version = self.cursor.take(1)[0]
        if version > NEWEST_PROTOCOL:
            raise self.cursor.refusal(f"pickle protocol {version}, newer than {NEWEST_PROTOCOL},")


def _number(line: bytes) -> int:
    """Protocol 1 writes True and False as the numbers 01 and 00."""
    return {b"01": True, b"00": False}[line] if line in (b"00", b"01") else int(line)


_OPCODES: dict[bytes, Callable[[_Machine], object]] = {
    # Numbers and strings.
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.cursor.number("<B")),
    b"M": lambda m: m.push(m.cursor.number("<H")),
    b"J": lambda m: m.push(m.cursor.number("<i")),
    b"G": lambda m: m.push(*struct.unpack(">d", m.cursor.take(8))),
    b"I": lambda m: m.push(m.written(_number)),
    b"L": lambda m: m.push(m.written(int)),
    b"F": lambda m: m.push(m.written(float)),
    b"\x8a": lambda m: m.integer("<B"),
    b"\x8b": lambda m: m.integer("<i"),
    b"\x8c": lambda m: m.string("<B"),
    b"X": lambda m: m.string("<I"),
    b"\x8d": lambda m: m.string("<Q"),
    b"U": lambda m: m.string("<B", "latin-1"),
    b"T": lambda m: m.string("<i", "latin-1"),
    b"C": lambda m: m.span(m.cursor.number("<B")),
    b"B": lambda m: m.span(m.cursor.number("<I")),
    b"\x8e": lambda m: m.span(m.cursor.number("<Q")),
    b"\x96": lambda m: m.span(m.cursor.number("<Q")),
    # The stack and the memo.
    b"(": lambda m: m.mark(),
    b"0": lambda m: m.pop_or_mark(),
    b"1": lambda m: m.pop_mark(),
    b"2": lambda m: m.push(m.top()),
    b"g": lambda m: m.get(m.written(int)),
    b"h": lambda m: m.get(m.cursor.number("<B")),
    b"j": lambda m: m.get(m.cursor.number("<I")),
    b"p": lambda m: m.put(m.written(int)),
    b"q": lambda m: m.put(m.cursor.number("<B")),
    b"r": lambda m: m.put(m.cursor.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    # Containers.
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_mark()),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.pop_mark()),
    b"}": lambda m: m.push(Mapping()),
    b"d": lambda m: m.push(m.paired(m.pop_mark())),
    b"s": lambda m: m.set_pairs([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_pairs(m.pop_mark()),
    b"\x8f": lambda m: m.push([]),
    b"\x90": lambda m: m.extend(m.pop_mark()),
    b"\x91": lambda m: m.push(m.pop_mark()),
    # What would run code.
    b"c": lambda m: m.push(m.name_lines()),
    b"\x93": lambda m: m.stack_name(),
    b"R": lambda m: m.call(),
    b"\x81": lambda m: m.call(),
    b"\x92": lambda m: m.call_with_keywords(),
    b"i": lambda m: m.call_marked([m.name_lines(), *m.pop_mark()]),
    b"o": lambda m: m.call_marked(m.pop_mark()),
    b"b": lambda m: m.build(),
    b"Q": lambda m: m.push(m.persistent(m.pop())),
    # The frame of the stream.
    b"\x80": lambda m: m.protocol(),
    b"\x95": lambda m: m.cursor.take(8),
}
"""What each opcode does; no protocol 0, no extension registry, no out-of-band buffers."""
