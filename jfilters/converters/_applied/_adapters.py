"""Low-rank adapters beside the weights that they adapt: merged where the file tells their scale.

PEFT keeps the scale in another file, so that its weights stay as they are, with a note. An adapter by
itself is no layer. Sources: the state dicts of peft, loralib and LyCORIS.
"""

import math
import re
from collections.abc import Iterator

from ._formulas import merged
from ._siblings import Composition, Place, Siblings

_ADAPTER = re.compile(r"(lora|hada|lokr|oft|boft|ia3|dora|vera|loha|glora)_\w+", re.IGNORECASE)
_WRAPPERS = ("base_layer", "org_module", "original_layer", "original_module")
_BASES = (
    *((wrapper, own) for wrapper in _WRAPPERS for own in ("weight", "kernel")),
    *(("weight",), ("kernel",), ("conv", "weight"), ("linear", "weight")),
)
_DOWN, _UP, _MIDDLE = ("lora_down", "lora_A"), ("lora_up", "lora_B"), ("lora_mid",)
_NOTE = "a low-rank adapter beside it is not merged: the file does not tell its scale"
_ALONE = "an adapter, which is no layer without its base"


def adapted(siblings: Siblings) -> Iterator[Composition]:
    """The weights that have an adapter beside them, and adapters that have none to adapt."""
    adapters: dict[Place, list[int]] = {}
    for place, index in siblings.index.items():
        at = next((i for i, part in enumerate(place) if i > 1 and _ADAPTER.fullmatch(part)), None)
        if at is not None:
            adapters.setdefault(place[:at], []).append(index)
    for module, tensors in adapters.items():
        yield from _of_module(siblings, module, tensors)


def _of_module(siblings: Siblings, module: Place, tensors: list[int]) -> Iterator[Composition]:
    base = next((base for base in _BASES if (*module, *base) in siblings.index), None)
    if base is None:
        for index in tensors:
            yield Composition(siblings.arrays[index].name, (index,), _ALONE)
        return
    weight = siblings.index[(*module, *base)]
    name = siblings.arrays[weight].name
    name = siblings.renamed(weight, len(base), base[-1]) if base[0] in _WRAPPERS else name
    alpha = siblings.index.get((*module, "alpha"))
    parts = (weight, *tensors, *([] if alpha is None else [alpha]))
    low_rank = _low_rank(siblings, module, tensors)
    if alpha is None or low_rank is None or not _fits(siblings, weight, *low_rank):
        yield Composition(name, parts, "adapter", note=_NOTE, inputs=(weight,), formula=_itself)
        return
    down, up, middle = low_rank
    inputs = (weight, down, up, alpha, *([] if middle is None else [middle]))
    yield Composition(name, parts, "adapter", "merged", inputs, merged)


def _itself(weight):
    return weight


def _low_rank(
    siblings: Siblings, module: Place, tensors: list[int]
) -> tuple[int, int, int | None] | None:
    """The matrices down and up, and the one between them; None unless there is one pair."""
    roles: dict[str, list[int]] = {}
    for index in tensors:
        roles.setdefault(siblings.place(index)[len(module)], []).append(index)
    down, up, middle = (
        [index for role in names for index in roles.get(role, [])]
        for names in (_DOWN, _UP, _MIDDLE)
    )
    if len(down) != 1 or len(up) != 1 or len(tensors) != 2 + len(middle):
        return None
    return down[0], up[0], middle[0] if middle else None


def _fits(siblings: Siblings, weight: int, down: int, up: int, middle: int | None) -> bool:
    shape, a, b = (siblings.shape(index) for index in (weight, down, up))
    if min(len(a), len(b)) < 2 or math.prod(b) != b[0] * a[0] or b[0] != shape[0]:
        return False
    if middle is None:
        return math.prod(a[1:]) == math.prod(shape[1:])
    inner = siblings.shape(middle)
    return math.prod(a) == a[0] * shape[1] and inner == (a[0], a[0], *shape[2:])
