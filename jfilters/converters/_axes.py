"""Axis orders: what can be inferred about them, and the way from them to (out, in, *spatial).

Letters: O and I are output and input channels, M a depthwise layer's multiplier, D, H and W space.
An axis order names "HW" whatever the rank; `for_rank` spells it for 1-D and 3-D convolutions.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from ..errors import did_you_mean

AXES = ("OIHW", "OHWI", "HWIO", "IOHW", "HWOI", "HWIM")
"""Every axis order that can be told to jfilters."""

INFERRED = ("OIHW", "OHWI", "HWIO")
"""The axis orders among which inference chooses."""

LARGEST_EXTENT = 64
"""Taps along one axis; beyond it an array is a table or an image, not a kernel."""

_UNIFORM = ("OIW", "OIHW", "OIDHW")

_SHAPES = 1024
"""Shapes that are remembered: networks repeat a few of them over many layers."""

_SPATIAL = {3: "W", 4: "HW", 5: "DHW"}


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """The steps by which one stored convolution weight becomes (out, in, *spatial).

    `axes` is spelled for the rank of the array. In "IO..." orders, those of PyTorch's and ONNX's
    transposed convolutions, I counts the channels of all groups and O those of one. `mirrored`: the
    kernel is stored turned around in space, as some frameworks keep transposed ones.
    """

    axes: str
    groups: int = 1
    transposed: bool = False
    mirrored: bool = False

    @functools.lru_cache(maxsize=_SHAPES)  # noqa: B019  (bounded; instances are few and small)
    def spatial(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial extents of a stored shape."""
        return tuple(
            size for axis, size in zip(self.axes, shape, strict=True) if axis in _SPATIAL[5]
        )

    @functools.lru_cache(maxsize=_SHAPES)  # noqa: B019
    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The stored shape as (out, in, *spatial)."""
        size, spatial = dict(zip(self.axes, shape, strict=True)), self.spatial(shape)
        if "M" in size:
            return (size["I"] * size["M"], 1, *spatial)
        if self.axes.startswith("IO"):
            return (size["O"] * self.groups, size["I"] // self.groups, *spatial)
        return (size["O"], size["I"], *spatial)

    def apply(self, weight: Any) -> Any:
        """A stored weight, or a tracer of one, as (out, in, *spatial)."""
        weight = self._arranged(weight)
        if not self.mirrored:
            return weight
        return weight[(slice(None), slice(None), *[slice(None, None, -1)] * (weight.ndim - 2))]

    def _arranged(self, weight: Any) -> Any:
        if self.axes in _UNIFORM:
            return weight
        spatial = "".join(axis for axis in self.axes if axis in _SPATIAL[5])
        channels = "IM" if "M" in self.axes else "IO" if self.axes.startswith("IO") else "OI"
        moved = weight.transpose([self.axes.index(axis) for axis in channels + spatial])
        if channels == "IO":
            grouped = (self.groups, moved.shape[0] // self.groups, *moved.shape[1:])
            moved = moved.reshape(grouped).swapaxes(1, 2)
        return moved.reshape(self.shape(weight.shape))


@functools.lru_cache
def for_rank(axes: str, rank: int) -> str:
    """An axis order spelled for arrays of `rank` axes: "HWIO" is "WIO" for 3 and "DHWIO" for 5."""
    spatial = "".join(axis for axis in axes if axis in _SPATIAL[5])
    return axes.replace(spatial, _SPATIAL[rank])


def checked_axes(axes: str | None) -> str | None:
    """`axes` itself; raises ValueError unless it is one of `AXES` in any rank."""
    if axes is None or axes in {for_rank(order, rank) for order in AXES for rank in _SPATIAL}:
        return axes
    hint = did_you_mean(axes, AXES)
    raise ValueError(f"axes: expected one of {', '.join(AXES)}, got {axes!r}{hint}")


@functools.lru_cache(maxsize=_SHAPES)
def candidates(shape: tuple[int, ...], name: str, bias: int | None) -> tuple[str, ...]:
    """The axis orders that fit a stored shape, its parameter's own name and its bias's length."""
    square = [axes for axes in INFERRED if _fits(axes, shape, square=True)]
    fitting = square or [axes for axes in INFERRED if _fits(axes, shape, square=False)]
    with_bias = [axes for axes in fitting if _outputs(axes, shape) == bias]
    fitting = with_bias or fitting
    return ("HWIO",) if name.partition("[")[0] == "kernel" and "HWIO" in fitting else tuple(fitting)


def consensus(open_arrays: Iterable[tuple[tuple[int, ...], tuple[str, ...]]]) -> str | None:
    """The one axis order of all arrays, as (shape, choice), that leave no choice.

    Where each leaves a choice, the one order that all of them allow. None if there is none, if there are
    several, or if arrays without a choice disagree.
    """
    choices = [
        set(choice)
        for shape, choice in open_arrays
        if choice and not all(_is_pointwise(axes, shape) for axes in choice)
    ]
    certain = set().union(*(choice for choice in choices if len(choice) == 1))
    shared = certain or (set.intersection(*choices) if choices else set())
    return shared.pop() if len(shared) == 1 else None


def settled(choice: tuple[str, ...], shape: tuple[int, ...], agreed: str | None) -> tuple[str, ...]:
    """Narrow a choice to the axis order on which the arrays of a file agree."""
    # One spatial axis is always "square": alone, the shape of a 1-D weight says too little.
    if agreed is not None and (agreed in choice or len(shape) == 3):
        return (agreed,)
    return choice


def _is_pointwise(axes: str, shape: tuple[int, ...]) -> bool:
    return set(Arrangement(for_rank(axes, len(shape))).spatial(shape)) == {1}


def _fits(axes: str, shape: tuple[int, ...], *, square: bool) -> bool:
    extents = Arrangement(for_rank(axes, len(shape))).spatial(shape)
    return max(extents) <= LARGEST_EXTENT and (not square or len(set(extents)) == 1)


def _outputs(axes: str, shape: tuple[int, ...]) -> int:
    return shape[for_rank(axes, len(shape)).index("O")]
