"""Stored arrays by the module that holds them, so that those which belong together are met side by side."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...layers import Applied
from .._names import parts
from .._stored import StoredArray

Place = tuple[str, ...]
"""The network and member that hold an array, and the components of its name or of the first of them."""


@dataclasses.dataclass(frozen=True)
class Composition:
    """One effective weight and what it is made of, as indices of arrays.

    `parts[0]` is the main part, in whose place the weight stands under its new `name`. `formula` takes the
    values of `inputs`; None where it is not known how the parts become the weight. `label` says what the
    parts belong to, or, without a formula, why the weight is not read; `is_unreadable` that the network
    applies it all the same.
    """

    name: str
    parts: tuple[int, ...]
    label: str
    applied: Applied = "unknown"
    inputs: tuple[int, ...] = ()
    formula: Callable[..., Any] | None = None
    note: str = ""
    is_unreadable: bool = False


class Siblings:
    """The arrays of a checkpoint by place, and by module."""

    def __init__(self, arrays: Sequence[StoredArray]):
        self.arrays = arrays
        self.index: dict[Place, int] = {}
        self.modules: dict[Place, dict[str, int]] = {}
        for index in range(len(arrays)):
            place = self.place(index)
            if self.index.setdefault(place, index) == index:
                self.modules.setdefault(place[:-1], {})[place[-1]] = index

    def place(self, index: int) -> Place:
        """The place of an array."""
        array = self.arrays[index]
        return (array.network, array.member, *parts(array.name))

    def shape(self, index: int) -> tuple[int, ...]:
        """The stored shape of an array."""
        return self.arrays[index].shape

    def renamed(self, index: int, count: int, leaf: str) -> str:
        """The name of an array with its last `count` components replaced by one, separators kept."""
        name = self.arrays[index].name
        for _ in range(count):
            name = name[: max(name.rfind("."), name.rfind("/"), 0)]
        separator = "/" if "/" in self.arrays[index].name else "."
        return f"{name}{separator}{leaf}" if name else leaf

    def with_ending(self, ending: str) -> Iterator[tuple[dict[str, int], str]]:
        """The arrays of every module that has one of this ending, by own name, and the stem of that one."""
        for members in self.modules.values():
            for name in members:
                if name.endswith(ending) and name != ending:
                    yield members, name.removesuffix(ending)
