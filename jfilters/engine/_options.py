"""What a scan can be asked for."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Options:
    """What a scan computes; written into its record as run.

    Without `quality` only the basis and the histograms are; `orthogonality`, the most costly of the
    quality metrics, can be left out alone. A checkpoint larger than `max_bytes` is refused. `strict`
    makes the first checkpoint that is not wholly read an error, and with it the end of the scan. `sha256`:
    hash the content of every local checkpoint into the record. `axes`, `network` and `standardize` say how
    checkpoints are read, as `open_checkpoint` takes them.

    What the basis and the histograms look at: the `population` of all kernels or of those that are not
    sparse, rounded to `dtype` before they are normalized, over the `range` of METHOD, of the data, or from
    one number to another. `weights` are those of the components in a drift: the basis's variance ratio, or
    1/d each. `sample`: kernels of each model that are kept, for metrics that need more than histograms.
    """

    spatial: tuple[int, ...] = (3, 3)
    population: Literal["all", "clean"] = "all"
    dtype: Literal["float32", "float16"] = "float32"
    range: Literal["fixed", "data"] | tuple[float, float] = "fixed"
    weights: Literal["variance-ratio", "uniform"] = "variance-ratio"
    bins: int = 70
    sparse_eps: float = 0.01
    sparse_strict: bool = True
    axes: str | None = None
    network: str | None = None
    standardize: bool = False
    quality: bool = True
    orthogonality: bool = True
    max_bytes: int | None = None
    strict: bool = False
    sha256: bool = True
    sample: int = 1_000

    @classmethod
    def of_record(cls, config: Mapping[str, Any]) -> "Options":
        """The options in a scan's record; what an earlier version did not know is as it is by default."""
        known = {field.name for field in dataclasses.fields(cls)}
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
            if name in known
        }
        return cls(**found)

    @property
    def d(self) -> int:
        """Taps of a kernel."""
        return math.prod(self.spatial)

    @property
    def of_passes(self) -> "Options":
        """Only what the compiled programs depend on, so that no other choice makes them compile again."""
        return Options(**{name: getattr(self, name) for name in _OF_PASSES})


_OF_PASSES = ("population", "dtype", "bins", "sparse_eps", "sparse_strict", "quality")


DEFAULTS = Options()
