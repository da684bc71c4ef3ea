"""Numbers as the page carries them: rounded to what is seen, and arrays as base64 of small integers."""

import base64
import json
import math
from typing import Any

import numpy as np

from ...errors import printable

DIGITS = 4
"""Significant digits of a number on the page."""


def rounded(value: float | None) -> float | None:
    """Round to `DIGITS` significant digits; None for what is undefined or infinite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def packed(values: np.ndarray, kind: str) -> str:
    """Base64 of the values rounded to integers: `u1`, `u2` or `i2`, little-endian."""
    dtype = np.dtype(f"<{kind}")
    limits = np.iinfo(dtype)
    integers = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    return base64.b64encode(integers.tobytes()).decode("ascii")


def as_script_data(value: Any) -> str:
    """JSON that is inert inside a script element: no `<`, no NaN, no character that fakes another."""
    text = json.dumps(_printable(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _printable(value: Any) -> Any:
    match value:
        case str():
            # Packed arrays are most of the page: character by character they take half a second.
            return value if value.isprintable() else printable(value)
        case dict():
            return {_printable(key): _printable(part) for key, part in value.items()}
        case list() | tuple():
            return [_printable(part) for part in value]
        case _:
            return value
