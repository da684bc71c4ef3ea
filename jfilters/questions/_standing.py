"""The standing of layers among those of many networks: the share of layers below each in S, H and O."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ..answers import Answer
from ..scans import Scan

NUMBERS = {
    "sparsity": "all",
    "variance_entropy": "n_kernels",
    "orthogonality": "fan_in",
}
"""The numbers of a layer, and what else moves them: a layer is compared with those alike in it.

Random weights have a variance entropy that rises with the kernels, and an orthogonality that rises with the
weights of a channel. Layers of one input a channel, most of them depthwise, differ from others in both.
"""

ALIKE_FACTOR = 4
"""Layers within this factor of the size are of like size."""

FEWEST_ALIKE = 50
"""Layers of like size that make a percentile; of fewer, all layers of the kind are taken."""


@dataclass(frozen=True)
class Standing:
    """A number of a layer among those of reference layers.

    - `value`: the number; None where the layer has none.
    - `above`: the share of the reference layers whose number is smaller; None without a number.
    - `layers`: how many reference layers there are; `among`: which ones.
    """

    value: float | None
    above: float | None
    layers: int
    among: str


@dataclass(frozen=True)
class LayerStanding:
    """A layer of a query among the layers of a scan, without those of kin of the query."""

    query: str
    layer: str
    n_kernels: int
    numbers: Mapping[str, Standing]

    @property
    def extremity(self) -> float:
        """The largest distance of a share from one half; ties with the smallest value are in the middle."""
        shares = [x.above for x in self.numbers.values() if x.above]
        return max((abs(share - 0.5) for share in shares), default=0.0)

    def record(self) -> dict[str, Any]:
        """Return the layer with its numbers side by side, flat."""
        flat: dict[str, Any] = {
            "query": self.query,
            "layer": self.layer,
            "n_kernels": self.n_kernels,
        }
        for name, standing in self.numbers.items():
            flat[name] = standing.value
            flat[f"{name}_above"] = standing.above
            flat[f"{name}_layers"] = standing.layers
            flat[f"{name}_among"] = standing.among
        return flat


@dataclass(frozen=True)
class LayerStandings(Answer):
    """The standing of every layer of the queries, in the order of depth."""

    layers: tuple[LayerStanding, ...]

    def record(self) -> list[dict[str, Any]]:
        """Return one record a layer."""
        return [layer.record() for layer in self.layers]


def layer_standings(scan: Scan, queries: Scan, kin: Mapping[str, Container[str]]) -> LayerStandings:
    """Return the standing of every layer of some queries among the layers of a scan.

    Args:
        scan: the scan of the reference layers.
        queries: the scan of the queries.
        kin: for each query the models whose layers are left out.
    """
    reference, own = _Columns(scan), _Columns(queries)
    standings = []
    for query in queries.model_names:
        counted = np.array([model not in kin[query] for model in reference.models], bool)
        for i in np.flatnonzero(own.models == query):
            numbers = {name: _standing(own, int(i), reference, counted, name) for name in NUMBERS}
            layer, n_kernels = str(own.layers[i]), int(own.sizes["n_kernels"][i])
            standings.append(LayerStanding(query, layer, n_kernels, numbers))
    return LayerStandings(tuple(standings))


class _Columns:
    """What is compared of the layers of a scan, as arrays."""

    def __init__(self, scan: Scan):
        table = scan.layer_table
        self.models = np.array(table["model"].to_pylist(), object)
        self.layers = table["layer"].to_pylist()
        self.numbers = {name: _reals(table[name].to_pylist()) for name in NUMBERS}
        n_kernels, out = (_reals(table[x].to_pylist()) for x in ("n_kernels", "out_channels"))
        # Not from `depthwise`, which is null where the checkpoint tells no groups.
        self.is_single = n_kernels <= np.maximum(out, 1)
        self.sizes = {"n_kernels": n_kernels, "fan_in": scan.d * n_kernels / np.maximum(out, 1)}


def _standing(
    own: _Columns, i: int, reference: _Columns, counted: Bool[np.ndarray, " layers"], name: str
) -> Standing:
    values = reference.numbers[name]
    mask, among = _alike(own, i, reference, counted & np.isfinite(values), NUMBERS[name])
    value, layers = float(own.numbers[name][i]), int(mask.sum())
    if not (np.isfinite(value) and layers):
        return Standing(value if np.isfinite(value) else None, None, layers, among)
    return Standing(value, float(np.mean(values[mask] < value)), layers, among)


def _alike(
    own: _Columns, i: int, reference: _Columns, mask: Bool[np.ndarray, " layers"], size: str
) -> tuple[Bool[np.ndarray, " layers"], str]:
    """Return the reference layers that are like a layer in kind and size, and their description."""
    if size == "all":
        return mask, "all layers"
    is_single = bool(own.is_single[i])
    kind = "layers of one input a channel" if is_single else "layers of several inputs a channel"
    of_kind = mask & (reference.is_single == is_single)
    if size == "fan_in" and is_single:
        return of_kind, kind
    ratio = reference.sizes[size] / max(own.sizes[size][i], 1)
    alike = of_kind & (ratio <= ALIKE_FACTOR) & (ratio >= 1 / ALIKE_FACTOR)
    if alike.sum() < FEWEST_ALIKE:
        return of_kind, kind
    return alike, f"{kind}, of {_SIZES[size]} within a factor of {ALIKE_FACTOR}"


_SIZES = {"n_kernels": "kernels", "fan_in": "weights a channel"}


def _reals(values: list[Any]) -> Float[np.ndarray, " layers"]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
