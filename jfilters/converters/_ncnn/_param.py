"""The description of an ncnn network, as text or binary: its layers, what they read, and their numbers."""

import dataclasses
import re
import struct
from collections.abc import Iterator, Mapping, Sequence

from ...errors import CheckpointError
from ...io import ByteSource, Cursor
from ._kinds import KINDS

MAX_BYTES = 1 << 22
"""Bytes of a description; one of 2,000 layers has 200 kB."""

MAX_LAYERS = 1 << 16
"""Layers of a network."""

MAX_NUMBERS = 32
"""Numbers of a layer, as ncnn limits them."""

MAGIC = 7767517
_TEXT_MAGIC = re.compile(rb"\s*7767517\s")
_BINARY_MAGIC = struct.pack("<i", MAGIC)
_PNNX = b"pnnx."
_ARRAY, _END = -23300, -233
_NUMBER = re.compile(r"(-?\d{1,9})=(\S+)")
_INTEGER = re.compile(r"[+-]?\d{1,10}")
_AGAIN = "the description is damaged or was cut short: fetch it again"


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer: its type, its name, the blobs that it reads and makes, and its numbers by their keys.

    In a binary description blobs are numbered and floats are integers of the same bits.
    """

    kind: str
    name: str
    reads: Sequence[str | int]
    makes: Sequence[str | int]
    numbers: Mapping[int, int | float] = dataclasses.field(default_factory=dict)

    def number(self, key: int, default: int = 0) -> int:
        """The integer of a key. Raises CheckpointError for another number, or a negative one."""
        value = self.numbers.get(key, default)
        if not isinstance(value, int) or value < 0:
            reason = f"expected a count as number {key} of {self.kind}, found {value}"
            raise CheckpointError(reason, tensor=self.name)
        return value


def describes(head: bytes) -> bool:
    """Return whether these are the first bytes of a description, text or binary."""
    is_text = _TEXT_MAGIC.match(head) is not None and _PNNX not in head
    return is_text or head.startswith(_BINARY_MAGIC)


def read_steps(source: ByteSource) -> list[Step]:
    """The layers of a description. Raises CheckpointError if it is damaged or too large."""
    if source.size > MAX_BYTES:
        raise CheckpointError(f"more than {MAX_BYTES} bytes of description", path=source.path)
    if bytes(source.read(0, 4)) == _BINARY_MAGIC:
        steps = list(_binary(Cursor(source)))
    else:
        steps = list(_text(bytes(source.read(0, MAX_BYTES)).decode("utf-8", "replace")))
    return steps


def _text(text: str) -> Iterator[Step]:
    lines = [fields for line in text.split("\n") if (fields := line.split())]
    counts = [*lines[1], ""][0] if len(lines) > 1 else ""
    if not _INTEGER.fullmatch(counts):
        raise CheckpointError(f"expected a count of layers, found {counts!r:.40}", remedy=_AGAIN)
    layers = lines[2:]
    if len(layers) != int(counts) or len(layers) > MAX_LAYERS:
        raise CheckpointError(f"expected {counts} layers, found {len(layers)}", remedy=_AGAIN)
    return map(_line, layers)


def _line(fields: Sequence[str]) -> Step:
    counts = fields[2:4]
    if len(counts) < 2 or not all(count.isdecimal() and len(count) < 8 for count in counts):
        line = " ".join(fields[:4])
        raise CheckpointError(f"expected a layer and its blobs, found {line!r:.80}", remedy=_AGAIN)
    reads, makes = map(int, counts)
    blobs = fields[4 : 4 + reads + makes]
    if len(blobs) < reads + makes:
        expected = f"expected {reads} and {makes} blobs, found {len(blobs)}"
        raise CheckpointError(expected, tensor=fields[1], remedy=_AGAIN)
    numbers = dict(_numbers(fields[4 + reads + makes :]))
    return Step(fields[0], fields[1], blobs[:reads], blobs[reads:], numbers)


def _numbers(fields: Sequence[str]) -> Iterator[tuple[int, int | float]]:
    """The single numbers of a layer; lists and texts hold no sizes of weights."""
    for field in fields:
        match = _NUMBER.fullmatch(field)
        if match is None:
            return
        key, value = int(match[1]), match[2]
        if _INTEGER.fullmatch(value):
            yield key, int(value)
        elif key > _ARRAY:
            yield key, float("nan")


def _binary(cursor: Cursor) -> Iterator[Step]:
    _, layers, _ = (cursor.number("<i") for _ in range(3))
    if not 0 <= layers <= MAX_LAYERS:
        raise cursor.refusal(f"expected at most {MAX_LAYERS} layers, found {layers}")
    for index in range(layers):
        kind = cursor.number("<i")
        name = KINDS[kind] if 0 <= kind < len(KINDS) else f"type {kind}"
        counts = [cursor.number("<i") for _ in range(2)]
        if min(counts) < 0:
            raise cursor.refusal(f"expected counts of blobs, found {counts}")
        reads, makes = (struct.unpack(f"<{n}i", cursor.take(4 * n)) for n in counts)
        yield Step(name, f"{name}_{index}", reads, makes, dict(_binary_numbers(cursor)))
    if cursor.position != cursor.source.size:
        raise cursor.refusal(f"expected the end of the file, found {cursor.source.size} bytes")


def _binary_numbers(cursor: Cursor) -> Iterator[tuple[int, int]]:
    while (key := cursor.number("<i")) != _END:
        if key <= _ARRAY:
            count = cursor.number("<i")
            if count < 0:
                raise cursor.refusal(f"expected the length of a list, found {count}")
            cursor.take(4 * count)
        elif 0 <= key < MAX_NUMBERS:
            yield key, cursor.number("<i")
        else:
            raise cursor.refusal(f"expected the key of a number, found {key}")
