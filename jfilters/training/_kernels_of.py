"""The kernels behind whatever a training loop holds: parameters, a module, or `Kernels` themselves."""

from typing import Any

from .._traced import check_static
from ..converters.internal import POINTWISE, most_common, skipped_reasons
from ..converters.internal import kernels_of as all_kernels_of
from ..kernels import Kernels


def kernels_of(params: Any, spatial: tuple[int, ...] | None = None) -> Kernels:
    """Return the convolution layers of `params`, of one kernel size or of all.

    Raises ValueError where there is none, with the sizes that there are, or with what there is instead.
    """
    kernels = all_kernels_of(params)
    spatial = None if spatial is None else checked_spatial(spatial)
    chosen = kernels.select(spatial=spatial)
    if not chosen or _is_pointwise(chosen):
        raise ValueError(f"params: {_without_layers(params, kernels, spatial)}")
    return chosen


def checked_spatial(spatial: Any) -> tuple[int, ...]:
    """Return a kernel size as a tuple. Raises ValueError for what is none, such as (1, 1)."""
    check_static(spatial=spatial)
    is_size = isinstance(spatial, tuple | list) and all(isinstance(k, int) for k in spatial)
    if not is_size or not spatial or min(spatial) < 1:
        raise ValueError(f"spatial: expected a kernel size such as (3, 3), got {spatial!r}")
    if set(spatial) == {1}:
        raise ValueError("spatial: a 1x1 weight has no spatial extent and is no kernel")
    return tuple(spatial)


def _is_pointwise(kernels: Kernels) -> bool:
    return all(set(weight.shape[2:]) == {1} for weight in kernels.weights)


def _without_layers(params: Any, kernels: Kernels, spatial: tuple[int, ...] | None) -> str:
    sizes = sorted({weight.shape[2:] for weight in kernels.weights} - _POINTWISE_SIZES)
    if sizes:
        listed = ", ".join(map(_size, sizes))
        remedy = f"choose one of them with spatial, as spatial={sizes[0]}"
        return f"expected {_size(spatial)} kernels, got kernels of sizes {listed}; {remedy}"
    reasons = skipped_reasons(params)
    pointwise = reasons[POINTWISE] + len(kernels)
    if pointwise:
        return (
            f"expected convolution layers with kernels, got {pointwise} 1x1 convolutions alone, whose "
            "weights have no spatial extent and are no kernels"
        )
    total = sum(reasons.values())
    return (
        f"expected convolution layers, got none among {total} arrays ({most_common(reasons)}); pass the "
        "parameters of the network, and name the order of axes with from_params(params, axes=...)"
    )


_POINTWISE_SIZES = {(1,) * n for n in (1, 2, 3)}


def _size(spatial: tuple[int, ...] | None) -> str:
    return "x".join(map(str, spatial)) if spatial else "any"
