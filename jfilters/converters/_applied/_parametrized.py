"""torch's parametrizations, new and old: masks, weight norm, spectral norm, and those that are not known.

The new ones lie under `parametrizations.weight`, the originals first and the buffers of each step behind
them; the old hooks rename the weight itself. Source: torch.nn.utils.parametrize, torch.nn.utils.prune.
"""

import functools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...layers import Applied
from ._formulas import masked, scale_shape, spectral_norm, spectral_norm_of_u, weight_norm
from ._siblings import Composition, Place, Siblings

_ROOM = "parametrizations"
_ORIGINAL = re.compile(r"original\d?")
_WEIGHTS = ("weight", "kernel", "w")
_UNKNOWN = (
    "stored before its parametrization, which the file does not tell; save it with the parametrization "
    "removed"
)

_Step = tuple[Applied, str, Callable[..., Any], Sequence[int]]
"""What is applied after a step, the name of the step, its formula, and its inputs beside the weight."""


def parametrized(siblings: Siblings) -> Iterator[Composition]:
    """The weights of torch.nn.utils.parametrize."""
    tensors: dict[Place, dict[Place, int]] = {}
    for place, index in siblings.index.items():
        if _ROOM in place[2:-2]:
            at = place.index(_ROOM, 2) + 2
            tensors.setdefault(place[:at], {})[place[at:]] = index
    for place, members in tensors.items():
        if composition := _of_steps(siblings, place, members):
            yield composition


def _of_steps(siblings: Siblings, place: Place, members: dict[Place, int]) -> Composition | None:
    originals = [members[key] for key in sorted(members) if _ORIGINAL.fullmatch("/".join(key))]
    if not originals:
        return None
    main = originals[-1]
    name = siblings.renamed(main, 3, place[-1])
    parts = (main, *(index for index in members.values() if index != main))
    steps = _steps(siblings, originals, members)
    if not steps:
        return Composition(name, parts, _UNKNOWN, is_unreadable=True)
    applied, label, *_ = steps[-1]
    inputs = (main, *(index for *_, extra in steps for index in extra))
    formula = functools.partial(_in_turn, [(step, len(extra)) for *_, step, extra in steps])
    return Composition(name, parts, label, applied, inputs, formula)


def _steps(siblings: Siblings, originals: list[int], members: dict[Place, int]) -> list[_Step]:
    """The steps from the original to the weight; none if one of them is not known."""
    steps: list[_Step] = []
    scale, direction = siblings.shape(originals[0]), siblings.shape(originals[-1])
    if len(originals) == 2 and scale_shape(scale, direction) is not None:
        steps.append(("weight-norm", "weight norm", _normed, originals[:1]))
    elif len(originals) > 1:
        return []
    numbers = sorted({int(key[0]) for key in members if key[0].isdecimal()})
    for number in numbers:
        parts = {key[1:]: index for key, index in members.items() if key[0] == str(number)}
        step = _step(siblings, parts, siblings.shape(originals[-1]))
        if step is None:
            return []
        steps.append(step)
    return steps


def _step(siblings: Siblings, members: dict[Place, int], shape: tuple[int, ...]) -> _Step | None:
    match {"/".join(key): index for key, index in members.items()}:
        case {"mask": mask} if len(members) == 1 and _broadcasts(siblings.shape(mask), shape):
            return "masked", "mask", masked, (mask,)
        case {"_u": u, "_v": v} if len(members) == 2 and _fits_spectrum(siblings, shape, u, v):
            return "spectral-norm", "spectral norm", spectral_norm, (u, v)
    return None


def _in_turn(steps: list[tuple[Callable[..., Any], int]], weight: Any, *inputs: Any) -> Any:
    """Apply each step to what the one before gave, with as many of the inputs as it takes."""
    first = 0
    for step, count in steps:
        weight = step(weight, *inputs[first : first + count])
        first += count
    return weight


def hooked(siblings: Siblings) -> Iterator[Composition]:
    """The weights of torch.nn.utils.prune, weight_norm and spectral_norm of old, and of unknown hooks."""
    for ending in ("_orig", "_bar"):
        for members, stem in siblings.with_ending(ending):
            if composition := _of_original(siblings, members, stem, members[stem + ending]):
                yield composition
    for members, stem in siblings.with_ending("_v"):
        scale, direction = members.get(f"{stem}_g"), members[f"{stem}_v"]
        if scale is None or f"{stem}_orig" in members:
            continue
        if composition := _of_direction(siblings, members, stem, scale, direction):
            yield composition


def _of_original(
    siblings: Siblings, members: dict[str, int], stem: str, original: int
) -> Composition | None:
    """The weight of a hook that keeps the original, and a mask or singular vectors beside it."""
    shape = siblings.shape(original)
    beside = {
        end: members[f"{stem}_{end}"] for end in ("mask", "u", "v") if f"{stem}_{end}" in members
    }
    inputs = (original, *beside.values())
    composition = functools.partial(_plain, siblings, members, stem, inputs)
    match beside:
        case {"mask": mask} if len(beside) == 1 and _broadcasts(siblings.shape(mask), shape):
            return composition("mask", applied="masked", formula=masked)
        case {"u": u, "v": v} if len(beside) == 2 and _fits_spectrum(siblings, shape, u, v):
            return composition("spectral norm", applied="spectral-norm", formula=spectral_norm)
        case {"u": u} if len(beside) == 1 and math.prod(siblings.shape(u)) in shape[:2]:
            axis = shape.index(math.prod(siblings.shape(u)))
            formula = functools.partial(spectral_norm_of_u, axis=axis)
            return composition("spectral norm", applied="spectral-norm", formula=formula)
    return composition(_UNKNOWN, is_unreadable=True) if stem in _WEIGHTS else None


def _of_direction(
    siblings: Siblings, members: dict[str, int], stem: str, scale: int, direction: int
) -> Composition | None:
    composition = functools.partial(_plain, siblings, members, stem, (direction, scale))
    if scale_shape(siblings.shape(scale), siblings.shape(direction)) is not None:
        return composition("weight norm", applied="weight-norm", formula=_normed)
    return composition(_UNKNOWN, is_unreadable=True) if stem in _WEIGHTS else None


def _plain(
    siblings: Siblings,
    members: dict[str, int],
    stem: str,
    inputs: tuple[int, ...],
    label: str,
    **how: Any,
) -> Composition:
    """The composition under the plain name; a weight of that name is what a hook had left there earlier."""
    earlier = (members[stem],) if stem in members else ()
    name = siblings.renamed(inputs[0], 1, stem)
    return Composition(name, (*inputs, *earlier), label, inputs=inputs, **how)


def _normed(direction: Any, scale: Any) -> Any:
    return weight_norm(scale, direction)


def _broadcasts(mask: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(mask) == len(shape) and scale_shape(mask, shape) is not None


def _fits_spectrum(siblings: Siblings, shape: tuple[int, ...], u: int, v: int) -> bool:
    """Return whether u and v go with the rows along one of the two channel axes."""
    rows, columns = math.prod(siblings.shape(u)), math.prod(siblings.shape(v))
    return rows in shape[:2] and len(shape) > 1 and rows * columns == math.prod(shape)
