"""Compare networks by their weights: every pair gets a verdict, pairs with the first all numbers.

The one question that reads weights, two layers at a time: beside what the readers hold it takes about
eight times the largest pair of layers, whatever the size of the checkpoints.
"""

import dataclasses
import itertools
import string
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32, Int64

from ..converters import Checkpoint
from ..converters.internal import is_path, opened_network
from ..errors import redacted
from ..shift import drift, drift_null, probability
from ..shift.internal import (
    Difference,
    change_rank,
    difference,
    rounding,
    rounding_beside_zeros,
)
from ..statistics import Basis, fixed_edges, layer_quality, merge_moments
from ..statistics.internal import host_counts, host_normalize, host_set_moments
from ._alignment import align, grids, scaling
from ._bases import Bases
from ._comparison import Comparison, Detail, MatchedLayer, Side, Storage
from ._comparisons import Comparisons
from ._deployed import beside_other_arrays, deployed, with_deployment
from ._deviation import deviation
from ._kinship import LEAST_Z, layer_kinship, least_z
from ._other_arrays import other_arrays
from ._pairing import Pair, ReadableLayer, pair_layers
from ._relation import EQUAL_KERNELS, relate, with_other_arrays
from ._totals import Sums

Weight = Float32[np.ndarray, "out in *spatial"]

CLOSE = 0.5
"""Mean cosine from which a layer may be the other one quantized: even a grid of one level keeps 0.7."""

PARALLEL = 0.7
"""Mean absolute cosine from which it may be so with channels multiplied by numbers of both signs."""

BINS = 70
"""Bins of the fixed range, as in a scan (METHOD, Histogram)."""


def compare(
    *networks: Any,
    names: Sequence[Any] | None = None,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
    detailed: bool = True,
) -> Comparisons:
    """Compare two or more networks by their weights: every pair, those with the first one first.

    Runs on the host, and needs no JAX for paths; two layers at a time are in memory.

    **Arguments:**

    - `networks`: paths or URLs of any format, `Kernels`, modules, or parameters, in any mix; or one list of
      them.
    - `names`: one name each, by which answers call them. Without names a path is called by its own, and
      what is in memory "a", "b" and so on, by its place.
    - `axes`, `network`, `standardize`: those of `open_checkpoint`, for every network.
    - `detailed`: drift and quality of every layer, for the pairs with the first network.

    **Returns:** one `Comparison` a pair: the relationship, its reasons, and the matched layers. Of one pair
    alone the answer is that comparison too: it has its `relation`, `layers` and so on.

    **Raises:** `CheckpointError` for one that cannot be read, `ValueError` for fewer than two, for another
    number of names, and under jit.

    >>> import jfilters as jf, numpy as np
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> a, b = {"conv": weights}, {"conv": weights.astype(np.float16)}
    >>> pair = jf.compare(a, b, axes="OIHW")
    >>> pair.relation.label, len(pair.layers)
    ('re-saved', 1)
    """
    listed = (
        networks[0] if len(networks) == 1 and isinstance(networks[0], list | tuple) else networks
    )
    if len(listed) < 2:
        raise ValueError(f"expected two networks or more to compare, got {len(listed)}")
    called = _names(listed, names)
    opened = [
        opened_network(value, name, axes=axes, network=network, standardize=standardize)
        for value, name in zip(listed, called, strict=True)
    ]
    pairs, z = itertools.combinations(range(len(opened)), 2), least_z(len(opened))
    return Comparisons(
        compare_pair(
            opened[i],
            opened[j],
            names=(called[i], called[j]),
            detailed=detailed and i == 0,
            kin_z=z,
        )
        for i, j in pairs
    )


def _names(networks: Sequence[Any], names: Sequence[Any] | None) -> list[str]:
    """The name of each network: without `names` its path, or the letter of its place."""
    if names is None:
        return [str(x) if is_path(x) else _letter(i) for i, x in enumerate(networks)]
    if isinstance(names, str) or len(names) != len(networks):
        raise ValueError(f"names: expected one for each of {len(networks)} networks, got {names!r}")
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"names: expected text, got {names!r}")
    return list(names)


