"""The quality of all layers of a network as one record, computed by one program for the device.

Kernels of all layers of one size are measured together; orthogonality alone takes a product for each
distinct shape.
"""

import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Num

from .._traced import is_traced
from ._entropy import entropy_from_moments
from ._inputs import (
    EXPECTED_KERNELS,
    KernelsLike,
    WhereLike,
    checked,
    is_layered,
    layer_mask,
    layer_masks,
)
from ._moments import Moments, moments_from_gram
from ._orthogonality import orthogonality
from ._randomness import randomness_threshold
from ._segments import Segments, at_least_float32, merged, segmented
from ._sparsity import sparse_mask
from ._sums import gram
from ._verdict import VERDICTS, Limits, conditions

Numbers = dict[str, Array]


class Quality(eqx.Module):
    """Quality of the layers of a network in depth order, or of one layer as scalars; a pytree.

    - `sparsity`, `variance_entropy`, `orthogonality`: S, H to base 10, and O, as in a scan. NaN where a
      layer is too small for it, O also where a kernel is not finite.
    - `variance_entropy_ratio`: H over the randomness threshold T for as many kernels.
    - `l1`, `l2`: norms of all finite weights.
    - `max_abs`: the largest finite absolute weight.
    - `n_nonfinite`: kernels that count and have a NaN or infinite weight; they enter no other number.
    - `verdict`: the place of the verdict in `VERDICTS`, which `verdict_labels` and `rows` look up.
    - `n_kernels`, `names`: static. The number includes kernels that a mask leaves out; `names` is empty
      where kernels came without records of layers.
    """

    sparsity: Float[Array, "*layers"]
    variance_entropy: Float[Array, "*layers"]
    variance_entropy_ratio: Float[Array, "*layers"]
    orthogonality: Float[Array, "*layers"]
    l1: Float[Array, "*layers"]
    l2: Float[Array, "*layers"]
    max_abs: Float[Array, "*layers"]
    n_nonfinite: Int32[Array, "*layers"]
    verdict: Int32[Array, "*layers"]
    n_kernels: tuple[int, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True, default=())

    def verdict_labels(self) -> list[str]:
        """Return the label of every layer, on the host."""
        return [row["verdict"] for row in self.rows()]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a layer with the label of its verdict, on the host; None for undefined numbers.

        Raises ValueError under jit, and for a record that vmap made: index that first, as by
        `jax.tree.map(lambda x: x[0], record)`.
        """
        columns = {name: self._column(name) for name in _COLUMNS}
        names = self.names or (None,) * len(self.n_kernels)
        layers = zip(names, self.n_kernels, zip(*columns.values(), strict=True), strict=True)
        return [
            {"layer": name, "n_kernels": n, **dict(zip(columns, map(_plain, values), strict=True))}
            | {"verdict": VERDICTS[int(values[-1])]}
            for name, n, values in layers
        ]

    def _column(self, name: str) -> Num[np.ndarray, " layers"]:
        values = getattr(self, name)
        if is_traced(values):
            raise ValueError(
                "rows are made on the host: expected computed arrays, got arrays under jit, vmap or grad; "
                "return the record and call rows outside"
            )
        column = np.atleast_1d(np.asarray(values))
        if column.shape != (len(self.n_kernels),):
            raise ValueError(
                f"expected one value for each of {len(self.n_kernels)} layers, got shape {values.shape}; "
                "index the record first, as by jax.tree.map(lambda x: x[0], record)"
            )
        return column


_COLUMNS = (
    *("sparsity", "variance_entropy", "variance_entropy_ratio", "orthogonality", "l1", "l2"),
    *("max_abs", "n_nonfinite", "verdict"),
)


def quality(kernels: KernelsLike, *, where: WhereLike = None) -> Quality:
    """Return the quality of one layer, or of every layer of `Kernels`, as one record.

    Works under jit and vmap, in float32, or float64 for weights of float64. The numbers are those that a
    scan writes into layers.parquet, from the same formulas. Layers may have different kernel sizes.

    **Arguments:**

    - `kernels`: `Kernels`, which give one value a layer; a weight (out, in, *spatial), or kernels as rows
      (n, d), which give scalars. Rows have no channels, so that their orthogonality is NaN.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`. Others are
      zero in their output channel, and a channel of none does not count.

    Raises ValueError for another shape and for no layer, TypeError for weights that are no floats.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax
    >>> import jfilters as jf
    >>> weight = jax.random.normal(jax.random.key(0), (16, 16, 3, 3))
    >>> record = jax.jit(jf.statistics.quality)(weight)
    >>> round(float(record.variance_entropy), 2), record.verdict_labels()
    (0.95, ['random-like'])
    """
    if is_layered(kernels) and not kernels.weights:
        raise ValueError(f"expected {EXPECTED_KERNELS}, got Kernels of no layer")
    layers, names = (kernels.weights, kernels.names) if is_layered(kernels) else ((kernels,), ())
    weights = tuple(map(_weight, layers))
    masks = layer_masks(where, len(layers)) if is_layered(kernels) else (where,)
    masks = None if where is None else tuple(map(_mask, masks, layers))
    # Undefined numbers are NaN on purpose, which the check of all results of a program would stop at.
    with jax.debug_nans(False):
        numbers = _numbers(weights, masks, has_channels=is_layered(kernels) or kernels.ndim > 2)
        if not is_layered(kernels):
            numbers = {name: values[0] for name, values in numbers.items()}
    n_kernels = tuple(math.prod(weight.shape[:2]) for weight in weights)
    return Quality(n_kernels=n_kernels, names=names, **numbers)


def _weight(kernels: Any) -> Array:
    """Return a weight (out, in, *spatial); rows (n, d) are channels of one kernel each."""
    weight = checked(kernels, jnp)
    if 0 in weight.shape[2:] or (weight.ndim == 2 and not weight.shape[1]):
        raise ValueError(f"expected {EXPECTED_KERNELS}, got shape {weight.shape}")
    return weight[:, None] if weight.ndim == 2 else weight


def _mask(where: WhereLike, kernels: Any) -> Bool[Array, "out in"]:
    rows = kernels.shape[: 1 if kernels.ndim == 2 else 2]
    mask = jnp.ones(rows, bool) if where is None else layer_mask(where, rows, jnp)
    return mask[:, None] if kernels.ndim == 2 else mask


# Of weights alone: networks that differ in names share the compiled program.
@eqx.filter_jit
def _numbers(
    weights: tuple[Array, ...], masks: tuple[Array, ...] | None, *, has_channels: bool
) -> Numbers:
    places: dict[tuple[int, ...], list[int]] = {}
    for index, weight in enumerate(weights):
        places.setdefault(weight.shape[2:], []).append(index)
    parts = [
        of_one_size(
            tuple(weights[i] for i in group),
            masks=masks and tuple(masks[i] for i in group),
            has_channels=has_channels,
        )
        for group in places.values()
    ]
    order = np.argsort([*itertools.chain.from_iterable(places.values())])
    dtype = at_least_float32(*weights)
    numbers = {name: _joined([part[name] for part in parts], dtype)[order] for name in _COLUMNS}
    # As in a scan; the numbers of the other kernels alone are another network's.
    is_whole, channels = numbers["n_nonfinite"] == 0, numbers["orthogonality"]
    return numbers | {"orthogonality": jnp.where(is_whole, channels, jnp.nan)}


def _joined(values: list[Array], dtype: Any) -> Array:
    is_float = jnp.issubdtype(values[0].dtype, jnp.floating)
    return jnp.concatenate([x.astype(dtype) if is_float else x for x in values])


def of_one_size(
    weights: tuple[Array, ...],
    segments: Segments | None = None,
    *,
    masks: tuple[Array, ...] | None = None,
    has_channels: bool = True,
) -> Numbers:
    """Return the columns of `Quality` for layers of one kernel size; not compiled by itself.

    Kernels that are not finite enter no number, so that orthogonality is that of the others.

    Args:
        weights: (out, in, *spatial), one a layer.
        segments: the same as `segmented` gives them, where the caller has them.
        masks: (out, in), of the kernels that count; all if not given.
        has_channels: False if rows are no output channels, whose orthogonality is NaN then.
    """
    segments = segmented(weights, masks) if segments is None else segments
    d, dtype = segments.kernels.shape[2], segments.kernels.dtype
    counts = _counts(weights, masks)
    finite = segments.sum_by_layer(jnp.sum(segments.valid, axis=1, dtype=jnp.int32))
    # Rows that do not count are zero.
    largest = segments.max_by_layer(jnp.max(jnp.abs(segments.kernels), axis=(1, 2)))
    unit = segments.per_segment(jnp.where(largest > 0, largest, 1))
    # By the layer's largest weight, so that squares neither overflow nor vanish.
    scaled = segments.kernels / unit[:, None, None]
    entropy = jnp.asarray(entropy_from_moments(merged(_moments(scaled, segments.valid), segments)))
    threshold = jnp.asarray(randomness_threshold(finite, d)).astype(dtype)
    n_nonfinite = counts - finite
    numbers = {
        "sparsity": _n_sparse(segments, largest) / finite.astype(dtype),
        "variance_entropy": entropy,
        "variance_entropy_ratio": entropy / threshold,
        "l1": largest * segments.sum_by_layer(jnp.sum(jnp.abs(scaled), axis=(1, 2))),
        "l2": largest * jnp.sqrt(segments.sum_by_layer(jnp.sum(scaled**2, axis=(1, 2)))),
        "max_abs": largest,
        "n_nonfinite": n_nonfinite,
    }
    undefined = jnp.full_like(entropy, jnp.nan)
    numbers["orthogonality"] = _orthogonality(weights, masks) if has_channels else undefined
    numbers["verdict"] = _verdict(numbers, counts, d, threshold)
    return numbers


def _counts(weights: tuple[Array, ...], masks: tuple[Array, ...] | None) -> Int32[Array, " layers"]:
    """Return the number of kernels of every layer that count."""
    if masks is None:
        return jnp.asarray([math.prod(weight.shape[:2]) for weight in weights], jnp.int32)
    return jnp.stack([jnp.sum(mask, dtype=jnp.int32) for mask in masks])


def _moments(kernels: Float[Array, "segments rows d"], valid: Array) -> Moments:
    weight = valid.astype(kernels.dtype)
    center = jnp.sum(kernels, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)[:, None]
    return moments_from_gram(center, gram(kernels - center[:, None], weight))


def _n_sparse(segments: Segments, largest: Float[Array, " layers"]) -> Float[Array, " layers"]:
    sparse = jax.vmap(sparse_mask)(segments.kernels, segments.per_segment(largest))
    dtype = segments.kernels.dtype
    return segments.sum_by_layer(jnp.sum(sparse & segments.valid, axis=1, dtype=dtype))


def _orthogonality(
    weights: tuple[Array, ...], masks: tuple[Array, ...] | None
) -> Float[Array, " layers"]:
    """Return the orthogonality of the finite kernels; layers of one shape take one product."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, weight in enumerate(weights):
        places.setdefault(weight.shape, []).append(index)
    dtype = at_least_float32(*weights)
    masks = (
        tuple(jnp.ones(weight.shape[:2], bool) for weight in weights) if masks is None else masks
    )
    values = [
        jax.vmap(_of_channels)(
            jnp.stack([weights[i].astype(dtype) for i in group]),
            jnp.stack([masks[i] for i in group]),
        )
        for group in places.values()
    ]
    return jnp.concatenate(values)[np.argsort(np.concatenate(list(places.values())))]


def _of_channels(
    weight: Float[Array, "out in *spatial"], mask: Bool[Array, "out in"]
) -> Float[Array, ""]:
    taps = tuple(range(2, weight.ndim))
    good = jnp.isfinite(weight).all(axis=taps) & mask
    finite = jnp.where(jnp.expand_dims(good, taps), weight, 0)
    return orthogonality(finite, where=mask.any(axis=1))


def _verdict(
    numbers: Numbers, n_kernels: Int32[Array, " layers"], d: int, threshold: Float[Array, " layers"]
) -> Int32[Array, " layers"]:
    names = ("n_nonfinite", "max_abs", "sparsity", "variance_entropy")
    fits = conditions(
        Limits.of(n_kernels.astype(threshold.dtype), d),
        n_kernels=n_kernels,
        threshold=threshold,
        **{name: numbers[name] for name in names},
    )
    return jnp.argmax(jnp.stack(fits), axis=0).astype(jnp.int32)


def _plain(value: Any) -> float | int | None:
    number = value.item()
    return None if isinstance(number, float) and not math.isfinite(number) else number
