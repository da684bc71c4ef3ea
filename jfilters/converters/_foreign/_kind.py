"""The kind of a file or folder that no reader here takes, in the words that its refusal uses."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A format that is recognized and not read.

    - `name`: what it is, with its article.
    - `remedy`: how it becomes something that is read.
    - `weights`: it holds trained weights, so that a scan refuses it rather than to ignore it.
    - `stands_for`: it wraps the file that was wanted, or lies in its place.
    """

    name: str
    remedy: str | None = None
    weights: bool = True
    stands_for: bool = False


def other(name: str) -> Kind:
    """The kind of a file that holds no weights."""
    return Kind(name, weights=False)
