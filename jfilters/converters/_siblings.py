"""The order of the parts of one branch: by place and number, mended where the channels contradict.

A part waits until another has made the channels that it takes. Where channels decide nothing, names do.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import chain, groupby, pairwise

from ._depth_names import component
from ._name_tree import Branch, Family

MAX_STEPS = 100_000
"""Comparisons within one branch; beyond them its parts run as their names say."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The input of a branch: the channels of the layer before it, and all those of its neighbor.

    `channels` are None where a branch is looked at by itself. `is_first` says that nothing ran before.
    """

    channels: int | None = None
    outputs: frozenset[int] = frozenset()
    is_first: bool = False


def set_places(branch: Branch) -> None:
    """Sort the children of a branch by place, and those of one place into families."""
    children = _sorted_children(branch)
    branch.places = [
        _families(branch, list(siblings))
        for _, siblings in groupby(children, key=lambda child: child.word.place)
    ]


def ordered(branch: Branch, context: Context) -> list[Branch]:
    """The children of a branch in the order in which they run."""
    result: list[Branch] = []
    for families in branch.places:
        result += _chained(families, context)
        context = Context(result[-1].gives, result[-1].outputs, context.is_first)
    if context.is_first:
        # The layer that takes the image runs first, whatever its name says.
        first = next((index for index, child in enumerate(result) if child.takes_image), 0)
        if result[first].word.family != result[0].word.family:
            result.insert(0, result.pop(first))
    return result


def _sorted_children(branch: Branch) -> list[Branch]:
    children = list(branch.children.values())
    if len(children) == 1:
        return children
    first = min(children, key=lambda child: child.word.key)
    runs = [child for child in children if child.is_numbered and child.name.endswith("s")][:2]

    def key(child: Branch) -> tuple:
        word = child.word
        early = word.downsamples and _feeds(child, first, runs)
        return word.place, not early, child.is_column and word.number is None, word.key

    return sorted(children, key=key)


def _feeds(child: Branch, first: Branch, runs: list[Branch]) -> bool:
    """True if a downsampling part comes before its siblings rather than behind them.

    In a stage it does, unless the blocks take what it takes; in a residual block it is the shortcut.
    """
    narrows = child.takes != child.gives
    if narrows and first is not child and first.takes == child.gives:
        return True
    return any(run is not child and not (narrows and run.takes == child.takes) for run in runs)


def _families(branch: Branch, children: list[Branch]) -> list[Family]:
    members: dict[str, list[Branch]] = {}
    for child in children:
        members.setdefault(child.word.family, []).append(child)
    families = [Family(branches, rank) for rank, branches in enumerate(members.values())]
    staged = [family for family in families if _is_staged(family)]
    for family in staged:
        family.rank, family.is_staged = staged[0].rank, True
    for label, family in zip(members, families, strict=True):
        first, last = family.branches[0], family.branches[-1]
        if first.gives < last.gives and component(label or branch.name).decodes:
            family.branches.reverse()
    return families


def _is_staged(family: Family) -> bool:
    return len(family.branches) > 1 and all(
        stage.word.number is not None and stage.word.family for stage in family.branches
    )


def _chained(families: Sequence[Family], context: Context) -> list[Branch]:
    """The parts of one place so that each takes what was made before."""
    queues = [_turned(family.branches, context.channels) for family in families]
    plain = list(chain.from_iterable(queues))
    # A branch that gives what it takes, as residual blocks do, is in order.
    closed = context.channels is None and plain[0].takes == plain[-1].gives
    if len(families) == 1 or closed or len(plain) * len(families) > MAX_STEPS:
        return plain
    return _Chain(families, queues, context).run()


def _turned(branches: list[Branch], channels: int | None) -> list[Branch]:
    """A family in reverse where only its last member takes the channels that come in."""
    if branches[-1].takes != channels or branches[0].takes == channels:
        return branches
    ahead = sum(a.gives == b.takes for a, b in pairwise(branches))
    back = sum(b.gives == a.takes for a, b in pairwise(branches))
    return branches[::-1] if back > ahead else branches


def _direction(branches: list[Branch]) -> int:
    """1 if the numbers of a family ascend, -1 if they descend."""
    return 1 if (branches[0].word.number or 0) <= (branches[-1].word.number or 0) else -1


class _Chain:
    """Families whose members are run one by one."""

    def __init__(
        self, families: Sequence[Family], queues: Sequence[list[Branch]], context: Context
    ):
        self.families = families
        self.queues = [branches[::-1] for branches in queues]
        self.directions = [_direction(branches) for branches in queues]
        self.outputs = [
            Counter(chain.from_iterable(branch.outputs for branch in branches))
            for branches in queues
        ]
        self.all_outputs = sum(self.outputs, Counter())
        self.pending = {id(branch) for branches in queues for branch in branches}
        self.context, self.channels = context, context.channels
        self.started: set[int] = set()

    def run(self) -> list[Branch]:
        return [self._next() for _ in range(len(self.pending))]

    def _next(self) -> Branch:
        indices = [index for index, queue in enumerate(self.queues) if queue]
        lowest = min(map(self._stage, indices))
        best = min(indices, key=lambda index: self._preference(index, lowest))
        branch = self.queues[best].pop()
        self.pending.discard(id(branch))
        self.outputs[best].subtract(branch.outputs)
        self.all_outputs.subtract(branch.outputs)
        self.channels = branch.gives
        self.started.add(self.families[best].rank)
        return branch

    def _stage(self, index: int) -> int:
        """The number of the next stage of a family, counted in its direction."""
        number = self.queues[index][-1].word.number or 0
        return number * self.directions[index] if self.families[index].is_staged else 0

    def _preference(self, index: int, lowest: int) -> tuple:
        branch, family, stage = self.queues[index][-1], self.families[index], self._stage(index)
        # A decoder's block opens with the layer that enlarges what comes in.
        opens = stage == lowest if family.is_staged else not self.started
        enlarges = branch.is_transposed and branch.takes == self.channels and opens
        is_new = family.rank not in self.started
        return self._waits(branch, index), not enlarges, is_new, family.rank, stage, index

    def _waits(self, branch: Branch, index: int) -> bool:
        """True if a part takes channels that only another family is still to make."""
        if branch.after is not None and id(branch.after) in self.pending:
            return True
        takes = branch.takes
        present = takes in (self.context.channels, self.channels) or takes in self.context.outputs
        return not present and self.all_outputs[takes] > self.outputs[index][takes]
