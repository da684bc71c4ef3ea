"""Messages of protobuf without their schema: fields are changed anywhere, lengths are put right."""

import random
from dataclasses import dataclass

INTEGERS = (0, 1, 2, 3, 127, 128, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)
DEEPEST = (1, 20, 500)


@dataclass
class Field:
    """One field: its number, its wire type, and a number or bytes."""

    number: int
    kind: int
    value: int | bytes


def is_protobuf(data: bytes) -> bool:
    """Whether all bytes are fields of one message."""
    try:
        return bool(parse(data))
    except (ValueError, IndexError):
        return False


def mutate_protobuf(data: bytes, rng: random.Random) -> bytes:
    """A message with a mutation in it or in a message inside it."""
    fields = parse(data)
    inner = [field for field in fields if field.kind == 2 and is_protobuf(bytes_of(field))]
    if inner and rng.random() < 0.75:
        # Long ones hold more places to change.
        field = rng.choices(inner, [len(bytes_of(field)) for field in inner])[0]
        field.value = mutate_protobuf(bytes_of(field), rng)
    else:
        for _ in range(1 + int(rng.expovariate(1))):
            rng.choice(MUTATIONS)(fields, rng)
    return b"".join(map(written, fields))


def parse(data: bytes) -> list[Field]:
    """The fields of a message. Raises ValueError or IndexError if it is none."""
    fields, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not number or kind not in (0, 1, 2, 5):
            raise ValueError(f"no field {number} of the kind {kind}")
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == 2 else ((8 if kind == 1 else 4), at)
            value, at = data[at : at + size], at + size
        if at > len(data):
            raise ValueError("a field beyond the end")
        fields.append(Field(number, kind, value))
    return fields


def written(field: Field) -> bytes:
    """The bytes of one field."""
    key = varint(field.number << 3 | field.kind)
    if isinstance(field.value, int):
        return key + varint(field.value)
    return key + (varint(len(field.value)) if field.kind == 2 else b"") + field.value


def varint(value: int) -> bytes:
    """A number in as many bytes as it takes, of 64 bits at most."""
    value &= (1 << 64) - 1
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def bytes_of(field: Field) -> bytes:
    """The bytes of a field that has some."""
    return field.value if isinstance(field.value, bytes) else b""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number beyond 64 bits")


def _change_number(fields: list[Field], rng: random.Random) -> None:
    numbers = [field for field in fields if isinstance(field.value, int)]
    if numbers:
        field = rng.choice(numbers)
        steps = (int(field.value) + 1, int(field.value) - 1, int(field.value) * 2)
        field.value = rng.choice((*INTEGERS, *steps))


def _delete(fields: list[Field], rng: random.Random) -> None:
    if fields:
        del fields[rng.randrange(len(fields))]


def _repeat(fields: list[Field], rng: random.Random) -> None:
    if fields:
        place = rng.randrange(len(fields))
        times = rng.choice((1, 1, 1, 5, 1000))
        if len(bytes_of(fields[place])) * times < 1 << 15:
            fields[place:place] = fields[place : place + 1] * times


def _swap(fields: list[Field], rng: random.Random) -> None:
    if fields:
        first, second = rng.choice(fields), rng.choice(fields)
        first.value, second.value, first.kind, second.kind = (
            *(second.value, first.value, second.kind, first.kind),
        )


def _shuffle(fields: list[Field], rng: random.Random) -> None:
    rng.shuffle(fields)


def _renumber(fields: list[Field], rng: random.Random) -> None:
    if fields:
        field = rng.choice(fields)
        field.number = rng.choice((rng.randrange(1, 20), rng.choice(fields).number, 1 << 28))


def _change_kind(fields: list[Field], rng: random.Random) -> None:
    if fields:
        field = rng.choice(fields)
        content = bytes_of(field)
        fixed = Field(field.number, 1, content[:8].ljust(8, b"\0"))
        number = Field(field.number, 0, len(content))
        packed = Field(field.number, 2, b"".join(varint(x) for x in INTEGERS))
        fields[fields.index(field)] = rng.choice((fixed, number, packed))


def _change_bytes(fields: list[Field], rng: random.Random) -> None:
    texts = [field for field in fields if field.kind == 2]
    if texts:
        field = rng.choice(texts)
        value = bytes_of(field)
        other = bytes_of(rng.choice(texts))
        own = (
            value[:-1],
            value + b"\0",
            value * 50,
            b"",
            other,
            b"../x",
            b"\xff\xfe",
            b"/x" * 2000,
        )
        field.value = rng.choice(own)[: 1 << 14]


def _nest(fields: list[Field], rng: random.Random) -> None:
    """A message inside itself, again and again."""
    texts = [field for field in fields if field.kind == 2]
    if texts:
        field = rng.choice(texts)
        for _ in range(rng.choice(DEEPEST)):
            field.value = written(Field(field.number, 2, bytes_of(field)))


def _add(fields: list[Field], rng: random.Random) -> None:
    number = rng.randrange(1, 40)
    value = rng.choice((*INTEGERS, b"", b"x", b"\x08\x01", bytes(64)))
    fields.insert(
        rng.randrange(len(fields) + 1), Field(number, 2 * isinstance(value, bytes), value)
    )


MUTATIONS = (
    *(_change_number, _change_number, _delete, _repeat, _swap, _shuffle, _renumber),
    *(_change_kind, _change_bytes, _nest, _add),
)
