"""Pickles as lists of opcodes, changed one by one; frames are put right, or wrong on purpose."""

import itertools
import pickletools
import random
import struct

INTEGERS = (0, 1, 2, -1, 255, 256, 65535, (1 << 31) - 1, -(1 << 31), 1 << 31, 1 << 63, 1 << 100)

_PLAIN = (b".", b"0", b"1", b"2", b"(", b")", b"N", b"\x88", b"\x89", b"]", b"}", b"\x8f", b"\x85")
_BUILDING = (b"R", b"b", b"a", b"e", b"s", b"u", b"t", b"l", b"d", b"\x86", b"\x87", b"\x90")
_OBJECTS = (b"\x91", b"\x81", b"\x92", b"\x93", b"o", b"Q", b"\x94", b"\x97", b"\x98")
_GLOBALS = (
    *("os system", "builtins eval", "builtins getattr", "collections OrderedDict", "numpy dtype"),
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch.serialization x"),
    *("numpy.core.multiarray _reconstruct", "numpy ndarray", "torch.nn.modules.conv Conv2d"),
    *("_codecs encode", "builtins set", "torch Size", "torch._utils _rebuild_parameter"),
)


def is_pickle(data: bytes) -> bool:
    """Whether the opcode for the protocol comes first."""
    return data[:1] == b"\x80" and data[1:2] < b"\x06"


def mutate_pickle(data: bytes, rng: random.Random) -> bytes:
    """Another program; what follows the pickles of a file stays."""
    programs, stop = _programs(data)
    codes = rng.choice(programs)
    for _ in range(1 + int(rng.expovariate(0.7))):
        rng.choice(MUTATIONS)(codes, rng)
    return b"".join(_framed(program, rng) for program in programs) + data[stop:]


def _programs(data: bytes) -> tuple[list[list[bytes]], int]:
    """The opcodes of each pickle at the start of a file, and where the last one ends."""
    programs, start = [], 0
    while is_pickle(data[start:]):
        try:
            places = [place or 0 for _, _, place in pickletools.genops(data[start:])]
        except ValueError:
            break
        bounds = [*places, places[-1] + 1]
        parts = itertools.pairwise(bounds)
        programs.append([data[start + first : start + last] for first, last in parts])
        start += bounds[-1]
    return programs, start


def _framed(codes: list[bytes], rng: random.Random) -> bytes:
    """The program, its only frame as long as what follows it."""
    at = next((i for i, code in enumerate(codes) if code[:1] == b"\x95" and len(code) == 9), None)
    if at is None or rng.random() < 0.05:
        return b"".join(codes)
    behind = b"".join(code for code in codes[at + 1 :] if code[:1] != b"\x95" or len(code) != 9)
    return b"".join(codes[:at]) + b"\x95" + struct.pack("<Q", len(behind)) + behind


def _insert(codes: list[bytes], rng: random.Random) -> None:
    place = rng.randrange(len(codes) + 1)
    codes[place:place] = [_code(rng) for _ in range(rng.choice((1, 1, 2, 4)))]


def _delete(codes: list[bytes], rng: random.Random) -> None:
    place = rng.randrange(len(codes))
    if len(codes) > 4:
        del codes[place : place + rng.choice((1, 1, 1, 2, 5))]


def _duplicate(codes: list[bytes], rng: random.Random) -> None:
    place, size = rng.randrange(len(codes)), rng.choice((1, 1, 2, 5))
    codes[place:place] = codes[place : place + size] * rng.choice((1, 1, 2, 300))


def _swap(codes: list[bytes], rng: random.Random) -> None:
    first, second = rng.randrange(len(codes)), rng.randrange(len(codes))
    codes[first], codes[second] = codes[second], codes[first]


def _replace(codes: list[bytes], rng: random.Random) -> None:
    codes[rng.randrange(len(codes))] = _code(rng)


def _change_number(codes: list[bytes], rng: random.Random) -> None:
    """An integer that the program pushes: a size, a stride, an offset, a count."""
    places = [i for i, code in enumerate(codes) if code[:1] in (b"K", b"M", b"J", b"\x8a")]
    if places:
        codes[rng.choice(places)] = _long(rng.choice(INTEGERS))


def _change_memo(codes: list[bytes], rng: random.Random) -> None:
    places = [i for i, code in enumerate(codes) if code[:1] in (b"h", b"j", b"q", b"r")]
    if places:
        place = rng.choice(places)
        kinds = (b"h", b"j") if codes[place][:1] in (b"h", b"j") else (b"q", b"r")
        index = rng.choice((0, 1, rng.randrange(64), 255, 1 << 31, (1 << 32) - 1))
        short = kinds[0] + bytes([index & 0xFF])
        codes[place] = short if index < 256 else kinds[1] + struct.pack("<I", index)


def _change_text(codes: list[bytes], rng: random.Random) -> None:
    places = [i for i, code in enumerate(codes) if code[:1] in (b"X", b"\x8c")]
    if places:
        texts = [codes[i][5:] if codes[i][:1] == b"X" else codes[i][2:] for i in places]
        own = (
            rng.choice(texts),
            b"",
            b"0",
            b"../x",
            b"cpu",
            b"a" * 5000,
            b"\xff\xfe",
            b"999999999",
        )
        text = rng.choice(own)
        codes[rng.choice(places)] = b"X" + struct.pack("<I", len(text)) + text


def _claim(codes: list[bytes], rng: random.Random) -> None:
    """A text, a number or a frame that claims more bytes than there are."""
    head = rng.choice((b"X", b"B", b"T", b"\x8b"))
    size = struct.pack("<I", rng.choice((1 << 31, (1 << 32) - 1, (1 << 31) - 1, 1 << 24)))
    wide = rng.choice((b"\x8d", b"\x8e", b"\x96", b"\x95")) + struct.pack(
        "<Q", 1 << rng.randrange(20, 64)
    )
    codes.insert(rng.randrange(len(codes)), rng.choice((head + size, wide)))


def _double(codes: list[bytes], rng: random.Random) -> None:
    """Tuples of two equal halves, again and again: small, and huge for whoever walks through it."""
    place = rng.randrange(1, len(codes) + 1)
    codes[place:place] = [b"2", b"\x86"] * rng.choice((3, 40, 400))


def _deepen(codes: list[bytes], rng: random.Random) -> None:
    place = rng.randrange(1, len(codes) + 1)
    wrap = rng.choice((b"\x85", b"\x94\x85"))
    codes[place:place] = [wrap] * rng.choice((10, 2000))


def _code(rng: random.Random) -> bytes:
    module, _, name = rng.choice(_GLOBALS).partition(" ")
    text = rng.choice((b"a", b"weight", b"0", b"storage", b"<f4"))
    index = rng.randrange(32)
    return rng.choice(
        (
            *(rng.choice(_PLAIN), rng.choice(_BUILDING), rng.choice(_OBJECTS)),
            *(_long(rng.choice(INTEGERS)), f"c{module}\n{name}\n".encode()),
            *(f"(i{module}\n{name}\n".encode(), b"X" + struct.pack("<I", len(text)) + text),
            *(bytes([0x68, index]), bytes([0x71, index]), b"P" + text + b"\n"),
            *(b"\x82" + bytes([index]), b"G" + struct.pack(">d", float("nan"))),
        )
    )


def _long(value: int) -> bytes:
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


MUTATIONS = (
    *(_insert, _delete, _duplicate, _swap, _replace, _change_number, _change_number),
    *(_change_memo, _change_text, _claim, _double, _deepen),
)
