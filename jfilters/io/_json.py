"""JSON of unknown origin as an object: strict, of unique keys, and of bounded size."""

import json
from collections import Counter
from typing import Any, NoReturn

from ..errors import CheckpointError
from ._source import ByteSource

MAX_JSON_BYTES = 100_000_000
"""Bytes of one text, the limit that safetensors sets to its header."""

MAX_ELEMENTS = 2_000_000
"""Commas, braces and brackets of one text, which bound the memory that its parser takes: 1 GB."""

_AGAIN = "the file is damaged or was cut short: fetch it again"


def json_object(source: ByteSource, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """The object in the bytes start..stop, by default in all. Raises CheckpointError if it is none."""
    stop = source.size if stop is None else stop
    text = bytes(source.read(start, min(stop, start + MAX_JSON_BYTES + 1)))
    if len(text) > MAX_JSON_BYTES or sum(map(text.count, (b",", b"{", b"["))) > MAX_ELEMENTS:
        _refuse(source, f"more than {MAX_JSON_BYTES} bytes or {MAX_ELEMENTS} elements of JSON")
    if text[:1] != b"{":
        _refuse(source, f'expected JSON that starts with "{{", found {text[:8]!r}')
    try:
        return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = f"no valid JSON ({error})"
        raise CheckpointError(reason, path=source.path, remedy=_AGAIN) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {twice!r:.80}")
    return content


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _refuse(source: ByteSource, reason: str) -> NoReturn:
    raise CheckpointError(reason, path=source.path, remedy=_AGAIN)
