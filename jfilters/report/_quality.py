"""The health of layers for a terminal of 80 columns."""

import itertools

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import Quality
from ..questions.internal import Prunable, Share
from ..statistics import VERDICTS
from ._cells import LEGEND, count, number, plain_table, quantity, verdict, verdicts
from ._folding import folded_text

MOST_MODELS = 10
BAR = 20  # characters


def quality_text(quality: Quality, *, layers: bool = False) -> RenderableType:
    """Return verdicts, the share of degenerate layers along the axis, the strip, and what could be pruned.

    `layers`: every model and layer too, with the numbers behind its verdict.
    """
    parts: list[RenderableType] = [_verdicts(quality), "", _shares(quality)]
    if quality.strip:
        parts += ["", _strip(quality.strip)]
    parts += ["", _prunable(quality.prunable)]
    if layers:
        parts += ["", _layers(quality)]
    if quality.folded:
        parts.append(folded_text(quality.folded))
    return Group(*parts)


def _verdicts(quality: Quality) -> Text:
    text = Text(f"{quantity(len(quality.layers), 'layer')}: ")
    for i, (label, n) in enumerate(quality.verdicts.items()):
        text.append(", " if i else "").append(f"{count(n)} ").append_text(verdict(label))
    return text.append(f"\n{LEGEND}", "dim")


def _shares(quality: Quality) -> Table:
    table = plain_table()
    table.add_column(quality.by, overflow="fold", ratio=1)
    for heading in ("layers", "degenerate", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    for row in quality.shares:
        table.add_row(
            Text(row.label),
            count(row.layers),
            count(row.degenerate),
            f"{row.share:.0%}",
            _bar(row),
        )
    return table


def _bar(row: Share) -> Text:
    return Text("█" * round(BAR * row.share), "red")


def _strip(strip: dict[float, dict[str, int]]) -> Group:
    table = plain_table()
    table.add_column("verdict by epsilon", no_wrap=True)
    for eps in strip:
        table.add_column(f"{eps:g}", justify="right", no_wrap=True)
    for label in VERDICTS:
        if any(label in counts for counts in strip.values()):
            table.add_row(
                verdict(label), *(count(counts.get(label, 0)) for counts in strip.values())
            )
    return Group(
        table,
        Text("a kernel is sparse below epsilon times its layer's largest weight; the rule is 0.01"),
    )


def _prunable(models: list[Prunable]) -> RenderableType:
    if not models:
        return Text("no kernel is sparse: nothing to prune")
    table = plain_table()
    table.add_column("could be pruned", overflow="fold", ratio=1)
    for heading in ("sparse", "share", "channels", "share", "KB", "all KB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models[:MOST_MODELS]:
        name = f"{model.model}{'' if model.channels is None else _AGAIN}"
        table.add_row(Text(name), *_numbers([model]))
    if (hidden := len(models) - MOST_MODELS) > 0:
        table.add_row(f"and {quantity(hidden, 'more model')}: --format json has all")
    table.add_row(Text("all of these"), *_numbers(models))
    return Group(table, Text(_PRUNABLE))


_AGAIN = " *"
_PRUNABLE = (
    "share: kernels that could be zero, and those of whole output channels. A dense file saves "
    "the KB of removed channels alone; storage for sparse arrays saves all KB.\n"
    "*: read again, with BatchNorm folded in where there is one. Others: weights as stored; "
    "--fold-batchnorm reads them too"
)


def _numbers(models: list[Prunable]) -> tuple[str, ...]:
    kernels, sparse, size = (
        sum(getattr(model, name) for model in models) for name in ("kernels", "sparse", "bytes")
    )
    again = [model for model in models if model.channels is not None]
    if not again:
        return count(sparse), f"{sparse / kernels:.1%}", "-", "-", "-", _kilobytes(size)
    channels, in_channels, saved, of = (
        sum(getattr(model, name) or 0 for model in again)
        for name in ("channels", "channel_kernels", "channel_bytes", "kernels")
    )
    share = f"{in_channels / of:.1%}"
    shown = (count(channels), share, _kilobytes(saved), _kilobytes(size))
    return count(sparse), f"{sparse / kernels:.1%}", *shown


def _kilobytes(size: int) -> str:
    return count(round(size / 1000))


def _layers(quality: Quality) -> Table:
    """Every model with its numbers, and below it its layers."""
    table = plain_table()
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("kernels", justify="right")
    for heading in ("S", "H", "random", "O", "random"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", max_width=18)
    models = {row["model"]: row for row in quality.models}
    for model, layers in itertools.groupby(quality.layers, lambda row: row["model"]):
        table.add_row(Text(model, "bold"), *_row(models[model]))
        for row in layers:
            table.add_row(Text(f"  {row['layer']}"), *_row(row))
    return table


def _row(row: dict) -> tuple[str | Text, ...]:
    names = (
        "sparsity",
        "variance_entropy",
        "random_variance_entropy",
        "orthogonality",
        "random_orthogonality",
    )
    # Random weights of the size of a whole model mean nothing.
    numbers = (number(row[name], 2) if name in row else "" for name in names)
    label = verdicts(row["verdicts"]) if "verdicts" in row else verdict(row["verdict"])
    return count(row["n_kernels"]), *numbers, label
