"""JSON of unknown origin: strict, of unique keys, and within the budget of its checkpoint."""

import json
from collections import Counter
from typing import Any, NoReturn

import numpy as np

from ..errors import CheckpointError
from ._budget import budget
from ._location import Location
from ._source import ByteSource

MAX_JSON_BYTES = 100_000_000
"""Bytes of one text, the limit that safetensors sets to its header."""

MAX_ELEMENTS = 2_000_000
"""Commas, braces and brackets of one text."""

_KEY_BYTES, _ELEMENT_BYTES = 230, 80
"""Memory of a key with its place in a dict, and of any other value, as CPython 3.11 to 3.14 has them."""

_PIECE = 1 << 20
_AGAIN = "the file is damaged or was cut short: fetch it again"


def json_object(source: ByteSource, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """The object in the bytes start..stop, by default in all. Raises CheckpointError if it is none."""
    stop = source.size if stop is None else stop
    # The smaller one of them, since a file in a file may claim more than is there.
    size = min(stop, source.size) - start
    if size > MAX_JSON_BYTES:
        _refuse(source.path, f"{size:,} bytes of JSON; expected at most {MAX_JSON_BYTES:,}")
    data = source.read(start, stop)
    if bytes(data[:1]) != b"{":
        _refuse(source.path, f'expected JSON that starts with "{{", found {bytes(data[:8])!r}')
    content = parsed_json(data, source.path)
    if not isinstance(content, dict):
        _refuse(source.path, "expected one JSON object")
    return content


def parsed_json(data: bytes | memoryview, path: Location, *, is_strict: bool = True) -> Any:
    """The value of a JSON text. Raises CheckpointError if it is none, or would take too much memory.

    `is_strict`: keys are unique and numbers finite. Python's own writer, which Keras uses, is not strict.
    """
    checks: dict[str, Any] = {"object_pairs_hook": _unique, "parse_constant": _no_constant}
    _draw(data, path)
    try:
        text = str(data, "utf-8")
        del data
        return json.loads(text, **(checks if is_strict else {}))
    except (ValueError, RecursionError) as error:
        reason = f"no valid JSON ({error})"
        raise CheckpointError(reason, path=path, remedy=_AGAIN) from error


def _draw(data: bytes | memoryview, path: Location) -> None:
    """Draw what the value of a text will take, from the marks that separate its parts."""
    codes, elements, keys, largest = np.frombuffer(data, np.uint8), 0, 0, 0
    for start in range(0, len(codes), _PIECE):
        counts = np.bincount(codes[start : start + _PIECE], minlength=256)
        elements += int(counts[list(b",{[")].sum())
        keys += int(counts[ord(":")])
        largest = max(largest, int(np.flatnonzero(counts)[-1]))
    if elements > MAX_ELEMENTS:
        _refuse(path, f"more than {MAX_ELEMENTS} elements of JSON")
    # The bytes, the decoded text and its parts; one character beyond Latin-1 widens all of a text.
    width = 1 if largest < 0xC4 else 2 if largest < 0xF0 else 4
    memory = _KEY_BYTES * keys + _ELEMENT_BYTES * elements + (1 + 2 * width) * len(codes)
    budget(path).take(memory=memory, elements=elements)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {twice!r:.80}")
    return content


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _refuse(path: Location, reason: str) -> NoReturn:
    raise CheckpointError(reason, path=path, remedy=_AGAIN)
