"""The sketches of all layers of many networks, stacked, and the sketcher that takes them from weights."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int, Int8, Int64

from ._hashes import HASHES, MOST_KERNELS, kernel_hashes
from ._sketch import WIDTH, LayerSketch, sketch


@dataclasses.dataclass(frozen=True, eq=False)
class Sketches:
    """The sketches of n layers.

    - `rows`: those of all layers, one after the other; `n_rows` says how many a layer has.
    - `n`, `spread`, `zeros`: of each layer, as in `LayerSketch`.
    - `hashes`, `hash_layer`: the smallest hashes of each network's kernels, and the layer of each, by layer
    and then ascending.
    """

    rows: Int8[np.ndarray, "rows width"]
    n_rows: Int64[np.ndarray, " n"]
    n: Int64[np.ndarray, " n"]
    spread: Float[np.ndarray, " n"]
    zeros: Float[np.ndarray, " n"]
    hashes: Int64[np.ndarray, " m"]
    hash_layer: Int64[np.ndarray, " m"]

    @classmethod
    def of_nothing(cls) -> "Sketches":
        """Return the sketches of no layer."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(np.zeros((0, WIDTH), np.int8), whole, whole, real, real, whole, whole)

    def __len__(self) -> int:
        return len(self.n_rows)

    @classmethod
    def concatenate(cls, parts: Sequence["Sketches"]) -> "Sketches":
        """Return the sketches of several networks, in their order."""
        starts = np.cumsum([0, *(len(part) for part in parts)])
        arrays = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(cls)
        }
        layers = [part.hash_layer + start for part, start in zip(parts, starts, strict=False)]
        return cls(**arrays | {"hash_layer": np.concatenate(layers)})

    def take(self, layers: Int[np.ndarray, " m"] | slice) -> "Sketches":
        """Return the sketches of some layers, by their places in any order; a slice gives views."""
        if isinstance(layers, slice) and layers.step in (None, 1):
            return self._range(*layers.indices(len(self))[:2])
        places = np.arange(len(self))[layers]
        counts = self.n_rows[places]
        offsets = self._row_bounds[places] - _starts(counts)
        rows = np.arange(counts.sum()) + np.repeat(offsets, counts)
        new_place = np.full(len(self), -1)
        new_place[places] = np.arange(len(places))
        hash_layer = new_place[self.hash_layer]
        order = np.argsort(hash_layer, kind="stable")[np.count_nonzero(hash_layer < 0) :]
        return Sketches(
            self.rows[rows],
            counts,
            self.n[places],
            self.spread[places],
            self.zeros[places],
            self.hashes[order],
            hash_layer[order],
        )

    def _range(self, start: int, stop: int) -> "Sketches":
        """Return the sketches of layers that follow each other, as views."""
        stop = max(start, stop)
        layers = slice(start, stop)
        rows = slice(*self._row_bounds[[start, stop]])
        hashes = slice(*np.searchsorted(self.hash_layer, [start, stop]))
        return Sketches(
            self.rows[rows],
            self.n_rows[layers],
            self.n[layers],
            self.spread[layers],
            self.zeros[layers],
            self.hashes[hashes],
            self.hash_layer[hashes] - start,
        )

    @functools.cached_property
    def _row_bounds(self) -> Int64[np.ndarray, " n_1"]:
        """First row of every layer, and the end of the last."""
        return np.append(0, np.cumsum(self.n_rows))


class Sketcher:
    """Takes the sketches of networks from the stream of their weights, one network after the other.

    Args:
        sizes: how many layers each of the networks has.
    """

    def __init__(self, sizes: Sequence[int]):
        self._networks = [_Network(size) for size in sizes]

    def watch(self, weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass weights on, and sketch each."""
        stream = iter(weights)
        for network in self._networks:
            for weight in itertools.islice(stream, network.n_layers):
                network.add(weight)
                yield weight

    def sketches(self) -> Sketches:
        """Return the sketches of the networks that passed."""
        networks = [network.sketches() for network in self._networks]
        return Sketches.concatenate([Sketches.of_nothing(), *networks])


class _Network:
    """The sketches of a network under way."""

    def __init__(self, n_layers: int):
        self.n_layers = n_layers
        self._layers: list[LayerSketch] = []
        self._hashes: list[np.ndarray] = []
        self._n_hashed = 0

    def add(self, weight: Float[np.ndarray, "out in *spatial"]) -> None:
        """Sketch the next layer."""
        kernels = weight.reshape(weight.shape[0] * weight.shape[1], -1)
        self._hashes.append(kernel_hashes(kernels[: MOST_KERNELS - self._n_hashed]))
        self._n_hashed = min(self._n_hashed + len(kernels), MOST_KERNELS)
        self._layers.append(sketch(weight, self.n_layers))

    def sketches(self) -> Sketches:
        """Return the sketches of all layers so far."""
        layers = self._layers
        if not layers:
            return Sketches.of_nothing()
        hashes, places = np.unique(np.concatenate(self._hashes), return_index=True)
        owners = np.repeat(np.arange(len(layers)), [len(part) for part in self._hashes])
        hashes, hash_layer = hashes[:HASHES], owners[places[:HASHES]]
        order = np.argsort(hash_layer, kind="stable")
        return Sketches(
            np.concatenate([layer.rows for layer in layers]),
            np.array([len(layer.rows) for layer in layers], np.int64),
            np.array([layer.n for layer in layers], np.int64),
            np.array([layer.spread for layer in layers]),
            np.array([layer.zeros for layer in layers]),
            hashes[order],
            hash_layer[order],
        )


def _starts(counts: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    return np.cumsum(counts) - counts