def _letter(place: int) -> str:
    letters = string.ascii_lowercase
    return letters[place] if place < len(letters) else f"{letters[place % 26]}{place // 26}"


def compare_pair(
    first: Checkpoint,
    second: Checkpoint,
    *,
    names: tuple[str | None, str | None] = (None, None),
    detailed: bool = True,
    kin_z: float = LEAST_Z,
) -> Comparison:
    """Compare one pair of opened checkpoints.

    Runs on the host and needs no JAX. Each pair of layers is read once, and a second time for its drift.

    **Arguments:**

    - `first`, `second`: opened checkpoints, of any format each, or networks in memory.
    - `names`: by which both are called; their paths where there is none.
    - `detailed`: measure drift in nats and quality of every layer too.
    - `kin_z`: standard deviations above strangers from which they are kin; more for a pair of many.

    **Returns:** the relationship with its reasons, the matched layers, and those without a partner.
    """
    sides = side_of(first, names[0]), side_of(second, names[1])
    comparison = compare_layers(
        first.layers, second.layers, sides, detailed=detailed, kin_z=kin_z, reshaped=True
    )
    arrays = None
    if comparison.relation.label in EQUAL_KERNELS:
        arrays = other_arrays(first, second)
    if arrays is None:
        return comparison
    relation = with_other_arrays(comparison.relation, arrays)
    result = beside_other_arrays(comparison.deployment, arrays)
    reasons = (result.text if x == comparison.deployment.text else x for x in relation.reasons)
    relation = dataclasses.replace(relation, reasons=tuple(reasons))
    return dataclasses.replace(
        comparison, relation=relation, deployment=result, other_arrays=arrays
    )


def compare_layers(
    first: Sequence[ReadableLayer],
    second: Sequence[ReadableLayer],
    sides: tuple[Side, Side],
    *,
    detailed: bool = False,
    kin_z: float = LEAST_Z,
    reshaped: bool = False,
) -> Comparison:
    """Compare two networks by layers that are stored or in memory, or by parts of their weights.

    Args:
        first, second: the layers; two of one shape are comparable.
        sides: the checkpoints that they come from.
        detailed: measure drift in nats and quality of every layer too.
        kin_z: standard deviations above strangers from which they are kin.
        reshaped: look for blocks of channels and exchanged axes among layers of other shapes too.
    """
    pairs, unmatched = pair_layers(first, second, reshaped=reshaped)
    bases = Bases()
    layers = [_matched(pair, bases if detailed else None) for pair in pairs]
    if detailed:
        layers = [_with_drift(x, pair, bases) for x, pair in zip(layers, pairs, strict=True)]
    sums = Sums.of(layers, *sides, kin_z)
    relation = relate(sums, *sides)
    result = deployed(sums, relation, *sides)
    relation = with_deployment(relation, result, *sides)
    return Comparison(
        *sides, relation, sums.kinship, tuple(layers), tuple(unmatched), deployment=result
    )


def side_of(checkpoint: Checkpoint, name: str | None = None) -> Side:
    """Return the record of a checkpoint, under a name or its path."""
    kernels = sum(layer.shape[0] * layer.shape[1] for layer in checkpoint.layers)
    path = redacted(str(checkpoint.path) if name is None else name)
    unread, in_memory = checkpoint.shortfall, checkpoint.arrays is not None
    return Side(path, checkpoint.format, len(checkpoint.layers), kernels, unread, in_memory)


