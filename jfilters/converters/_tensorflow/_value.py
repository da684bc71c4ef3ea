"""A stored or computed array of a graph, which is read on demand."""

import dataclasses
from collections.abc import Callable, Hashable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Value:
    """A stored array: what tells it from others, its shape, and how its values are read.

    - `is_whole`: the node that it is stored for is a part of it.
    - `is_computed`: it is made of stored arrays by arithmetic, not by arrangement alone.
    - `cost`: values that are looked at to make it, those that are looked at twice twice.
    """

    key: Hashable
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    is_whole: bool = False
    is_computed: bool = False
    cost: int = 1


class Keys(tuple):
    """The keys of the arrays that one weight is made of."""

    __slots__ = ()


def keys_of(value: Value) -> tuple[Hashable, ...]:
    """The keys of all stored arrays that a value is made of."""
    return value.key if isinstance(value.key, Keys) else (value.key,)


class NotFollowed(Exception):
    """The reason why a weight is not read, and the keys of stored values on the way to it."""

    def __init__(self, reason: str, keys: tuple[Hashable, ...] = ()):
        super().__init__(reason)
        self.keys = keys
