"""The headers of Parquet pages, in the compact protocol of Thrift: numbers of a few fields.

Source: apache/thrift, thrift-compact-protocol.md; apache/parquet-format, parquet.thrift.
"""

from typing import Any

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_INTEGERS = (_I16, _I32, _I64)
_DEEPEST = 8
_VARINT_BITS = 70


def page_header(data: bytes) -> tuple[int, int, int, int, int]:
    """Return bytes of the header, of the page unpacked and packed, its number of values and its encoding.

    Raises ValueError for what is no such header.
    """
    try:
        header, length = _struct(data, 0, 0)
    except IndexError as error:
        raise ValueError("a page whose header is cut short") from error
    size, packed = header.get(2, -1), header.get(3, -1)
    # A data page, a dictionary, a data page of the second version.
    inner = next((header[key] for key in (5, 7, 8) if isinstance(header.get(key), dict)), {})
    n_values, encoding = inner.get(1, 0), inner.get(4 if 8 in header else 2, 0)
    numbers = size, packed, n_values, encoding
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("a page of no size")
    return length, size, packed, n_values, encoding


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > _DEEPEST:
        raise ValueError("the header of a page, nested too deep")
    fields, number = dict[int, Any](), 0
    while (head := data[at]) != 0:
        at += 1
        kind, step = head & 15, head >> 4
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _BYTE:
        return data[at], at + 1
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return None, at + size
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    # Statistics of pages have no lists; what has some is no page.
    raise ValueError(f"the header of a page with a field of the kind {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
        if shift > _VARINT_BITS:
            raise ValueError("a number beyond 64 bits")
