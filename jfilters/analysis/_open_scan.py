"""The scan that `open_scan` gives: a written scan whose first questions are methods, for notebooks."""

import dataclasses
from typing import Any

from ._drift import drift_between
from ._drift_table import DriftTable
from ._saved import SavedScan
from ._where import where


class OpenScan(SavedScan):
    """A `SavedScan` that can be asked: every function of a scan takes it too."""

    @classmethod
    def of(cls, scan: SavedScan) -> "OpenScan":
        """The same scan, to be asked."""
        return cls(**{f.name: getattr(scan, f.name) for f in dataclasses.fields(SavedScan)})

    def drift(self, by: str = "model", **question: Any) -> DriftTable:
        """How the groups of an axis differ, in nats unless another metric is asked for.

        `question` is what `drift_between` takes, and raises: metric, within, clean, balance,
        permutations, replicates and seed.
        """
        return drift_between(self, by, **question)

    def where(self, condition: str) -> "OpenScan":
        """The scan of the layers for which a condition holds: "task == 'detection' and depth > 2".

        Raises ValueError for what is no condition on its columns and axes, and if no layer is left.
        """
        mask = where(self, condition)
        if not mask.any():
            raise ValueError(
                f"none of {len(mask)} layers is left where {condition}; loosen the condition"
            )
        return OpenScan.of(self.only(mask))
