"""Checkpoints by family for a terminal: each family with its comparisons, then those without kin."""

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare import Comparison
from ..errors import printable
from ..questions.internal import ComparedFamilies, ComparedFamily
from ._cells import quantity
from ._comparison import LEGEND, evidence, layer_tables, named_verdict
from ._leads import named
from ._named_table import Sentences

MOST_NAMES = 40
"""Checkpoints without kin that are named."""


def compared_text(compared: ComparedFamilies, *, layers: bool = False) -> RenderableType:
    """Return the families with the verdict on each pair of neighbors; with `layers` a row a layer too."""
    n = len(compared.families)
    head = f"{n or 'no'} {'family' if n == 1 else 'families'}"
    alone = f", {quantity(len(compared.strangers), 'checkpoint')} without kin"
    parts: list[RenderableType] = [Text(head + (alone if compared.strangers else ""), "bold")]
    for family in compared.families:
        parts += ["", *_family(family, layers=layers)]
    if compared.strangers:
        parts += ["", Sentences([f"no kin found: {', '.join(_names(compared.strangers))}"])]
    if compared.without_kernels:
        count = quantity(len(compared.without_kernels), "checkpoint")
        names = ", ".join(_names(compared.without_kernels))
        parts += ["", Sentences([f"{count} without 3x3 kernels, by which kin are found: {names}"])]
    if compared.pairs_left:
        parts += ["", Text(f"{quantity(compared.pairs_left, 'pair')} of kin not compared")]
    if layers and any(pair.layers for family in compared.families for pair in family.pairs):
        parts += ["", Text(LEGEND, "dim")]
    return Group(*parts)


def _family(family: ComparedFamily, *, layers: bool) -> list[RenderableType]:
    names = named([printable(name) for name in family.models])
    parts: list[RenderableType] = [
        Text(f"family of {len(family.models)}", "bold"),
        Sentences([names]),
    ]
    for pair in family.pairs:
        parts += _pair(pair, layers=layers)
    return parts


def _pair(pair: Comparison, *, layers: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [named_verdict(pair), *evidence(pair)]
    return [*parts, *layer_tables(pair)] if layers else parts


def _names(names: tuple[str, ...]) -> list[str]:
    more = [f"and {len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else []
    return [*map(printable, names[:MOST_NAMES]), *more]
