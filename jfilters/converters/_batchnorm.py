"""Folding of BatchNorm: the norm behind each convolution, and the factors that it puts on the kernels.

An ONNX graph tells; elsewhere names and the order of registration do. Where they leave a doubt nothing is
tied and the reason is told: a kernel scaled by the wrong norm would be worse than an unscaled one.
"""

import collections
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..io import Location, checkpoint_errors
from ._checkpoint import Checkpoint, StoredLayer
from ._detect import FORMATS
from ._names import parts
from ._norm import Norm
from ._onnx import graph_norms
from ._stored import StoredArray

EPSILON = 1e-5
"""Added to the variance; no file but ONNX's tells. The default of torch, Flax, MLX and Equinox."""

KERAS_EPSILON = 1e-3
"""The default of Keras."""

_OF_KERAS = ("keras", "tfjs", "tensorflow")
"""Formats whose names and order are mostly those of Keras."""

_VARIANCE = ("running_var", "moving_variance", "var")
_GAMMA = ("weight", "gamma", "scale")
_NUMBERED = ("0", "1", "2", "3")  # how Keras 3 stores gamma, beta, mean and variance
_COLLECTIONS = {"params", "batch_stats"}
_KIND = re.compile(
    r"(depthwise_?)?conv(olution)?([123]d)?|batch_?norm(alization)?([123]d)?|norm(alization)?|bn"
)

_Place = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Folding:
    """The effect of folding on a checkpoint, by the qualified names of its layers.

    `factors`, (out,) and float32, multiply the output channels of a weight (out, in, *spatial). `norms`
    names the BatchNorm that they come from, and `untied` says why a layer has none.
    """

    factors: dict[str, np.ndarray]
    norms: dict[str, str]
    untied: dict[str, str]


@dataclasses.dataclass(frozen=True)
class _Module:
    """Arrays that share all of their name but its end; `rank` is the place among the modules of a file."""

    place: _Place
    rank: int
    norm: Norm | None
    is_convolution: bool

    @property
    def parent(self) -> _Place:
        return self.place[:-1]

    @property
    def stem(self) -> str:
        """Its own name without the words for its kind: "1" of "conv1" and of "bn1"."""
        words = _KIND.sub("_", self.place[-1].lower())
        return re.sub(r"_+", "_", words).strip("_")

    @property
    def is_counted(self) -> bool:
        """True if that is no more than a number, or nothing."""
        return _is_number(self.stem)


def _is_number(stem: str) -> bool:
    return stem.isdecimal() or not stem


def folded(checkpoint: Checkpoint) -> Folding:
    """gamma / sqrt(variance + epsilon) for every layer that a BatchNorm follows, in float32.

    Reads the small arrays of the norms alone. `EPSILON` and `KERAS_EPSILON` where the file does not tell.

    Raises CheckpointError if the checkpoint has changed or an array cannot be read.
    """
    ties = _by_graph(checkpoint) if checkpoint.format == "onnx" else _by_names(checkpoint)
    ties = _alone(ties)
    folding = Folding({}, {}, {})
    for layer in checkpoint.layers:
        name, norm = layer.qualified.name, ties[layer.qualified.name]
        factor = norm if isinstance(norm, str) else _factor(layer, norm, checkpoint.path)
        if isinstance(factor, str) or isinstance(norm, str):
            folding.untied[name] = str(factor)
        else:
            folding.factors[name], folding.norms[name] = factor, norm.label
    return folding


_Ties = dict[str, Norm | str]


def _factor(layer: StoredLayer, norm: Norm, path: Location) -> np.ndarray | str:
    if norm.size != layer.shape[0]:
        return f"{norm.label} has {norm.size} channels, not {layer.shape[0]}"
    with checkpoint_errors(path, norm.label):
        variance = np.asarray(norm.variance(), np.float64)
        gamma = np.ones(norm.size) if norm.gamma is None else np.asarray(norm.gamma(), np.float64)
    if not (np.isfinite(gamma).all() and np.isfinite(variance).all() and variance.min() >= 0):
        return f"{norm.label} has a scale or variance that is not finite, or a negative variance"
    return (gamma / np.sqrt(variance + norm.epsilon)).astype(np.float32)


def _alone(ties: _Ties) -> _Ties:
    """The ties without norms that would follow two layers."""
    followed = collections.Counter(norm.label for norm in ties.values() if isinstance(norm, Norm))
    return {
        name: f"{norm.label} would follow several layers"
        if isinstance(norm, Norm) and followed[norm.label] > 1
        else norm
        for name, norm in ties.items()
    }


def _by_graph(checkpoint: Checkpoint) -> _Ties:
    with checkpoint_errors(checkpoint.path):
        norms = graph_norms(checkpoint.path)
    nowhere = "no convolution of the graph"
    return {x.qualified.name: norms.get(x.stored.name, nowhere) for x in checkpoint.layers}


def _by_names(checkpoint: Checkpoint) -> _Ties:
    format = FORMATS[checkpoint.format]
    is_keras = format.name in _OF_KERAS
    epsilon = KERAS_EPSILON if is_keras else EPSILON
    with checkpoint_errors(checkpoint.path):
        arrays = format.arrays(checkpoint.path)
    modules = _modules(arrays, epsilon)
    # Keras lists the layers of parallel branches in turn, and sorts them where no configuration is stored.
    ordered = format.order == "registration-order" and not is_keras
    # The operations of a Keras model are numbered over all its branches.
    chained = format.name != "tensorflow"
    names = _Names(checkpoint.layers, modules, ordered=ordered, chained=chained)
    return {layer.qualified.name: names.norm(layer) for layer in checkpoint.layers}


