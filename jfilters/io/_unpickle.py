"""An inert pickle machine: it runs a pickle's opcodes and imports, calls and builds nothing.

Numbers, strings, tuples, lists and dicts come out as themselves (a dict as an `InertMapping`), everything
else as a record of what the pickle asked for. Work and memory are bounded whatever the pickle says.
"""

import struct
from collections.abc import Callable

from ._budget import budget
from ._cursor import Cursor
from ._inert import InertMapping
from ._pickle_machine import MAX_OPCODES, Machine

_STRIDE, _OPCODE_BYTES = 256, 100
"""Opcodes that are counted at a time, and the memory that one of them takes on average."""

_SAVE_AGAIN = "load it where it was saved and save its state_dict alone"


def unpickle(
    cursor: Cursor, persistent: Callable[[object], object], most_opcodes: int = MAX_OPCODES
) -> object:
    """The value of the pickle at the cursor, which moves behind it.

    `persistent` gives the value of a persistent id, which is how torch refers to storages.
    Raises `CheckpointError` for anything that is no pickle, or one beyond these bounds.
    """
    machine, limits = Machine(cursor, persistent), budget(cursor.source.path)
    for index in range(most_opcodes):
        if index % _STRIDE == 0:
            limits.take(memory=_OPCODE_BYTES * _STRIDE, elements=_STRIDE)
        opcode = cursor.take(1)
        if opcode == b".":
            return machine.pop()
        handler = _OPCODES.get(opcode)
        if handler is None:
            raise cursor.refusal(f"{opcode!r} is no pickle opcode that is read here")
        handler(machine)
    error = cursor.refusal(f"a pickle of more than {most_opcodes:,} opcodes")
    error.remedy = _SAVE_AGAIN
    raise error


def _number(line: bytes) -> int:
    """Protocol 1 writes True and False as the numbers 01 and 00."""
    return {b"01": True, b"00": False}[line] if line in (b"00", b"01") else int(line)


_OPCODES: dict[bytes, Callable[[Machine], object]] = {
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
    b"}": lambda m: m.push(InertMapping()),
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
