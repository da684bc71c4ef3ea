"""Arrays without names: lists in the order of a network's parameters, and files of leaves end to end."""

import itertools
from collections.abc import Iterator, Sequence

from .._names import parts, qualified
from .._not_weights import OPTIMIZER
from .._stored import StoredArray
from ._trees import Path, Tree
from ._values import NEAR, cosine, is_nonnegative

_COPY = "second copy of the weights before it"
_NOTE = (
    "the file repeats the shapes of its first half: it may hold an optimizer's state or a copy; "
    "`like` tells which"
)


def aligned_lists(
    arrays: Sequence[StoredArray], weights: Sequence[int]
) -> Iterator[tuple[Tree, Tree]]:
    """Networks, and lists of arrays whose weights have their shapes in the same order."""
    lists = _lists(arrays, weights)
    if not lists:
        return
    listed = {index for members in lists.values() for index in members}
    below: dict[Path, list[int]] = {}
    for index in weights:
        path = parts(qualified(arrays[index]))
        for at in range(len(path)) if index not in listed else ():
            below.setdefault(tuple(path[:at]), []).append(index)
    sequences = {_shapes(arrays, members): path for path, members in reversed(below.items())}
    for path, members in lists.items():
        original = sequences.get(_shapes(arrays, members))
        if original is not None:
            yield Tree(original, tuple(below[original]), True), Tree(path, tuple(members), True)


def _lists(arrays: Sequence[StoredArray], weights: Sequence[int]) -> dict[Path, list[int]]:
    """The weights that have no name but a number, by what holds them; lists of two or more."""
    lists: dict[Path, list[int]] = {}
    for index in weights:
        *path, leaf = parts(qualified(arrays[index]))
        if leaf.isdecimal():
            lists.setdefault(tuple(path), []).append(index)
    return {path: members for path, members in lists.items() if len(members) > 1}


def _shapes(arrays: Sequence[StoredArray], members: Sequence[int]) -> tuple:
    return tuple(arrays[index].shape for index in members)


def repeated_stream(
    arrays: Sequence[StoredArray], weights: Sequence[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """Reasons and notes where a file of bare leaves holds the shapes of a network several times over.

    What training keeps lies behind the network, in its order: an average, first and second moments. Only
    second moments have no negative value.
    """
    lists = _lists(arrays, weights)
    if len(lists) != 1 or len(weights) != len(listed := next(iter(lists.values()))):
        return {}, {}
    if not any(_repeats(arrays, listed, times) for times in (2, 3, 4)):
        return {}, {}
    size = _size_of_moments(arrays, listed)
    if size:
        moments = listed[max(size, len(listed) - 2 * size) :]
        remaining = listed[: len(listed) - len(moments)]
        reasons = dict.fromkeys(moments, OPTIMIZER)
        if len(remaining) > size and _is_near(arrays, remaining):
            reasons |= dict.fromkeys(remaining[size:], _COPY)
        return reasons, {}
    if len(listed) % 2 or not _repeats(arrays, listed, 2):
        return {}, {}
    if _is_near(arrays, listed):
        return dict.fromkeys(listed[len(listed) // 2 :], _COPY), {}
    return {}, dict.fromkeys(listed, _NOTE)


def _size_of_moments(arrays: Sequence[StoredArray], listed: Sequence[int]) -> int:
    """Return the number of weights that the second moments at the end of a file are; 0 without any.

    Fresh first moments are zero as well, and twice as many weights have no negative value.
    """
    count = len(list(itertools.takewhile(lambda i: is_nonnegative(arrays, [i]), reversed(listed))))
    sizes = [count, count // 2] if count < len(listed) else []
    fitting = (size for size in sizes if size and len(listed) % size == 0)
    return next((s for s in fitting if _repeats(arrays, listed, len(listed) // s)), 0)


def _repeats(arrays: Sequence[StoredArray], weights: Sequence[int], times: int) -> bool:
    """Return whether all arrays of numbers, biases included, come so many times in the same shapes."""
    shapes = [array.shape for array in arrays if array.shape and "float" in array.dtype]
    size, surplus = divmod(len(shapes), times)
    if not 2 <= times <= 4 or surplus or len(weights) % times:
        return False
    return all(shapes[at] == shapes[at % size] for at in range(len(shapes)))


def _is_near(arrays: Sequence[StoredArray], weights: Sequence[int]) -> bool:
    half = len(weights) // 2
    return cosine(arrays, list(zip(weights[:half], weights[half:], strict=True))) >= NEAR
