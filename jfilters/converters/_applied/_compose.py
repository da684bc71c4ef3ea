"""From stored arrays to effective weights: the arrays of one module that belong together become one.

Every array stays in the list. A weight that is composed stands in the place of its main part, under the
name that it has without its parametrization; the other parts say in their reasons what they belong to.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .._stored import StoredArray
from ._adapters import adapted
from ._parametrized import hooked, parametrized
from ._scaled import scaled
from ._siblings import Composition, Siblings
from ._wrapped import wrapped_in_equinox, wrapped_in_flax

_RULES: tuple[Callable[[Siblings], Iterator[Composition]], ...] = (
    parametrized, hooked, wrapped_in_flax, wrapped_in_equinox, scaled, adapted,
)  # fmt: skip


_CUE = re.compile(
    r"parametrizations[./]|_(orig|bar|v|_data)$|[./](g|u|scale|_data)$|scales?[./]|'u'\)$"
    r"|\w_scale|scale_\w|(lora|hada|lokr|oft|boft|ia3|dora|vera|loha|glora)_",
    re.IGNORECASE | re.MULTILINE,
)
"""The names that some rule starts from: most checkpoints hold none."""


def compose(arrays: Sequence[StoredArray]) -> list[StoredArray]:
    """Return the arrays with effective weights in place of the parts that they are composed of."""
    if _CUE.search("\n".join(array.name for array in arrays)) is None:
        return list(arrays)
    siblings, composed = Siblings(arrays), list(arrays)
    used: set[int] = set()
    for rule in _RULES:
        for composition in rule(siblings):
            if used.isdisjoint(composition.parts) and not _is_done(arrays, composition):
                used.update(composition.parts)
                _replace(composed, composition)
    return composed


def _is_done(arrays: Sequence[StoredArray], composition: Composition) -> bool:
    """Return whether a graph told how these arrays become a weight: no name says more."""
    parts = [arrays[index] for index in composition.parts]
    return any(part.depth is not None for part in parts) or (parts[0].reason or "").startswith(
        "part of "
    )


def _replace(arrays: list[StoredArray], composition: Composition) -> None:
    main, *inputs = composition.parts
    weight = dataclasses.replace(arrays[main], name=composition.name)
    for index in inputs:
        how = f" ({composition.label})" if composition.formula else ""
        reason = arrays[index].reason or f"part of {composition.name}{how}"
        arrays[index] = dataclasses.replace(arrays[index], reason=reason)
    if composition.formula is None:
        reason = weight.reason or composition.label
        is_unreadable = (
            composition.is_unreadable and weight.reason is None and len(weight.shape) >= 3
        )
        arrays[main] = dataclasses.replace(weight, reason=reason, unread=is_unreadable)
        return
    readers = [arrays[index].read for index in composition.inputs]
    arrays[main] = dataclasses.replace(
        weight,
        read=functools.partial(_read, composition.formula, readers),
        applied=composition.applied,
        note=composition.note,
    )


def _read(formula: Callable[..., Any], readers: Sequence[Callable[[], Any]]) -> Any:
    # What overflows or is no number is counted downstream.
    with np.errstate(all="ignore"):
        return formula(*(reader() for reader in readers))
