"""The order of the arrays in a Keras file: as listed or configured, else as they were written.

Keras 3 writes the layers of a model in their order, under their classes and numbers, and the parts of a
layer or model of one's own in the order of their names. The addresses of objects ascend as they were
written (those of their values do not), until a tool copies the file by name.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...io import Hdf5Node, require_h5py
from ...layers import DepthSource
from .._depth_names import component, natural_key

CONTAINERS = {"layers", "_layer_checkpoint_dependencies"}
"""Names of groups that hold the layers of a model, whose order Keras keeps."""


@dataclasses.dataclass(frozen=True)
class ArrayOrder:
    """Nodes in their order, what that means for depth, and the names that names are sorted by."""

    nodes: tuple[Hdf5Node, ...]
    source: DepthSource
    names: Mapping[str, str]


def array_order(
    nodes: Sequence[Hdf5Node], weights: Sequence[Hdf5Node], ranks: Mapping[str, int | None]
) -> ArrayOrder:
    """The order of the nodes of a file, given the ranks that a list or a configuration tells.

    `weights` are those that may belong to convolutions: their order alone has to be known.
    """
    names = {node.name: node.name for node in nodes}
    if all(ranks[node.name] is not None for node in weights):
        return ArrayOrder(_sorted(nodes, ranks, names), "registration-order", names)
    members = _members(nodes)
    if _is_original(nodes, members):
        names = {name: "/".join(_numbered(name, members)) for name in names}
    elif any(len(_classes(container)) > 1 for container in _members(weights).values()):
        return ArrayOrder(_sorted(nodes, {}, names), "name-order", names)
    source: DepthSource = "registration-order" if members and _is_ordered(weights) else "name-order"
    return ArrayOrder(_sorted(nodes, {}, names), source, names)


def _sorted(
    nodes: Sequence[Hdf5Node], ranks: Mapping[str, int | None], names: Mapping[str, str]
) -> tuple[Hdf5Node, ...]:
    def key(node: Hdf5Node) -> tuple:
        rank = ranks.get(node.name)
        return rank is None, rank or 0, natural_key(names[node.name])

    return tuple(sorted(nodes, key=key))


_Container = dict[str, int]
"""The layers of one model by name, with the address of the first array that each of them wrote."""


def _members(nodes: Sequence[Hdf5Node]) -> dict[str, _Container]:
    """The layers of every model in the file, by the path of their container."""
    members: dict[str, _Container] = {}
    for node in sorted(_datasets(nodes), key=_address):
        for container, member, _ in _levels(node.name):
            members.setdefault(container, {}).setdefault(member, _address(node))
    return members


def _levels(name: str) -> Iterator[tuple[str, str, int]]:
    """Every container on the way to an array, with its member and the place of that in the path."""
    parts = name.split("/")
    for index in range(1, len(parts)):
        if parts[index - 1] in CONTAINERS:
            yield "/".join(parts[:index]), parts[index], index


def _numbered(name: str, members: Mapping[str, _Container]) -> list[str]:
    """A path with the ranks of layers in place of their names."""
    parts = name.split("/")
    for container, member, index in _levels(name):
        if member in members.get(container, ()):
            parts[index] = str(members[container][member])
    return parts


def _is_original(nodes: Sequence[Hdf5Node], members: Mapping[str, _Container]) -> bool:
    """True if the addresses of a file are those of its first writing, not of a copy by name."""
    paths = [node.name.split("/") for node in sorted(_datasets(nodes), key=_address)]
    return paths != sorted(paths) and all(map(_is_counted, members.values()))


def _is_counted(container: _Container) -> bool:
    """True if the numbers of each class ascend in the order of the addresses."""
    return all(a < b for numbers in _classes(container).values() for a, b in pairwise(numbers))


def _classes(container: _Container) -> dict[str, list[int]]:
    classes: dict[str, list[int]] = {}
    for name in sorted(container, key=container.__getitem__):
        word = component(name)
        classes.setdefault(word.family, []).append(word.number or 0)
    return classes


def _is_ordered(weights: Sequence[Hdf5Node]) -> bool:
    """True if the weights lie in layers of models alone, or in the one part of a layer that has any."""
    parts: dict[str, str] = {}
    for node in weights:
        outer = node.name.split("/")[:-1]
        for index in range(len(outer)):
            prefix, part = "/".join(outer[:index]), outer[index]
            is_ordered = index > 0 and outer[index - 1] in CONTAINERS
            if not is_ordered and parts.setdefault(prefix, part) != part:
                return False
    return True


def _datasets(nodes: Sequence[Hdf5Node]) -> list[Hdf5Node]:
    return [node for node in nodes if node.dataset is not None]


def _address(node: Hdf5Node) -> int:
    dataset: Any = node.dataset
    return require_h5py(Path()).h5o.get_info(dataset.id).addr
