"""The stack and the memo of an inert pickle machine, within bounds on work and memory."""

from collections.abc import Callable
from typing import TypeVar

from ._cursor import Cursor
from ._inert import Global, Inert, InertMapping, PickledBytes, called, type_name

MAX_OPCODES = 2_000_000
"""Opcodes in one pickle, each of at most about 100 bytes; 10,000 arrays need some 500,000."""

MAX_TEXT = 1 << 25
"""Bytes of all short strings, names and long integers together."""

MAX_MARKS = 10_000
"""Containers that are open at the same time."""

LONGEST_TEXT = 1 << 16
"""Bytes of one string; longer ones stay in the file as `PickledBytes`."""

LONGEST_INTEGER = 1024
"""Bytes, or digits, of one integer."""

NEWEST_PROTOCOL = 5
_PAIR_BYTES, _NAME_BYTES = 16, 64

_Kind = TypeVar("_Kind")


class Machine:
    """The stack, the memo and the bounds of one pickle."""

    def __init__(self, cursor: Cursor, persistent: Callable[[object], object]):
        self.cursor, self.persistent = cursor, persistent
        self.stack, self.marks, self.memo, self.text = [], [], [], 0

    # The stack.

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> object:
        """Take the value at the top of the stack."""
        self._check(1)
        return self.stack.pop()

    def top(self, count: int = 1) -> object:
        """Return the value `count` places from the top of the stack."""
        self._check(count)
        return self.stack[-count]

    def pop_mark(self) -> list:
        """Take the values above the last mark, and the mark."""
        if not self.marks:
            raise self.cursor.refusal("the pickle closes a container that it did not open")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def checked(self, value: object, kind: type[_Kind]) -> _Kind:
        """Return `value`; raises CheckpointError unless it is of this kind."""
        if not isinstance(value, kind):
            expected, actual = type_name(kind), type_name(type(value))
            raise self.cursor.refusal(f"expected a {expected} on the stack, found {actual},")
        return value

    def _check(self, count: int) -> None:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise self.cursor.refusal("the pickle takes from an empty stack")

    # Strings and numbers.

    def string(self, layout: str, encoding: str = "utf-8") -> None:
        """Read a string; long ones stay in the file."""
        count = self.cursor.number(layout)
        if not 0 <= count <= LONGEST_TEXT:
            return self.span(count, latin1=encoding == "utf-8")
        self.push(self.decoded(self.cursor.take(count), encoding))

    def decoded(self, data: bytes, encoding: str = "utf-8") -> str:
        """Return text of bounded length, its undecodable bytes escaped."""
        self.charge(len(data))
        return data.decode(encoding, "backslashreplace")

    def charge(self, count: int) -> None:
        """Count bytes of text against `MAX_TEXT`."""
        self.text += count
        if self.text > MAX_TEXT:
            raise self.cursor.refusal(f"more than {MAX_TEXT:,} bytes of strings")

    def span(self, count: int, latin1: bool = False) -> None:
        """Push a range of the file, not yet read."""
        if count < 0:
            raise self.cursor.refusal(f"a length of {count}")
        start = self.cursor.skip(count)
        self.push(PickledBytes(self.cursor.source, start, start + count, latin1))

    def integer(self, layout: str) -> None:
        """Read a long integer of bounded length."""
        count = self.cursor.number(layout)
        if not 0 <= count <= LONGEST_INTEGER:
            raise self.cursor.refusal(f"an integer of {count} bytes")
        self.charge(count)
        self.push(int.from_bytes(self.cursor.take(count), "little", signed=True))

    def written(self, kind: Callable[[bytes], _Kind]) -> _Kind:
        """Read a number that is written as a line of text."""
        line = self.cursor.line()
        try:
            return kind(line[:LONGEST_INTEGER].removesuffix(b"L"))
        except ValueError as error:
            raise self.cursor.refusal(f"expected a number, found {line[:40]!r},") from error

    # The memo.

    def get(self, index: int) -> None:
        """Push a value of the memo."""
        if not 0 <= index < len(self.memo):
            raise self.cursor.refusal(f"the pickle has remembered nothing as {index}")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        """Remember the top of the stack in the memo."""
        # Picklers number consecutively; tools that drop unused entries leave gaps.
        if not 0 <= index <= MAX_OPCODES:
            raise self.cursor.refusal(f"a memo index of {index}")
        self.memo.extend([None] * (index + 1 - len(self.memo)))
        self.memo[index] = self.top()

    # Containers.

    def mark(self) -> None:
        """Open a container."""
        if len(self.marks) >= MAX_MARKS:
            raise self.cursor.refusal(f"more than {MAX_MARKS:,} nested containers")
        self.marks.append(len(self.stack))

    def pop_or_mark(self) -> None:
        """Take the top of the stack, or the mark in front of it."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def tuple_of(self, count: int) -> None:
        """Push the last `count` values as one tuple."""
        self._check(count)
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push(values)

    def extend(self, values: list) -> None:
        """Append values to the list or object at the top."""
        target = self.top()
        if isinstance(target, Inert):
            target.items = target = target.items or []
        if isinstance(target, InertMapping):
            raise self.cursor.refusal("items without keys, added to a dict")
        self.checked(target, list).extend(values)

    def set_pairs(self, values: list) -> None:
        """Set keys of the dict or object at the top."""
        target = self.top()
        if isinstance(target, Inert):
            target.pairs = target = target.pairs or InertMapping()
        self.checked(target, InertMapping).extend(self.paired(values))

    def paired(self, values: list) -> InertMapping:
        """Return keys and values in turn as a dict."""
        if len(values) % 2:
            raise self.cursor.refusal("a dict with a key that has no value")
        return InertMapping(values)

    # What would run code.

    def name(self, module: str, name: str) -> Global:
        """Return the record of a class or function."""
        self.charge(_NAME_BYTES + len(module) + len(name))
        return Global(f"{module}.{name}")

    def name_lines(self) -> Global:
        """Read a module and a name, a line each."""
        module, name = (self.cursor.line().decode("utf-8", "backslashreplace") for _ in range(2))
        return self.name(module, name)

    def stack_name(self) -> None:
        """Push the class or function whose module and name are on the stack."""
        name, module = (self.checked(self.pop(), str) for _ in range(2))
        self.push(self.name(module, name))

    def call(self) -> None:
        """Push the record of a call."""
        args, callee = self.checked(self.pop(), tuple), self.pop()
        # A dict made from a list of pairs copies it, and the memo could ask for that many times.
        self.charge(_PAIR_BYTES * sum(len(arg) for arg in args[:1] if isinstance(arg, list)))
        self.push(called(callee, args))

    def call_with_keywords(self) -> None:
        """Push the record of a call with keywords."""
        keywords, args, callee = self.pop(), self.pop(), self.pop()
        self.push(called(callee, (args, keywords)))

    def call_marked(self, values: list) -> None:
        """Push the record of a call of the first value with the others."""
        if not values:
            raise self.cursor.refusal("an object without a class")
        self.push(called(values[0], tuple(values[1:])))

    def build(self) -> None:
        """Give the object at the top its state."""
        state, target = self.pop(), self.top()
        # Attributes of a dict, such as the _metadata of a state_dict, hold no arrays of a network.
        if isinstance(target, Inert):
            target.state = state

    def protocol(self) -> None:
        """Read the protocol, which must not be newer than these opcodes."""
        version = self.cursor.take(1)[0]
        if version > NEWEST_PROTOCOL:
            raise self.cursor.refusal(f"pickle protocol {version}, newer than {NEWEST_PROTOCOL},")
