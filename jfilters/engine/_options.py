"""The options of a scan, validated where they are made."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from .._traced import check_static
from ..errors import did_you_mean
from ..scans.internal import matcher


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a scan; its record holds them as run.

    Args:
        spatial: the kernel size that is looked at, such as (3, 3).
        population: the basis and the histograms are of all kernels, or of those that are not sparse.
        dtype: kernels are rounded to it before they are normalized.
        range: of the histograms: fixed by the method, that of the data, or from one number to another.
        weights: of the components in a drift: the variance ratio of the basis, or 1/d each.
        bins: of each histogram.
        sparse_eps: a kernel is sparse if its weights stay below this share of the layer's largest.
        sparse_strict: below, and not equal.
        axes, network, standardize: the way to read checkpoints, as `open_checkpoint` takes them.
        quality: take the quality metrics, and not the basis and the histograms alone.
        orthogonality: take this metric too, the most costly one.
        max_bytes: refuse larger checkpoints.
        strict: end the scan at the first checkpoint that is not wholly read.
        sha256: hash the content of every local checkpoint into the record.
        sample: kernels of each model that are kept, for metrics that need more than histograms.
        run: a pattern that tells the runs of models and their steps, as `trajectories` takes it.

    Raises:
        ValueError: a value that no scan can run with.

    >>> import jfilters as jf
    >>> jf.Options(spatial=(5, 5), bins=50).d
    25
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
    run: str | None = None

    def __post_init__(self):
        check_static(**vars(self))
        if not 1 <= len(self.spatial) <= 3 or min(self.spatial) < 1 or self.d < 2:
            raise ValueError(f"expected a kernel size such as (3, 3) or (7,), got {self.spatial}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                hint = did_you_mean(value, choices)
                raise ValueError(
                    f"expected {name} to be one of {', '.join(choices)}; got {value!r}{hint}"
                )
        if isinstance(self.range, str):
            if self.range not in _RANGES:
                raise ValueError(
                    f"expected a range: fixed, data or two numbers; got {self.range!r}"
                )
        elif not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise ValueError(f"expected a range from a lower to a higher number, got {self.range}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"expected {name} of {least} or more, got {value}")
        if not 0 < self.sparse_eps < 1:
            raise ValueError(f"expected sparse_eps between 0 and 1, got {self.sparse_eps}")
        if self.run is not None:
            matcher(self.run)

    @classmethod
    def of_record(cls, config: Mapping[str, Any]) -> "Options":
        """Return the options of a scan's record, a TOML file or a command line.

        Lists become tuples; names that are no options are passed over, and options that are missing have
        their defaults. Raises ValueError for a value that is none of its option.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
            if name in names
        }
        return cls(**values)

    def record(self) -> dict[str, Any]:
        """Return the options as JSON holds them."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @property
    def d(self) -> int:
        """Taps of a kernel."""
        return math.prod(self.spatial)

    @property
    def of_passes(self) -> "Options":
        """Only what the compiled programs depend on, so that no other choice makes them compile again."""
        return Options(**{name: getattr(self, name) for name in _OF_PASSES})


_RANGES = ("fixed", "data")
_CHOICES = {
    "population": ("all", "clean"),
    "dtype": ("float32", "float16"),
    "weights": ("variance-ratio", "uniform"),
}
_LEAST = {"bins": 1, "max_bytes": 1, "sample": 0}

_OF_PASSES = ("population", "dtype", "bins", "sparse_eps", "sparse_strict", "quality")


DEFAULTS = Options()
