"""The work that computing the weights of one file may take, so that a small file makes no large one.

Counted in elements: an array that is written, or read from where it is stored, costs as many as it has.
"""

import numpy as np

from ._step import REMEDY
from ._value import MAX_PARTS, Value, workload

ALLOWANCE = 1 << 20
"""Elements that an operator may make beyond as many as the file stores."""

TOTAL, TOTAL_PER_STORED = 1 << 24, 64
"""The cost of all weights of a file together, and the part of it that grows with the stored elements."""

PEAK_PER_STORED = 8
"""Elements that are held at a time, for each that a weight is computed from."""

OPENING, PARAMETER = 1 << 24, 1 << 17
"""The cost of all shapes, axes and indices of a file, which are read as it is opened, and of one."""

_REFUSED = MAX_PARTS * 64


class Budget:
    """The work that is left to the weights of one file, which stores `stored` elements."""

    def __init__(self, stored: int):
        self.largest = stored + ALLOWANCE
        self._total, self._opening = stored * TOTAL_PER_STORED + TOTAL, OPENING

    def check(self, value: Value) -> None:
        """Take the cost of a weight. Raises ValueError if the file may not cost as much."""
        # A tensor that is read as it is stored costs no more than its bytes.
        if not value.op:
            return
        if self._total > 0:
            self._total -= _REFUSED
            work = workload(value)
            self._total += _REFUSED - work.cost
            if self._total > 0 and work.peak <= PEAK_PER_STORED * work.stored + 4 * ALLOWANCE:
                return
        excess = "more work than the stored tensors call for"
        raise ValueError(f"computed by {value.op} with {excess}; {REMEDY}")

    def read(self, value: Value) -> np.ndarray:
        """A small value, at once. Raises ValueError if it takes more than that is worth."""
        if self._opening > 0:
            self._opening -= _REFUSED
            cost = workload(value).cost
            self._opening += _REFUSED - cost
            if self._opening > 0 and cost <= PARAMETER:
                return value.read()
        raise ValueError(f"a parameter of shape {value.shape} that takes too much to compute")
