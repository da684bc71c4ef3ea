"""Checkpoints of two files: one that describes the network, and bare weights without magic bytes beside it.

The description is known by its content. The weights are known by their name alone: that of a description
that lies beside them, but for the ending.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..errors import CheckpointError
from ..io import Location, base_name, is_file, open_source

HEAD = 512
"""Bytes of a description that tell what it is."""


class Files(NamedTuple):
    """The two files of a checkpoint, and the one of them that was not given."""

    description: Location
    weights: Location
    beside: str


@dataclasses.dataclass(frozen=True)
class Pair:
    """The endings of the names of two files that belong together.

    - `descriptions`: the endings of a description, the usual one first.
    - `weights`: the ending of the weights.
    - `describes(head)`: whether these are the first bytes of a description.
    """

    descriptions: tuple[str, ...]
    weights: str
    describes: Callable[[bytes], bool]

    def recognizes(self, path: Location, head: bytes) -> bool:
        """Return whether a path is a description, or weights with a description beside them."""
        return bool(head) and (self.describes(head) or self._description_of(path) is not None)

    def files(self, path: Location) -> Files:
        """The description and the weights, given either of them. Raises CheckpointError without both."""
        description = self._description_of(path)
        if description is not None:
            return Files(description, path, base_name(description))
        name = base_name(path)
        stem = next((name.removesuffix(end) for end in self._endings if name.endswith(end)), name)
        weights = path.parent / f"{stem}{self.weights}"
        if weights == path or not is_file(weights):
            reason = f"a description without weights: {stem}{self.weights} is missing"
            remedy = f"put {stem}{self.weights} beside it"
            raise CheckpointError(reason, path=path, remedy=remedy)
        return Files(path, weights, base_name(weights))

    def parts(self, files: Sequence[Location]) -> set[str]:
        """The names among the files of a folder for which a description among them stands."""
        by_name = {base_name(file): file for file in files}
        parts: set[str] = set()
        for name in (name for name in by_name if name.endswith(self.weights)):
            stem = name.removesuffix(self.weights)
            beside = [by_name[n] for n in self._names(stem) if n in by_name and n != name]
            described = [base_name(file) for file in beside if self._is_description(file)]
            parts.update(described[1:], [name] if described else [])
        return parts

    @property
    def _endings(self) -> list[str]:
        return sorted(self.descriptions, key=len, reverse=True)

    def _names(self, stem: str) -> Iterable[str]:
        return (f"{stem}{end}" for end in self.descriptions)

    def _description_of(self, weights: Location) -> Location | None:
        """The description beside a file of weights."""
        name = base_name(weights)
        if not name.endswith(self.weights) or name.endswith(self.descriptions):
            return None
        names = self._names(name.removesuffix(self.weights))
        beside = (weights.parent / name for name in names)
        return next((path for path in beside if self._is_description(path)), None)

    def _is_description(self, path: Location) -> bool:
        try:
            return is_file(path) and self.describes(bytes(open_source(path).read(0, HEAD)))
        except (OSError, CheckpointError):
            return False
