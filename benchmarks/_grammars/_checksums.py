"""The checksums that containers carry: CRC-32C of tables and OCDBT, and Jenkins' lookup3 of HDF5."""

_POLYNOMIAL = 0x82F63B78
_WORD = (1 << 32) - 1


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_entry(value) for value in range(256)]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes."""
    value = _WORD
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ _WORD


def masked_crc32c(data: bytes) -> int:
    """The same as tables of key and value store it."""
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & _WORD


def lookup3(data: bytes) -> int:
    """Jenkins' hash of some bytes with the start 0, as HDF5 checks its metadata."""
    a = b = c = 0xDEADBEEF + len(data) & _WORD
    at = 0
    while len(data) - at > 12:
        a, b, c = _mixed(*_added(a, b, c, data[at : at + 12]))
        at += 12
    if at == len(data):
        return c
    return _final(*_added(a, b, c, data[at:].ljust(12, b"\0")))


def _added(a: int, b: int, c: int, block: bytes) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(block[i : i + 4], "little") for i in (0, 4, 8))
    return a + x & _WORD, b + y & _WORD, c + z & _WORD


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by in (4, 6, 8, 16, 19, 4):
        a = (a - c & _WORD) ^ _rotated(c, by)
        c = c + b & _WORD
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotated(b, by) & _WORD
        a, b, c = b, c, a
    return b