def _modules(arrays: Sequence[StoredArray], epsilon: float) -> dict[_Place, _Module]:
    members: dict[_Place, dict[str, StoredArray]] = {}
    for array in arrays:
        *place, leaves = _path(array)
        members.setdefault(tuple(place), {})[leaves] = array
    return {
        place: _Module(
            place,
            rank,
            _norm(place, leaves, epsilon),
            any(len(array.shape) >= 3 for array in leaves.values()),
        )
        for rank, (place, leaves) in enumerate(members.items())
        if place
    }


def _path(array: StoredArray) -> _Place:
    """The components of a name, those of one layer under one place whatever collection holds them."""
    path = [array.member, array.network, *parts(array.name)]
    return tuple(part for part in path if part and part not in _COLLECTIONS and part != "vars")


def _norm(place: _Place, leaves: Mapping[str, StoredArray], epsilon: float) -> Norm | None:
    """The BatchNorm that a module is; None if it is none."""
    variance = next((leaves[name] for name in _VARIANCE if name in leaves), None)
    gamma = next((leaves[name] for name in _GAMMA if name in leaves), None)
    if variance is None and tuple(sorted(leaves)) == _NUMBERED:
        gamma, variance = leaves["0"], leaves["3"]
        if any(array.reason != "normalization" for array in leaves.values()):
            return None
    if variance is None or len(variance.shape) != 1:
        return None
    if gamma is not None and gamma.shape != variance.shape:
        return None
    label, size = "/".join(place), variance.shape[0]
    return Norm(label, size, gamma.read if gamma else None, variance.read, epsilon)


class _Names:
    """The modules of a checkpoint, by their names and, where it is stored, the order of registration."""

    def __init__(
        self,
        layers: Iterable[StoredLayer],
        modules: dict[_Place, _Module],
        *,
        ordered: bool,
        chained: bool,
    ):
        self._modules, self._ordered, self._chained = modules, ordered, chained
        self._next = dict(itertools.pairwise(modules))
        self._by_stem: dict[tuple[_Place, str, bool], list[_Module]] = {}
        for module in modules.values():
            if module.norm or module.is_convolution:
                key = (module.parent, module.stem, module.norm is not None)
                self._by_stem.setdefault(key, []).append(module)
        self._layers = list(layers)
        self._has_norms = any(module.norm for module in modules.values())
        self._surplus: collections.Counter[_Place] = collections.Counter()
        for parent, stem, is_norm in self._by_stem:
            if _is_number(stem):
                self._surplus[parent] += 1 if is_norm else -1

    def norm(self, layer: StoredLayer) -> Norm | str:
        """The BatchNorm behind a layer, or why there is none or which is in doubt."""
        module = self._modules.get(_path(layer.stored)[:-1])
        if module is None or not self._has_norms:
            return "no BatchNorm in the checkpoint"
        namesake = self._named(module)
        if module.place[-1].isdecimal() and self._chained:
            return self._numbered(module)
        if namesake and self._ordered and namesake.rank > module.rank:
            return _of(namesake)
        if namesake and not self._ordered:
            return _of(namesake) if self._norms_follow else _UNORDERED
        return self._following(module)

    def _named(self, module: _Module) -> _Module | None:
        """The one norm beside a convolution whose name is the same but for its kind."""
        norms = self._by_stem.get((module.parent, module.stem, True), [])
        convolutions = self._by_stem.get((module.parent, module.stem, False), [])
        if len(norms) != 1 or len(convolutions) != 1:
            return None
        return norms[0] if self._ordered or self._is_counted_alike(module) else None

    def _is_counted_alike(self, module: _Module) -> bool:
        """Return whether a number in the name means the same for both kinds: as many of each."""
        return not module.is_counted or self._surplus[module.parent] == 0

    def _numbered(self, module: _Module) -> Norm | str:
        """In a torch Sequential the module behind it, and no other: one without weights may lie between."""
        behind = (*module.parent, str(int(module.place[-1]) + 1))
        follower = self._modules.get(behind)
        return (
            _of(follower) if follower and follower.norm else f"no BatchNorm at {'/'.join(behind)}"
        )

    def _following(self, module: _Module) -> Norm | str:
        """The module registered next, where that is a norm of the same parent and of no other's name."""
        follower = self._modules.get(self._next.get(module.place, ()))
        if not self._ordered:
            return "no BatchNorm of its name"
        if follower is None or follower.norm is None or follower.parent != module.parent:
            return "no BatchNorm of its name, nor registered next to it"
        owners = self._by_stem.get((follower.parent, follower.stem, False), [])
        if follower.place[-1].isdecimal() or any(o.rank < follower.rank for o in owners):
            return f"{follower.norm.label} is next to it, but named after another layer"
        return _of(follower)

    @functools.cached_property
    def _norms_follow(self) -> bool:
        """Return whether norms named like convolutions have their output channels, never their inputs.

        Without an order the names of a network that normalizes first look the same.
        """
        votes = set()
        for layer in self._layers:
            module = self._modules.get(_path(layer.stored)[:-1])
            namesake = self._named(module) if module else None
            outputs, inputs = layer.shape[0], layer.shape[1] * (layer.layer.groups or 1)
            if namesake and namesake.norm and outputs != inputs:
                votes.add(namesake.norm.size == outputs)
        return votes == {True}


_UNORDERED = "whether the BatchNorm of its name comes before or behind it is not stored"


def _of(module: _Module) -> Norm | str:
    return module.norm or "no BatchNorm"
