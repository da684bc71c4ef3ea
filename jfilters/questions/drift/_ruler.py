"""A ruler for drift: D0 between two networks of known kind, to read other values by."""

from typing import NamedTuple


class Mark(NamedTuple):
    """D0 between pairs of one kind, in nats: the median, and the 10 % and 90 % quantiles."""

    kind: str
    median: float
    low: float
    high: float


RULER: tuple[Mark, ...] = ()
"""Kinds of pairs from near to far. Source: results/calibration/ruler.json, by `make calibrate`."""


def ruler_text() -> str:
    """Return the ruler as one sentence."""
    marks = ", ".join(
        f"{mark.kind} {mark.median:.2g} ({mark.low:.2g} to {mark.high:.2g})" for mark in RULER
    )
    return f"to read D0 of two networks by, in nats: {marks}"