def _matched(pair: Pair, bases: Bases | None) -> MatchedLayer:
    """Return the numbers of one reading; with `bases` the quality too, and the moments added to them."""
    a, b = pair.read()
    b = a if np.array_equal(a, b) else b
    detail = _quality(a, b, bases) if bases is not None else None
    aligned = align(a, b)
    b, similarity = aligned.weight, aligned.similarity
    explained, change = rounding(a, b), difference(a, b)
    numbers = scaling(a, b) if explained is None else None
    parallelism = numbers.parallelism if numbers else abs(similarity.mean)
    is_close = explained is None and similarity.mean >= CLOSE
    is_parallel = explained is None and parallelism >= PARALLEL
    lattices = grids(a, b) if is_close or is_parallel else (None, None)
    is_like = explained is not None or is_close or is_parallel
    return MatchedLayer(
        first=pair.first.qualified.name,
        second=pair.second.qualified.name,
        shape=a.shape,
        how=pair.how,
        stored=(_storage(pair.first), _storage(pair.second)),
        reordered=aligned.reordered,
        difference=change,
        similarity=similarity,
        kinship=layer_kinship(a, b),
        rounding=explained,
        rescaling=numbers.remainder if numbers else None,
        parallelism=parallelism,
        rounding_beside_zeros=_beside_zeros(a, b, explained, change),
        grids=lattices,
        change_rank=change_rank(a, b) if is_close else None,
        detail=detail,
        transform=pair.transform or aligned.transform,
        block=pair.block,
        wide=pair.wide,
        factors=numbers.scope if numbers else None,
        deviation=deviation(a, b, lattices, is_rounded=explained is not None) if is_like else None,
    )


def _storage(layer: ReadableLayer) -> Storage:
    return Storage(layer.layer.axes, layer.layer.dtype, layer.layer.applied)


def _beside_zeros(a: Weight, b: Weight, explained: str | None, change: Difference) -> str | None:
    has_zeros = change.zeroed_first or change.zeroed_second
    return rounding_beside_zeros(a, b) if explained is None and has_zeros else explained


def _quality(a: Weight, b: Weight, bases: Bases) -> Detail:
    weights = [a] if a is b else [a, b]
    moments = [host_set_moments(host_normalize(_rows(weight))) for weight in weights]
    bases.add(a.shape[2:], merge_moments(moments[0], moments[-1]))
    qualities = [layer_quality(weight) for weight in weights]
    return Detail(None, None, qualities[0], qualities[-1])


def _with_drift(layer: MatchedLayer, pair: Pair, bases: Bases) -> MatchedLayer:
    """The layer with its drift in nats and its null level, from a second reading."""
    basis = bases[layer.shape[2:]]
    if basis is None or layer.detail is None:
        return layer
    edges = fixed_edges(len(basis.mean), BINS)
    sides: tuple[Literal[0, 1], ...] = (0,) if layer.difference.changed == 0 else (0, 1)
    counts = [_counts(_read(pair, layer, side), basis, edges) for side in sides]
    first, second = counts[0], counts[-1]
    n, m = float(first[0].sum()), float(second[0].sum())
    if not (n and m):
        return layer
    ratio = np.asarray(basis.variance_ratio)
    value = drift(probability(first, edges), probability(second, edges), ratio)
    level = drift_null(first + second, (n, m), ratio, edges).mean
    detail = dataclasses.replace(layer.detail, drift=float(value), null_mean=level)
    return dataclasses.replace(layer, detail=detail)


def _read(pair: Pair, layer: MatchedLayer, side: Literal[0, 1]) -> Weight:
    """Return the weight of one side again, arranged and transformed as it was compared."""
    stored = pair.first if side == 0 else pair.second
    weight = pair.arranged(stored.read(), side)
    is_turned = side == 1 and layer.transform is not None and pair.transform is None
    return layer.transform(weight) if is_turned and layer.transform else weight


def _counts(weight: Weight, basis: Basis, edges: np.ndarray) -> Int64[np.ndarray, "d bins"]:
    return host_counts(host_normalize(_rows(weight)), basis, edges)


def _rows(weight: Weight) -> Float[np.ndarray, "n d"]:
    return weight.reshape(weight.shape[0] * weight.shape[1], -1)
