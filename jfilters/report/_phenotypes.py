"""Phenotypes of groups for a terminal: a label a group, and the features that decide it."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import PhenotypeRow, Phenotypes
from ..statistics import PHENOTYPES
from ._cells import count, number, plain_table, quantity

_STYLES = {"sun": "green", "spikes": "yellow", "symbols": "yellow", "point": "red"}
_FEATURES = ("near_zero", "in_spots", "off_center", "not_gaussian", "spread")


def phenotypes_text(phenotypes: Phenotypes) -> RenderableType:
    """Return the number of groups of each phenotype, and one row a group."""
    parts: list[RenderableType] = [_totals(phenotypes), "", _table(phenotypes)]
    if phenotypes.unknown:
        parts.append(
            Text(f"{quantity(phenotypes.unknown, 'layer')} without a {phenotypes.by}: in no group")
        )
    return Group(*parts)


def _totals(phenotypes: Phenotypes) -> Text:
    labels = [row.phenotype.label for row in phenotypes.groups if row.phenotype]
    text = Text(f"{quantity(len(phenotypes.groups), 'group')} by {phenotypes.by}: ")
    counts = [(f"{count(labels.count(label))} {label}", _STYLES[label]) for label in PHENOTYPES]
    counts.append((f"{count(len(phenotypes.groups) - len(labels))} of too few kernels", "dim"))
    for i, part in enumerate(counts):
        text.append(", " if i else "").append(*part)
    return text


def _table(phenotypes: Phenotypes) -> Table:
    table = plain_table()
    table.add_column(phenotypes.by, overflow="fold", ratio=1)
    for heading in ("kernels", "near 0", "spots", "off", "shape", "spread"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("phenotype", no_wrap=True)
    for row in phenotypes.groups:
        table.add_row(Text(row.label), count(row.kernels), *_features(row), _label(row))
    table.caption = (
        "kernels: sampled; near 0, spots: share of them near 0 and in the eight fullest spots; off: "
        "distance of the mean from 0 in spreads; shape: Kolmogorov distance from a Gaussian"
    )
    table.caption_justify = "left"
    return table


def _features(row: PhenotypeRow) -> list[str]:
    if row.phenotype is None:
        return ["-"] * len(_FEATURES)
    return [number(getattr(row.phenotype.features, name), 2) for name in _FEATURES]


def _label(row: PhenotypeRow) -> Text:
    if row.phenotype is None:
        return Text("too few", "dim")
    return Text(row.phenotype.label, _STYLES[row.phenotype.label])
