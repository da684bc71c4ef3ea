"""A ruler for drift: D0 between two networks of known kind, to read other values by."""

from typing import NamedTuple


class Mark(NamedTuple):
    """D0 between pairs of one kind, in nats: the median, and the 10 % and 90 % quantiles."""

    kind: str
    median: float
    low: float
    high: float


RULER = (
    Mark("copy in float16", 0.0, 0.0, 2e-05),
    Mark("other seed", 0.0016, -0.00035, 0.01),
    Mark("fine-tuned from each other", 0.0025, -0.00085, 0.0075),
    Mark("other data", 0.012, 0.00053, 0.047),
    Mark("smaller half of weights set to zero", 0.058, 0.028, 0.14),
    Mark("other task", 0.059, 0.017, 0.13),
    Mark("strangers", 0.097, 0.017, 0.5),
)
"""Kinds of pairs from near to far.

Source: results/calibration/ruler.json, by `python -m benchmarks.ruler`.
"""


def ruler_text() -> str:
    """Return the ruler as one sentence."""
    marks = ", ".join(
        f"{mark.kind} {mark.median:.2g} ({mark.low:.2g} to {mark.high:.2g})" for mark in RULER
    )
    return f"to read D0 of two networks by, in nats: {marks}"
