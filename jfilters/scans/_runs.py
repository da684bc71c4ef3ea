"""Runs of training among models: the names of the models that are steps of one run differ in the step
alone.

A step is meant by the folders of a checkpoint manager, by a counted word (step_500, epoch=3, ckpt-7), or by
a number of its own that rises. Seeds, folds, versions and sizes rise too, and are none.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ._step_names import bare_number, counted_step, is_series

LAYER_IDENTITY = ["model", "layer", "spatial", "out_channels", "n_kernels"]
"""Columns that tell the architecture of a model."""

Kind = Literal["manager", "word", "number", "pattern"]


@dataclass(frozen=True)
class Run:
    """Models whose names differ in a step alone.

    - `name`: with a star for the step, or what a pattern takes for the run.
    - `places`: the place of each model by its step, by rising step.
    - `kind`: what told the step: a checkpoint manager, a counted word, a number, or a pattern.
    - `members`: all places, with those of models that have a step of the run once more.
    """

    name: str
    places: dict[int, int]
    kind: Kind
    members: tuple[int, ...]


def runs_of(
    models: Sequence[str],
    steps: Sequence[int | None],
    families: Sequence[int] | None = None,
    architectures: Sequence[Hashable] | None = None,
    pattern: str | None = None,
) -> list[str | None]:
    """Return the run of each model, named with a star for the step; None for a model of no run.

    Names that differ in a number without a counted word are a run only if the models are of one family.

    Args:
        models: the names.
        steps: the step of each, of a checkpoint manager.
        families: a number for the family of each; None where they are unknown.
        architectures: equal for models of equal layers; None where they are unknown.
        pattern: what tells run and step, as `find_runs` takes it, in place of these rules.

    >>> runs_of(["epoch_1.pt", "epoch_2.pt", "seed0.pt", "seed1.pt"], [None] * 4, [0, 0, 1, 2])
    ['epoch_*.pt', 'epoch_*.pt', None, None]
    """
    runs: list[str | None] = [None] * len(models)
    for run in find_runs(models, steps, families, architectures, pattern):
        if run.kind != "number" or _are_kin(run, families):
            for place in run.members:
                runs[place] = run.name
    return runs


def find_runs(
    models: Sequence[str],
    steps: Sequence[int | None],
    families: Sequence[int] | None = None,
    architectures: Sequence[Hashable] | None = None,
    pattern: str | None = None,
) -> list[Run]:
    """Return the runs among models, each of two steps or more.

    Args:
        models: the names.
        steps: the step of each, of a checkpoint manager.
        families: a number for the family of each. Strangers with the numbers 0, 1, 2 are no run.
        architectures: equal for models of equal layers. Others are no steps of one run.
        pattern: a glob whose last star is the step, or a regular expression with a group `run` (or its
            first group) and a group `step` (or the last number outside the run); it replaces other rules.

    Raises:
        ValueError: the pattern is none.
    """
    groups: dict[tuple[str, Kind], list[tuple[int, int]]] = {}
    for place, named in enumerate(_named(models, steps, pattern)):
        if named is not None:
            name, step, kind = named
            groups.setdefault((name, kind), []).append((step, place))
    runs = []
    for (name, kind), members in groups.items():
        members = sorted(_of_one_architecture(members, architectures))
        places: dict[int, int] = {}
        for step, place in members:
            places.setdefault(step, place)
        run = Run(name, places, kind, tuple(place for _, place in members))
        if len(places) > 1 and (kind != "number" or is_series(list(places), _kin(run, families))):
            runs.append(run)
    return runs


def run_and_step(model: str, step: int | None) -> tuple[str, int | None]:
    """Return the name with a star for the step, and the step; None if there is no number in it."""
    if step is not None:
        head, _, tail = model.rpartition(str(step))
        return f"{head}*{tail}", step
    return counted_step(model) or bare_number(model) or (model, None)


def matcher(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern for runs, with groups `step` and maybe `run`.

    >>> matcher("net_s*_e*.pt").fullmatch("net_s1_e20.pt")["step"]
    '20'
    """
    if "(" not in pattern:
        head, star, tail = pattern.rpartition("*")
        if not star:
            raise ValueError(f"expected a star for the step or a group in the pattern {pattern!r}")
        inner = re.escape(head).replace(r"\*", ".*?")
        return re.compile(rf"{inner}(?P<step>\d+){re.escape(tail)}\Z")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"expected a glob or a regular expression, got {pattern!r}: {error}"
        ) from None


_Named = tuple[str, int, Kind]


def _named(
    models: Sequence[str], steps: Sequence[int | None], pattern: str | None
) -> Iterator[_Named | None]:
    """The run and the step of each model, and what told them."""
    expression = None if pattern is None else matcher(pattern)
    for model, step in zip(models, steps, strict=True):
        if expression is not None:
            yield _by_pattern(expression, model)
        elif step is not None:
            yield run_and_step(model, step)[0], step, "manager"
        elif (counted := counted_step(model)) is not None:
            yield *counted, "word"
        elif (bare := bare_number(model, alone=True)) is not None:
            yield *bare, "number"
        else:
            yield None


def _by_pattern(expression: re.Pattern[str], model: str) -> _Named | None:
    match = expression.search(model)
    if match is None:
        return None
    names = dict(expression.groupindex)
    others = [group for group in range(1, expression.groups + 1) if group != names.get("step")]
    run = names.get("run", others[0] if others else None)
    start, stop = match.span("step") if "step" in names else _last_number(model, match, run)
    if not model[start:stop].isdecimal():
        return None
    starred = f"{model[:start]}*{model[stop:]}"
    name = starred if run is None or match[run] is None else match[run]
    return name, int(model[start:stop]), "pattern"


def _last_number(model: str, match: re.Match[str], run: int | None) -> tuple[int, int]:
    """The span of the last number of a name outside the group of the run; an empty one without any."""
    first, last = match.span(run) if run is not None else (0, 0)
    numbers = [m.span() for m in re.finditer(r"\d+", model)]
    outside = [span for span in numbers if span[1] <= first or span[0] >= last]
    return outside[-1] if outside else (0, 0)


def _of_one_architecture(
    members: list[tuple[int, int]], architectures: Sequence[Hashable] | None
) -> list[tuple[int, int]]:
    """The members of the architecture that most of them have."""
    if architectures is None:
        return members
    of: dict[Hashable, list[tuple[int, int]]] = {}
    for step, place in members:
        of.setdefault(architectures[place], []).append((step, place))
    return max(of.values(), key=len)


def _kin(run: Run, families: Sequence[int] | None) -> bool | None:
    return None if families is None else _are_kin(run, families)


def _are_kin(run: Run, families: Sequence[int] | None) -> bool:
    return families is not None and len({families[place] for place in run.places.values()}) == 1


def architectures_of(layers: Mapping[str, Sequence[Hashable]]) -> dict[Hashable, Hashable]:
    """Return the layers of each model, which are equal for models of one architecture."""
    of: dict[Hashable, list[Hashable]] = {}
    for model, *layer in zip(*(layers[name] for name in LAYER_IDENTITY), strict=True):
        of.setdefault(model, []).append(tuple(layer))
    return {model: tuple(layer_list) for model, layer_list in of.items()}
