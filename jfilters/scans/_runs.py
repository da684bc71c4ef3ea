"""Runs of training among models: the names of the models that are steps of one run differ in the step
alone."""

import re
from collections.abc import Sequence

# "step=500", "epoch-3", "ckpt_7", "iter0100"; of several in a name the finest is the step.
_COUNTED = re.compile(
    r"(global_step|step|iteration|iter|checkpoint|ckpt|epoch|ep)([=_-]?)(\d+)", re.I
)
_METRIC = re.compile(r"(\w+=)-?\d+(?:\.\d+)?")  # "val_loss=0.12", as Lightning names files
_NUMBER = re.compile(r"\d+")
_COARSE = ("epoch", "ep")


def runs_of(
    models: Sequence[str], steps: Sequence[int | None], families: Sequence[int] | None = None
) -> list[str | None]:
    """Return the run of each model, named with a star for the step; None for a model of no run.

    A run has two steps or more: those of a checkpoint manager, or names with a counted word. Names that
    differ in a bare number are a run only if the models are of one family: of seeds they are strangers.

    Args:
        models: the names.
        steps: the step of each, of a checkpoint manager.
        families: a number for the family of each; None where they are unknown.

    >>> runs_of(["epoch_1.pt", "epoch_2.pt", "seed0.pt", "seed1.pt"], [None] * 4, [0, 0, 1, 2])
    ['epoch_*.pt', 'epoch_*.pt', None, None]
    """
    places: dict[tuple[str, bool], list[int]] = {}
    numbers = []
    for place, (model, step) in enumerate(zip(models, steps, strict=True)):
        run, number = run_and_step(model, step)
        numbers.append(number)
        if number is not None:
            places.setdefault((run, _is_counted(model, step)), []).append(place)
    runs: list[str | None] = [None] * len(numbers)
    for (run, is_counted), members in places.items():
        is_run = is_counted or _are_kin(members, families)
        if is_run and len({numbers[place] for place in members}) > 1:
            for place in members:
                runs[place] = run
    return runs


def run_and_step(model: str, step: int | None) -> tuple[str, int | None]:
    """Return the name with a star for the step, and the step; None if there is no number in it."""
    if step is not None:
        head, _, tail = model.rpartition(str(step))
        return f"{head}*{tail}", step
    matches = list(_COUNTED.finditer(model))
    if matches:
        finest = [match for match in matches if match[1].lower() not in _COARSE] or matches
        starred = _METRIC.sub(r"\1*", _COUNTED.sub(r"\1\2*", model))
        return starred, int(finest[-1][3])
    numbers = list(_NUMBER.finditer(model.rpartition("/")[2]))
    if not numbers:
        return model, None
    last, start = numbers[-1], len(model) - len(model.rpartition("/")[2])
    return f"{model[: start + last.start()]}*{model[start + last.end() :]}", int(last[0])


def _is_counted(model: str, step: int | None) -> bool:
    return step is not None or _COUNTED.search(model) is not None


def _are_kin(members: Sequence[int], families: Sequence[int] | None) -> bool:
    return families is not None and len({families[place] for place in members}) == 1
