"""One checkpoint for a terminal: its layers with their quality, and every array that is no layer."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..engine import Inspection
from ..errors import redacted
from ._cells import number, plain_table, quantity, verdict


def inspection_text(inspection: Inspection) -> RenderableType:
    """Two tables: the convolution layers, and the skipped arrays with their reasons."""
    checkpoint = inspection.checkpoint
    rows = inspection.layers.to_pylist()
    head = Text(redacted(str(checkpoint.path)), "bold").append(
        f" ({checkpoint.format}): {quantity(len(rows), 'layer')}, "
        f"{quantity(len(checkpoint.skipped), 'array')} skipped",
        "not bold",
    )
    parts: list[RenderableType] = [head]
    if rows:
        parts += ["", _layers(rows)]
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
    for heading in ("sparse", "H", "H/T", "orth"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for row in rows:
        kind = "dw" if row["depthwise"] else str(row["in_channels"])
        table.add_row(
            str(row["depth"]),
            Text(_name(row)),
            f"{row['out_channels']} x {kind}",
            row["spatial"],
            row["axes"],
            number(row["sparsity"], 3),
            number(row["variance_entropy"], 3),
            number(row["variance_entropy_ratio"], 2),
            number(row["orthogonality"], 2),
            verdict(row["verdict"]),
        )
    table.caption = (
        f"depth by {rows[0]['depth_source']}; dw: depthwise; H: variance entropy; T: its threshold "
        "for random kernels; orth: orthogonality"
    )
    table.caption_justify = "left"
    return table


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
        table.add_row(Text(array.name), shape, array.dtype, Text(array.reason))
    return table
