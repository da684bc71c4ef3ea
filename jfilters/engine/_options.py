"""What a scan can be asked for."""

import dataclasses
import math
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Options:
    """What a scan computes; written into its record as run.

    Without `quality` only the basis and the histograms are; `orthogonality`, the most costly of the
    quality metrics, can be left out alone. A checkpoint larger than `max_bytes` is refused. `strict`
    makes the first checkpoint that is refused or fails an error, and with it the end of the scan. `sha256`:
    hash the content of every local checkpoint into the record.
    """

    spatial: tuple[int, ...] = (3, 3)
    range: Literal["fixed", "data"] = "fixed"
    bins: int = 70
    sparse_eps: float = 0.01
    sparse_strict: bool = True
    axes: str | None = None
    quality: bool = True
    orthogonality: bool = True
    max_bytes: int | None = None
    strict: bool = False
    sha256: bool = True

    @property
    def d(self) -> int:
        """Taps of a kernel."""
        return math.prod(self.spatial)


DEFAULTS = Options()
