"""One checkpoint for a terminal: its layers with their quality, and every array that is no layer."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..engine import Inspection
from ..errors import printable, redacted
from ._cells import number, plain_table, quantity, verdict

_PLAIN = "as stored"

_LEGEND = "H: variance entropy; T: its threshold for random kernels; orth: orthogonality"

SHOWN = 3
"""Layers of a note that are named."""


def inspection_text(inspection: Inspection) -> RenderableType:
    """The convolution layers and what was assumed of them, and the skipped arrays with their reasons."""
    checkpoint = inspection.checkpoint
    rows = inspection.layers.to_pylist()
    head = Text(redacted(str(checkpoint.path)), "bold").append(
        f" ({checkpoint.format}): {quantity(len(rows), 'layer')}, "
        f"{quantity(len(checkpoint.skipped), 'array')} skipped",
        "not bold",
    )
    parts: list[RenderableType] = [head]
    if (unread := checkpoint.shortfall) is not None:
        parts.append(Text(unread, "bold yellow"))
    networks = dict.fromkeys(row["network"] for row in rows if row["network"])
    if networks:
        parts.append(Text(f"read from {', '.join(map(printable, networks))}"))
    applied = _applied(rows)
    if len(applied) == 1 and applied != {_PLAIN}:
        parts.append(Text(f"effective weights: all {applied.pop()}"))
    if rows:
        parts += ["", _layers(rows), *_notes(rows)]
    if checkpoint.skipped:
        parts += ["", _skipped(inspection)]
    return Group(*parts)


def _layers(rows: list[dict]) -> Table:
    table = plain_table()
    table.add_column("depth", justify="right", overflow="fold")
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("out x in", justify="right", overflow="fold")
    table.add_column("size", overflow="fold")
    table.add_column("axes", overflow="fold")
    is_mixed = len(_applied(rows)) > 1
    if is_mixed:
        table.add_column("applied", overflow="fold")
    for heading in ("sparse", "H", "H/T", "orth"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for row in rows:
        table.add_row(
            str(row["depth"]),
            Text(_name(row)),
            f"{row['out_channels']} x {_inputs(row)}",
            row["spatial"],
            row["axes"],
            *([row["applied"]] if is_mixed else []),
            number(row["sparsity"], 3),
            number(row["variance_entropy"], 3),
            number(row["variance_entropy_ratio"], 2),
            number(row["orthogonality"], 2),
            verdict(row["verdict"]),
        )
    table.caption = "; ".join([f"depth by {rows[0]['depth_source']}", *_groups(rows), _LEGEND])
    table.caption_justify = "left"
    return table


def _applied(rows: list[dict]) -> set[str]:
    """Return the ways in which effective weights are made of stored ones."""
    return {row["applied"] for row in rows}


def _inputs(row: dict) -> str:
    """The input channels, and the groups where there are several."""
    if row["depthwise"]:
        return "dw"
    if row["groups"] is None:
        return f"{row['n_kernels'] // row['out_channels']}*?"
    return f"{row['in_channels']}" + (f"/{row['groups']}" if row["groups"] > 1 else "")


def _groups(rows: list[dict]) -> list[str]:
    """Explanations of the table's abbreviations for groups."""
    groups = [row["groups"] for row in rows]
    is_grouped = any(
        n is not None and n > 1 and not row["depthwise"]
        for n, row in zip(groups, rows, strict=True)
    )
    return [
        "dw: depthwise",
        *(["/n: in n groups"] if is_grouped else []),
        *(["*?: times the groups, which the file does not tell"] if None in groups else []),
    ]


def _notes(rows: list[dict]) -> list[Text]:
    """A line for every note, with the layers that it is about."""
    layers: dict[str, list[str]] = {}
    for row in rows:
        if row["note"]:
            layers.setdefault(row["note"], []).append(_name(row))
    return [Text(f"{_listed(names)}: {printable(note)}") for note, names in layers.items()]


def _listed(names: list[str]) -> str:
    hidden = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + hidden


def _name(row: dict) -> str:
    """The name of a layer, after that of its network where the checkpoint is a population."""
    member = row["model"].partition("/")[2]
    return f"{member}/{row['layer']}" if member else row["layer"]


def _skipped(inspection: Inspection) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("skipped array", overflow="fold", ratio=1)
    table.add_column("shape", overflow="fold")
    table.add_column("dtype", overflow="fold")
    table.add_column("reason", overflow="fold")
    for array in inspection.checkpoint.skipped:
        shape = "x".join(map(str, array.shape)) or "scalar"
        reason = Text.assemble(("not read: ", "bold yellow"), array.reason)
        table.add_row(
            Text(array.name), shape, array.dtype, reason if array.unread else Text(array.reason)
        )
    return table
