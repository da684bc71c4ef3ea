"""Stages that are stored apart: all embeddings in one run of names, all blocks in another.

The network runs patch_embed1, block1, patch_embed2, block2; the channels give that away. Such runs are
joined number by number before the tree of names is put in order.
"""

from itertools import pairwise

from ._depth_names import component, is_embedding
from ._name_tree import Branch, series

MAX_RUNS = 32
"""Numbered runs beside each other that are compared."""

Run = dict[int, Branch]


def join_stages(branch: Branch) -> Branch | None:
    """Put runs that feed each other number by number together; the branch that is new, if any."""
    runs = series(branch)
    if not 2 <= len(runs) <= MAX_RUNS:
        return None
    for lead, run in runs.items():
        _set_order(branch, lead, runs)
        labels = [lead]
        for label in runs if _is_chain(run) else ():
            if not _is_apart(branch, label, labels):
                continue
            if component(label).decodes == component(lead).decodes and _follows(
                runs[label], run, lead
            ):
                labels.append(label)
        if len(labels) > 1:
            return _joined(branch, labels, runs)
    return None


def _is_apart(branch: Branch, label: str, labels: list[str]) -> bool:
    """True if a run shares no branch with others: "block1" of numbers is part of "block"."""
    families = {branch.children[name].word.family for name in labels if name in branch.children}
    family = branch.children[label].word.family if label in branch.children else label
    return not {label, family} & {*labels, *families}


def _follows(run: Run, lead: Run, label: str) -> bool:
    """True if each stage of a run takes what the one of the same number in another gives."""
    if len(run) < 2 or not run.keys() <= lead.keys() or _is_chain(run) or _is_chain(run, back=True):
        return False
    fitting = sum(run[number].takes == lead[number].gives for number in run)
    return is_embedding(label) or 2 * fitting > len(run)


def _is_chain(run: Run, back: bool = False) -> bool:
    """True if each stage of a run takes what the one before it gives, or the one behind it."""
    numbers = sorted(run, reverse=back)
    return all(run[a].gives == run[b].takes for a, b in pairwise(numbers))


def _set_order(branch: Branch, lead: str, runs: dict[str, Run]) -> None:
    """Note which children take, number by number, what another gives."""
    for label, run in runs.items():
        if label != lead and {label, lead} <= branch.children.keys() and _takes(run, runs[lead]):
            branch.children[label].after = branch.children[lead]


def _takes(run: Run, lead: Run) -> bool:
    shared = run.keys() & lead.keys()
    is_fed = all(run[number].takes == lead[number].gives for number in shared)
    # Equal widths throughout say nothing.
    return is_fed and len({lead[number].gives for number in shared}) > 1


def _joined(branch: Branch, labels: list[str], runs: dict[str, Run]) -> Branch:
    members = {id(stage) for label in labels for stage in runs[label].values()}
    stages = Branch(labels[1])
    for number in runs[labels[0]]:
        stage = stages.children[str(number)] = Branch(str(number))
        stage.children = {label: runs[label][number] for label in labels if number in runs[label]}
    for name, child in list(branch.children.items()):
        if id(child) in members or (name in labels and child.is_numbered):
            del branch.children[name]
    name = labels[1] if labels[1] not in branch.children else f"{labels[1]}\0"
    branch.children[name] = stages
    return stages
