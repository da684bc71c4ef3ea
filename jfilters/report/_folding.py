"""Quality as stored and with every BatchNorm folded in, side by side, for a terminal of 80 columns."""

import itertools
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import FoldedScan
from ._cells import number, plain_table, quantity, verdict

_NUMBERS = ("sparsity", "variance_entropy", "orthogonality")


def folded_text(folded: FoldedScan) -> RenderableType:
    """Return two lines a layer with a BatchNorm, raw and folded, and the number of others by reason."""
    tied = [row for row in folded.layers if row["norm"] is not None]
    untied = [row for row in folded.layers if row["norm"] is None]
    head = f"{quantity(len(tied), 'layer')} of {len(folded.layers)} with a BatchNorm to fold in"
    parts: list[RenderableType] = ["", Text(head, "bold")]
    if tied:
        parts += ["", _tied(tied)]
    parts += ["", *map(Text, _reasons(untied))] if untied else []
    parts += [Text(f"{model}: not read again: {why}") for model, why in folded.unread.items()]
    return Group(*parts)


def _tied(rows: Iterable[dict]) -> Table:
    table = plain_table()
    table.add_column("layer, and its BatchNorm", overflow="fold", ratio=1)
    table.add_column("", no_wrap=True)
    for heading in ("S", "H", "O"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for model, layers in itertools.groupby(rows, lambda row: row["model"]):
        table.add_row(Text(model, "bold"))
        for row in layers:
            table.add_row(Text(row["layer"]), "raw", *_quality(row, ""))
            table.add_row(Text(f"  {row['norm']}", "dim"), "folded", *_quality(row, "_folded"))
    table.caption = "S: sparsity; H: variance entropy; O: orthogonality"
    table.caption_justify = "left"
    return table


def _quality(row: dict, suffix: str) -> list[RenderableType]:
    numbers = [number(row[f"{name}{suffix}"], 3) for name in _NUMBERS]
    return [*numbers, verdict(row[f"verdict{suffix}"])]


def _reasons(rows: Iterable[dict]) -> list[str]:
    """Return the number of layers of each model without a BatchNorm to fold in, with the reason."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["model"], row["untied"]
        counts[key] = counts.get(key, 0) + 1
    return [f"{model}: {quantity(n, 'layer')}: {why}" for (model, why), n in counts.items()]
