"""Mutations of a tree of values: what JSON, msgpack and the header of an array parse to.

Maps are `Pairs`, so that a key can come twice; the grammar that parsed a tree writes it back, with every
length right.
"""

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any

MOST_COPIES = (2, 10, 1000)
DEEPEST = (2, 50, 1100)

VALUES = (
    *(0, 1, -1, 2, 255, 65536, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, -(1 << 63)),
    *(0.5, -0.0, 1e308, True, False, None, "", "0", "-1", "x", "../x", "/x", ".", "float32", "\0"),
    *("a" * 3000, "é\ud7ff", 10**30),
)
"""Leaves that replace others; 10**30 fits no integer of 64 bits."""


class Pairs(list):
    """The entries of a map, `[key, value]` each, in the order of the file."""


@dataclasses.dataclass
class Extension:
    """A typed value of msgpack: a code and what it holds, a tree where the bytes parse to one."""

    code: int
    value: Any


@dataclasses.dataclass
class Place:
    """A node of a tree: the list or extension that holds it, and where."""

    holder: Any
    key: Any

    @property
    def value(self) -> Any:
        """The node."""
        return self.holder.value if isinstance(self.holder, Extension) else self.holder[self.key]

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(self.holder, Extension):
            self.holder.value = value
        else:
            self.holder[self.key] = value


def mutate_tree(root: Any, rng: random.Random) -> Any:
    """The tree with one to a few mutations; it is changed in place where its root stays."""
    top = [root]
    for _ in range(1 + int(rng.expovariate(0.8))):
        places = list(_places(top))
        rng.choice(MUTATIONS)(rng.choice(places), places, rng)
    return top[0]


def _places(holder: Any) -> Iterator[Place]:
    """All nodes below, keys of maps among them."""
    if isinstance(holder, Extension):
        yield Place(holder, None)
        yield from _places(holder.value)
    elif isinstance(holder, list):
        for index, value in enumerate(holder):
            if not isinstance(holder, Pairs):  # an entry of a map is no value
                yield Place(holder, index)
            yield from _places(value)


def _set_leaf(place: Place, places: list[Place], rng: random.Random) -> None:
    place.value = rng.choice(VALUES)


def _change_number(place: Place, places: list[Place], rng: random.Random) -> None:
    numbers = [place for place in places if _is_number(place.value)]
    if numbers:
        place = rng.choice(numbers)
        value = place.value
        steps = (value + 1, value - 1, -value, 2 * value, value + (1 << 32), str(value), [value])
        place.value = rng.choice((*steps, float(min(value, 1 << 62))))


def _copy_other(place: Place, places: list[Place], rng: random.Random) -> None:
    place.value = copy.deepcopy(rng.choice(places).value)


def _swap(place: Place, places: list[Place], rng: random.Random) -> None:
    # Leaves alone: a list that is put into itself would be a ring.
    leaves = [place for place in places if _is_leaf(place.value)]
    if len(leaves) > 1:
        first, second = rng.sample(leaves, 2)
        first.value, second.value = second.value, first.value


def _delete(place: Place, places: list[Place], rng: random.Random) -> None:
    if holders := _holders(places):
        holder = rng.choice(holders)
        del holder[rng.randrange(len(holder))]


def _repeat(place: Place, places: list[Place], rng: random.Random) -> None:
    """An element of a list or an entry of a map several times: the key of a map then comes twice."""
    if holders := _holders(places):
        holder = rng.choice(holders)
        at, times = rng.randrange(len(holder)), rng.choice(MOST_COPIES)
        if len(repr(holder[at])) * times < 60_000:
            holder[at:at] = [copy.deepcopy(holder[at]) for _ in range(times)]


def _shuffle(place: Place, places: list[Place], rng: random.Random) -> None:
    if holders := _holders(places):
        rng.shuffle(rng.choice(holders))


def _change_key(place: Place, places: list[Place], rng: random.Random) -> None:
    maps = [holder for holder in _holders(places) if isinstance(holder, Pairs)]
    keys = [entry[0] for holder in maps for entry in holder]
    if maps:
        entry = rng.choice(rng.choice(maps))
        changed = f"{entry[0]}{rng.choice(('.0', '/x', '_orig', ' '))}"
        entry[0] = rng.choice((rng.choice(keys), changed, "", "a" * 3000, "../x", "__class__"))


def _nest(place: Place, places: list[Place], rng: random.Random) -> None:
    value, is_list, key = place.value, rng.random() < 0.5, rng.choice(("a", "", "shape"))
    for _ in range(rng.choice(DEEPEST)):
        value = [value] if is_list else Pairs([[key, value]])
    place.value = value


def _empty(place: Place, places: list[Place], rng: random.Random) -> None:
    place.value = rng.choice(([], Pairs(), "", None))


def _cut_bytes(place: Place, places: list[Place], rng: random.Random) -> None:
    """Bytes or a text that are too short or too long for what is said of them."""
    texts = [place for place in places if isinstance(place.value, str | bytes)]
    if texts:
        place = rng.choice(texts)
        value = place.value
        place.value = rng.choice((value[:-1], value[1:], value + value, value * 100))[: 1 << 14]


def _holders(places: list[Place]) -> list[list]:
    return [value for place in places if isinstance(value := place.value, list) and value]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_leaf(value: object) -> bool:
    return not isinstance(value, list | Extension)


Mutation = Callable[[Place, list[Place], random.Random], None]
MUTATIONS: tuple[Mutation, ...] = (
    *(_set_leaf, _set_leaf, _change_number, _change_number, _copy_other, _swap, _delete, _repeat),
    *(_shuffle, _change_key, _nest, _empty, _cut_bytes),
)
