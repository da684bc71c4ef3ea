"""One checkpoint for a terminal: its layers with their quality, and every array that is no layer."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from ..engine import Inspection
from ..errors import printable, redacted
from ._cells import number, quantity, verdict
from ._named_table import Column, NamedTable

_PLAIN = "as stored"

_LEGEND = "H: variance entropy; T: its threshold for random kernels; orth: orthogonality"

SHOWN = 3
"""Layers of a note that are named."""

MOST_REASONS = 12
"""Reasons of skipped arrays that have a line."""


def inspection_text(inspection: Inspection, *, skipped: bool = False) -> RenderableType:
    """Return the convolution layers, what was assumed of them, and the skipped arrays by their reasons.

    With `skipped` every skipped array is listed.
    """
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
        parts += ["", _skipped(inspection) if skipped else _counted(inspection)]
    return Group(*parts)


def _layers(rows: list[dict]) -> Group:
    """Return a line a layer; what is the same for all is said below."""
    columns = {name: _column(name) for name in _COLUMNS}
    same = {
        name: values.pop() for name in ("size", "axes") if len(values := _texts(rows, name)) == 1
    }
    applied = {} if len(_applied(rows)) > 1 else {"applied": ""}
    names = [name for name in columns if name not in same | applied]
    cells = [(printable(_name(row)), [_cell(row, name) for name in names]) for row in rows]
    table = NamedTable(
        "layer",
        [columns[name] for name in names],
        cells,
        before=[str(row["depth"]) for row in rows],
    )
    notes = [
        *(f"{name} {value}" for name, value in same.items() if len(rows) > 1 or name == "axes")
    ]
    legend = "; ".join(
        [f"first column: depth by {rows[0]['depth_source']}", *notes, *_groups(rows), _LEGEND]
    )
    return Group(table, Text(legend, "dim"))


_COLUMNS = ("out x in", "size", "axes", "applied", "sparse", "H", "H/T", "orth", "verdict")
_NUMBERS = {
    "sparse": ("sparsity", 3),
    "H": ("variance_entropy", 3),
    "H/T": ("variance_entropy_ratio", 2),
    "orth": ("orthogonality", 2),
}


def _column(name: str) -> Column:
    is_text = name in ("size", "axes", "applied", "verdict")
    return Column(
        name, "left" if is_text else "right", optional=name in ("axes", "sparse", "H", "orth")
    )


def _texts(rows: list[dict], name: str) -> set[str]:
    return {_cell(row, name).plain for row in rows}


def _cell(row: dict, name: str) -> Text:
    if name in _NUMBERS:
        column, digits = _NUMBERS[name]
        return Text(number(row[column], digits))
    if name == "verdict":
        return verdict(row["verdict"])
    if name == "out x in":
        return Text(f"{row['out_channels']} x {_inputs(row)}")
    return Text(row["spatial"] if name == "size" else row[name])


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


def _counted(inspection: Inspection) -> Group:
    """Return a line a reason with the number of arrays; those that were not read come first."""
    counts = Counter((not array.unread, array.reason) for array in inspection.checkpoint.skipped)
    ranked = sorted(counts.items(), key=lambda item: (item[0][0], -item[1]))
    shown = ranked[:MOST_REASONS]
    lines = [Text("skipped arrays; --skipped lists them", "bold")]
    for (is_plain, reason), n in shown:
        mark = ("", "") if is_plain else ("not read: ", "bold yellow")
        lines.append(Text.assemble(f"{n:6,} ", mark, printable(reason)))
    if more := sum(n for _, n in ranked[MOST_REASONS:]):
        lines.append(Text(f"{more:6,} for further reasons"))
    return Group(*lines)


def _skipped(inspection: Inspection) -> NamedTable:
    columns = [
        Column("shape", "left"),
        Column("dtype", "left", optional=True),
        Column("reason", "left"),
    ]
    rows = []
    for array in inspection.checkpoint.skipped:
        shape = "x".join(map(str, array.shape)) or "scalar"
        mark = ("not read: ", "bold yellow") if array.unread else ""
        reason = Text.assemble(mark, printable(array.reason))
        rows.append((printable(array.name), [Text(shape), Text(array.dtype), reason]))
    return NamedTable("skipped array", columns, rows)
