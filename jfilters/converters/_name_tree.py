"""The tree of layer names, and the channels that go into and come out of each of its branches."""

import dataclasses
from collections.abc import Sequence

from ._depth_names import Component, component

MAX_PARTS = 32
"""Components of a name that count; those beyond are one. It bounds the recursion."""

_END = "\0"  # behind the last component of a name

MAX_OUTPUTS = 256
"""Distinct channel counts that are remembered of one branch."""


@dataclasses.dataclass(slots=True, eq=False)
class Branch:
    """A layer, or all layers whose names begin alike.

    `layers` are the indices of the layers of one name, empty where there are children. `takes` are the
    channels into the first convolution, `gives` those out of the last, `outputs` those out of any.
    `word` is what the last component of the name says.
    """

    name: str
    layers: Sequence[int] = ()
    children: dict[str, "Branch"] = dataclasses.field(default_factory=dict)
    takes: int = 0
    gives: int = 0
    outputs: frozenset[int] = frozenset()
    takes_image: bool = False
    is_transposed: bool = False
    is_column: bool = False
    after: "Branch | None" = None
    places: Sequence[Sequence["Family"]] = ()
    word: Component = dataclasses.field(init=False)

    def __post_init__(self):
        self.word = component(self.name)

    @property
    def is_numbered(self) -> bool:
        """True if the children are told apart by nothing but numbers."""
        return bool(self.children) and all(name.isdecimal() for name in self.children)


@dataclasses.dataclass(slots=True)
class Family:
    """Branches that a number alone tells apart, in their order; `rank` is that among families.

    Stages of several families alternate and share their rank: denseblock1, transition1, denseblock2.
    """

    branches: list[Branch]
    rank: int
    is_staged: bool = False


@dataclasses.dataclass(frozen=True)
class Layers:
    """The layers of one network: the components of their names, and shapes as (out, in, *spatial)."""

    paths: Sequence[Sequence[str]]
    shapes: Sequence[tuple[int, ...]]
    transposed: Sequence[bool]

    @property
    def image(self) -> int:
        """The channels of the image that the network takes, 0 if no layer gives them away."""
        inputs = [shape[1] for shape in self.shapes]
        if 3 in inputs:
            return 3
        # Several layers of one input channel are depthwise.
        return 1 if inputs.count(1) == 1 else 0

    def tree(self) -> Branch:
        """The layers by their names; a component that tells no layers apart has no branch."""
        return self._branch("", list(range(len(self.paths))), 0, self.image)

    def _branch(self, name: str, layers: list[int], level: int, image: int) -> Branch:
        parts = self._parts(layers, level) if len(layers) > 1 else {_END: layers}
        while len(parts) == 1 and not _counts(*parts):
            level += 1
            parts = self._parts(layers, level)
        if parts.keys() == {_END}:
            return self._leaf(name, layers, image)
        children = {part: self._branch(part, parts[part], level + 1, image) for part in parts}
        return Branch(name, children=children)

    def _parts(self, layers: list[int], level: int) -> dict[str, list[int]]:
        """The layers by their component at one level, the end behind the last."""
        parts: dict[str, list[int]] = {}
        for index in layers:
            path = self.paths[index]
            part = path[level] if level < len(path) else _END
            if level == MAX_PARTS:
                part = ".".join(path[level:])
            parts.setdefault(part if level <= MAX_PARTS else _END, []).append(index)
        return parts

    def _leaf(self, name: str, layers: list[int], image: int) -> Branch:
        outputs, inputs, *spatial = self.shapes[layers[0]]
        return Branch(
            name,
            layers,
            # A layer of one input channel is most often depthwise: it takes as many as it gives.
            takes=outputs if inputs == 1 and outputs > 1 else inputs,
            gives=outputs,
            outputs=frozenset({outputs}),
            takes_image=inputs == image,
            is_transposed=self.transposed[layers[0]],
            is_column=len(spatial) == 2 and spatial[0] > 1 == spatial[1],
        )


def join(branch: Branch, ordered: Sequence[Branch]) -> None:
    """Give a branch the channels of its children, which run in this order."""
    outputs = frozenset().union(*(child.outputs for child in ordered))
    branch.takes, branch.gives = ordered[0].takes, ordered[-1].gives
    branch.outputs = outputs if len(outputs) <= MAX_OUTPUTS else frozenset({branch.gives})
    branch.takes_image = any(child.takes_image for child in ordered)
    branch.is_transposed = all(child.is_transposed for child in ordered)
    branch.is_column = len(ordered) == 1 and ordered[0].is_column


def series(branch: Branch) -> dict[str, dict[int, Branch]]:
    """The numbered runs among the children of a branch, as number to branch.

    A run is a child that holds numbered children, such as "blocks", or a family such as "block1",
    "block2".
    """
    families: dict[str, dict[int, Branch]] = {}
    runs: dict[str, dict[int, Branch]] = {}
    for name, child in sorted(branch.children.items()):
        word = child.word
        if word.number is not None and word.family:
            families.setdefault(word.family, {})[word.number] = child
        if word.family and child.is_numbered:
            runs[name] = {int(number): inner for number, inner in child.children.items()}
    return {label: run for label, run in (families | runs).items() if len(run) > 1}


def _counts(part: str) -> bool:
    """True if a component is a number, or the end of a name."""
    return part == _END or part.isdecimal()
