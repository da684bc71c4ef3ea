"""Snappy, decompressed: short blocks of copies and literals, as tables of key and value have them.

Source: google/snappy, format_description.txt.
"""

LARGEST = 1 << 24
"""Bytes that one block may become."""


def unsnappy(data: bytes) -> bytes:
    """The decompressed bytes. Raises ValueError for a damaged block or one beyond `LARGEST`."""
    size, at = _length(data)
    if size > LARGEST:
        raise ValueError(f"a snappy block of {size} bytes")
    out = bytearray()
    while at < len(data):
        kind, high = data[at] & 3, data[at] >> 2
        if kind == 0:
            at, count = _literal(data, at, high)
            out += data[at : at + count]
            at += count
        else:
            width = (0, 2, 3, 5)[kind]
            offset = int.from_bytes(data[at + 1 : at + width], "little")
            if kind == 1:
                offset |= (high >> 3) << 8
            _copy(out, offset, 4 + (high & 7) if kind == 1 else high + 1)
            at += width
        if len(out) > size:
            break
    if len(out) != size or at > len(data):
        raise ValueError(f"a snappy block of {len(out)} bytes that says {size}")
    return bytes(out)


def _length(data: bytes) -> tuple[int, int]:
    size = 0
    for index, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size, index + 1
    raise ValueError("a snappy block without its length")


def _literal(data: bytes, at: int, high: int) -> tuple[int, int]:
    """The start and the length of a literal; a long one has its length in bytes of its own."""
    width = max(high - 59, 0)
    count = int.from_bytes(data[at + 1 : at + 1 + width], "little") if width else high
    return at + 1 + width, count + 1


def _copy(out: bytearray, offset: int, count: int) -> None:
    if not 0 < offset <= len(out):
        raise ValueError(f"a snappy copy from {offset} bytes before byte {len(out)}")
    # A copy may reach into what it makes.
    piece = bytes(out[-offset:])
    out += (piece * (count // offset + 1))[:count]
