"""A zip file as byte ranges: its central directory is read, its members stay where they are.

Nothing is extracted, so that a name is never a path; compressed and encrypted members are refused.
"""

import dataclasses
import struct
import zlib

from ..errors import CheckpointError
from ._budget import budget
from ._source import ByteSource

MAX_MEMBERS = 200_000
"""Members of one archive; torch writes one for each storage."""

MAX_DIRECTORY = 1 << 25
"""Bytes of the central directory."""

_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
_MEMBER_BYTES = 400
_PIECE = 1 << 20
_LONGEST_COMMENT = 0xFFFF
_UNKNOWN = 0xFFFFFFFF
_ENCRYPTED = 0x1 | 0x40
_STORED, _DEFLATED = 0, 8


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory; `header` is where its local header starts."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int


class ZipArchive:
    """The members of one zip file, by name. Raises `CheckpointError` for a damaged one."""

    def __init__(self, source: ByteSource):
        self.source = source
        self._directory, size = self._locate()
        if size > MAX_DIRECTORY:
            raise self._refusal(f"a central directory of more than {MAX_DIRECTORY:,} bytes", "")
        self.members = self._entries(source.read(self._directory, self._directory + size))

    def size(self, name: str) -> int:
        """The bytes of a member that can be read in place."""
        return self._member(name).size

    def start(self, name: str) -> int:
        """Return the offset of a member's bytes in the file."""
        return self._data(self._member(name), name)

    def text(self, name: str, most: int) -> str:
        """The text in a member, packed or not. Raises CheckpointError beyond `most` bytes."""
        member = self.members.get(name)
        if member is None or member.flags & _ENCRYPTED or member.method not in (_STORED, _DEFLATED):
            raise self._refusal("the archive has no such member that can be unpacked", name)
        if member.size > most:
            raise self._refusal(f"a text of {member.size} bytes, more than {most}", name)
        start = self._data(member, name)
        budget(self.source.path).take(memory=5 * member.size + member.packed)
        data = self.source.read(start, start + member.packed)
        if member.method == _DEFLATED:
            try:
                # No more is unpacked than the directory says, whatever the stream holds.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(bytes(data), member.size + 1)
            except zlib.error as error:
                raise self._refusal(f"damaged packed data ({error})", name) from error
        if len(data) != member.size:
            raise self._refusal(f"expected {member.size} bytes, unpacked {len(data)}", name)
        return str(data, "utf-8", "backslashreplace")

    def check(self, name: str) -> None:
        """Compare a member with its checksum; 0 means that its writer left the checksum out."""
        start, member, checksum = self.start(name), self._member(name), 0
        for position in range(start, start + member.size, _PIECE):
            stop = min(position + _PIECE, start + member.size)
            checksum = zlib.crc32(self.source.read(position, stop), checksum)
        if member.crc not in (0, checksum):
            reason = f"the checksum should be {member.crc:08x} and is {checksum:08x}"
            raise self._refusal(reason, name, "the file is damaged: fetch it again")

    def _data(self, member: Member, name: str) -> int:
        header = bytes(self.source.read(member.header, member.header + 30))
        if len(header) < 30 or header[:4] != _LOCAL:
            raise self._refusal("expected a zip header in front of the member", name)
        start = member.header + 30 + sum(struct.unpack("<HH", header[26:]))
        if start + member.packed > self._directory:
            raise self._refusal("the member reaches into the central directory", name)
        return start

    def _member(self, name: str) -> Member:
        member = self.members.get(name)
        if member is None:
            raise self._refusal("the archive has no such member", name)
        if member.flags & _ENCRYPTED:
            raise self._refusal("the member is encrypted", name)
        if member.method != _STORED:
            reason = "the member is compressed, which torch.save never does"
            raise self._refusal(reason, name, "load and save it with torch, or zip it with -0")
        return member

    def _locate(self) -> tuple[int, int]:
        """Return the offset of the central directory, and its length."""
        start = max(self.source.size - _LONGEST_COMMENT - 22, 0)
        tail = bytes(self.source.read(start, self.source.size))
        end = tail.rfind(_END)
        if end < 0 or len(tail) < end + 22:
            remedy = "the file ends early: fetch it again"
            raise self._refusal("the archive has no central directory", "", remedy)
        size, directory = struct.unpack("<II", tail[end + 12 : end + 20])
        if end >= 20 and tail[end - 20 :].startswith(_LOCATOR64):
            return self._locate64(struct.unpack("<Q", tail[end - 12 : end - 4])[0])
        return directory, size

    def _locate64(self, start: int) -> tuple[int, int]:
        record = bytes(self.source.read(start, start + 56))
        if len(record) < 56 or record[:4] != _END64:
            raise self._refusal("the zip64 record is not where the archive says", "")
        size, directory = struct.unpack("<QQ", record[40:56])
        return directory, size

    def _entries(self, data: memoryview) -> dict[str, Member]:
        members, position, limits = {}, 0, budget(self.source.path)
        while position < len(data):
            name, member, position = self._entry(data, position)
            if name in members:
                raise self._refusal("two members have this name", name)
            limits.take(memory=_MEMBER_BYTES + len(name))
            members[name] = member
            if len(members) > MAX_MEMBERS:
                raise self._refusal(f"more than {MAX_MEMBERS:,} members", "")
        return members

    def _entry(self, data: memoryview, start: int) -> tuple[str, Member, int]:
        if bytes(data[start : start + 4]) != _ENTRY or len(data) < start + 46:
            raise self._refusal("an entry of the central directory is damaged", "")
        flags, method = struct.unpack("<HH", data[start + 8 : start + 12])
        crc, packed, size, *lengths = struct.unpack("<IIIHHH", data[start + 16 : start + 34])
        header = struct.unpack("<I", data[start + 42 : start + 46])[0]
        middle = start + 46 + lengths[0]
        name = bytes(data[start + 46 : middle]).decode("utf-8", "backslashreplace")
        extra = bytes(data[middle : middle + lengths[1]])
        size, packed, header = _wide(extra, size, packed, header)
        if method == 0 and packed != size:
            raise self._refusal(f"{packed} bytes are stored of {size}", name)
        return name, Member(flags, method, crc, packed, size, header), start + 46 + sum(lengths)

    def _refusal(self, reason: str, name: str, remedy: str | None = None) -> CheckpointError:
        return CheckpointError(reason, path=self.source.path, tensor=name or None, remedy=remedy)


def _wide(extra: bytes, *fields: int) -> tuple[int, ...]:
    """Fields of 32 bits, each taken from the zip64 extra field where it did not fit."""
    wide, values = _field64(extra), []
    for field in fields:
        if field == _UNKNOWN and len(wide) >= 8:
            field, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
        values.append(field)
    return tuple(values)


def _field64(extra: bytes) -> bytes:
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[position : position + 4])
        if kind == 1:
            return extra[position + 4 : position + 4 + size]
        position += 4 + size
    return b""
