"""Zip files: members changed by the grammar of their content, and directories that say another thing.

The writer is made here, since zipfile refuses to write what a reader has to refuse.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

LARGEST = 1 << 16
_SIZES = (0, 1, 1 << 16, 1 << 31, (1 << 32) - 1)
_METHODS = (0, 8, 9, 12, 14, 93, 99)


@dataclass(frozen=True)
class Member:
    """A member as both of its headers tell of it; those in the directory may differ from the local ones."""

    name: bytes
    content: bytes
    method: int = 0
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    flags: int = 0
    local_name: bytes | None = None
    extra: bytes = b""
    same_place: bool = False
    claims_locally: bool = False


def is_zip(data: bytes) -> bool:
    """Whether a local header comes first."""
    return data.startswith(b"PK\3\4")


def mutate_zip(data: bytes, rng: random.Random, nested: Callable[[bytes], bytes]) -> bytes:
    """The archive with a changed member, mostly its content; `nested` changes that by its own grammar."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > LARGEST:
            raise ValueError("too large to be put together again")
        members = [
            Member(i.filename.encode(), archive.read(i), 8 if i.compress_type == 8 else 0)
            for i in infos
        ]
    at = rng.randrange(len(members))
    if rng.random() < 0.6:
        members[at] = replace(members[at], content=nested(members[at].content))
    else:
        rng.choice(MUTATIONS)(members, at, rng)
    return _written(members, rng)


def _rename(members: list[Member], at: int, rng: random.Random) -> None:
    own, other = members[at].name, rng.choice(members).name
    folder, _, last = own.rpartition(b"/")
    names = (other, own + b"/", b"../" + own, b"/" + own, last, b"x/" + last, b"", b"a" * 5000)
    name = rng.choice((*names, folder + b"/\xff", own.upper(), own.replace(b"/", b"\\")))
    if rng.random() < 0.3:
        members[at] = replace(members[at], local_name=name)
    else:
        members[at] = replace(members[at], name=name)


def _drop(members: list[Member], at: int, rng: random.Random) -> None:
    del members[at]


def _repeat(members: list[Member], at: int, rng: random.Random) -> None:
    members[at:at] = [members[at]] * rng.choice((1, 1, 200))


def _exchange(members: list[Member], at: int, rng: random.Random) -> None:
    members[at] = replace(members[at], content=rng.choice(members).content)


def _set_method(members: list[Member], at: int, rng: random.Random) -> None:
    members[at] = replace(members[at], method=rng.choice(_METHODS))


def _set_sizes(members: list[Member], at: int, rng: random.Random) -> None:
    size = rng.choice((*_SIZES, len(members[at].content) + rng.choice((-1, 1, 100))))
    size &= (1 << 32) - 1
    claims = rng.choice(
        ({"size": size}, {"packed_size": size}, {"size": size, "packed_size": size})
    )
    members[at] = replace(members[at], **claims, claims_locally=rng.random() < 0.5)


def _set_checksum(members: list[Member], at: int, rng: random.Random) -> None:
    members[at] = replace(members[at], crc=rng.choice((0, 1, rng.getrandbits(32))))


def _set_flags(members: list[Member], at: int, rng: random.Random) -> None:
    members[at] = replace(
        members[at], flags=rng.choice((1, 8, 9, 1 << 5, 1 << 11, 1 << 13, 0xFFFF))
    )


def _set_extra(members: list[Member], at: int, rng: random.Random) -> None:
    """A field of 64-bit sizes, whole or cut, that the 32-bit ones may point to."""
    numbers = [rng.choice((0, 100, 1 << 40, (1 << 64) - 1)) for _ in range(rng.randrange(4))]
    extra = struct.pack(
        f"<HH{len(numbers)}Q", 1, 8 * len(numbers) + rng.choice((0, 0, 1)), *numbers
    )
    wide = {"size": (1 << 32) - 1, "packed_size": (1 << 32) - 1} if rng.random() < 0.7 else {}
    members[at] = replace(members[at], extra=extra, **wide)


def _overlap(members: list[Member], at: int, rng: random.Random) -> None:
    members[at:at] = [replace(members[at], same_place=True)] * rng.choice((1, 1, 300))
    members[at] = replace(members[at], same_place=False)


def _inflate(members: list[Member], at: int, rng: random.Random) -> None:
    """Much that compresses to little, before or behind what is there, or in its place."""
    zeros, own = bytes(1 << rng.choice((12, 20, 24))), members[at].content
    content = rng.choice((zeros, own + zeros, zeros + own))
    members[at] = replace(members[at], content=content, method=8)


def _written(members: list[Member], rng: random.Random) -> bytes:
    data, directory, place = bytearray(), bytearray(), 0
    for member in members:
        packed = _deflated(member.content) if member.method == 8 else member.content
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        true = crc, len(packed), len(member.content)
        claimed = (
            crc,
            len(packed) if member.packed_size is None else member.packed_size,
            len(member.content) if member.size is None else member.size,
        )
        local = claimed if member.claims_locally else true
        if not member.same_place:
            place = len(data)
            data += _local(member, local) + packed
        directory += _central(member, claimed, place)
    end = rng.choice((0, 0, 0, 0, 0, 0, 0, 1, -1))
    count = (len(members) + end) & 0xFFFF
    tail = struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(data), 0)
    return bytes(data + directory + tail)


def _local(member: Member, sizes: tuple[int, int, int]) -> bytes:
    name = member.name if member.local_name is None else member.local_name
    numbers = (20, member.flags, member.method, 0, 0, *sizes, len(name), len(member.extra))
    return struct.pack("<4s5HIIIHH", b"PK\3\4", *numbers) + name + member.extra


def _central(member: Member, sizes: tuple[int, int, int], place: int) -> bytes:
    numbers = (20, 20, member.flags, member.method, 0, 0, *sizes)
    lengths = (len(member.name), len(member.extra), 0, 0, 0, 0, place)
    return struct.pack("<4s6HIII5HII", b"PK\1\2", *numbers, *lengths) + member.name + member.extra


def _deflated(content: bytes) -> bytes:
    coder = zlib.compressobj(1, zlib.DEFLATED, -15)
    return coder.compress(content) + coder.flush()


MUTATIONS = (
    *(_rename, _rename, _drop, _repeat, _exchange, _set_method, _set_sizes, _set_sizes),
    *(_set_checksum, _set_flags, _set_extra, _overlap, _inflate),
)
