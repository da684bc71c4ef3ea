"""The neighbors of a checkpoint and the map of models, for a terminal of 80 columns."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import Near, Neighborhood, NeighborLabels
from ._cells import count, plain_table
from ._standing import standings_text

WIDTH, HEIGHT = 72, 20  # characters of the map
MOST_ON_MAP = 120  # models: of more the numbers do not fit


SHOWN = 5  # kin by name that are not among the closest


def nearest_text(neighborhood: Neighborhood, *, most: int, map: bool) -> RenderableType:
    """Return the `most` closest models of every query, and with `map` the map of all."""
    numbers = {name: i for i, name in enumerate(neighborhood.names, 1)}
    parts: list[RenderableType] = []
    has_kin = any(x.kin is not None for near in neighborhood.near.values() for x in near[:most])
    for model, near in neighborhood.near.items():
        table = plain_table()
        table.add_column("", justify="right", no_wrap=True)
        table.add_column(f"closest to {model}", overflow="fold", ratio=1)
        for heading in ("D in nats", "null mean", "D0", *(["kin"] if has_kin else [])):
            table.add_column(heading, justify="right", no_wrap=True)
        for neighbor in near[:most]:
            number = str(numbers[neighbor.model]) if map else ""
            values = (neighbor.drift, neighbor.null_mean, neighbor.d0)
            numbers_shown = [f"{value:.4f}" for value in values]
            kin = [] if not has_kin else ["" if neighbor.kin is None else f"{neighbor.kin:.3f}"]
            table.add_row(number, Text(neighbor.model), *numbers_shown, *kin)
        parts += [table, ""]
        parts += _further_kin(near[most:])
    if has_kin:
        parts.append(Text(_KIN, "dim"))
    parts += [Text(line, "dim") for line in labels_lines(neighborhood.labels)]
    if neighborhood.standings is not None:
        parts += ["", standings_text(neighborhood.standings, most=LAYERS)]
    parts += [
        Text(f"{model}: {reason}", "yellow") for model, reason in neighborhood.partial.items()
    ]
    return Group(*parts, *(_map(neighborhood) if map else ()))


_KIN = (
    "kin: mean cosine of the kernels of models that have a common ancestor, 1 for equal ones; no number: "
    "no kin found"
)


def labels_lines(labels: Sequence[NeighborLabels]) -> list[str]:
    """Return what the nearest model tells of task and data, against size alone; nothing without labels."""
    if not labels:
        return []
    shares = "; ".join(
        f"{_AXES.get(x.axis, x.axis)}: {x.by_drift:.2f} by D, {x.by_size:.2f} by size alone (layers, "
        f"kernels, bytes), {x.by_chance:.2f} by the most common label"
        for x in labels
    )
    beaten = [_AXES.get(x.axis, x.axis) for x in labels if x.by_drift <= x.by_size]
    warning = (
        f"size alone is no worse than D for {' and '.join(beaten)}: take no label from a neighbor"
    )
    return [
        f"nearest models as classifiers, the share of families that are right, kin left out: {shares}",
        *([warning] if beaten else []),
    ]


_AXES = {"visual_category": "data"}

LAYERS = 5  # of a query, the most extreme ones; --layers shows all


def _further_kin(near: Sequence[Near]) -> Iterator[Text]:
    """Return a line on the kin of a query that are not among the closest."""
    kin = [model for model in near if model.kin is not None]
    if kin:
        farthest = ", ".join(f"{model.model} ({model.kin:.3f})" for model in kin[:SHOWN])
        more = f" and {count(len(kin) - SHOWN)} more" if len(kin) > SHOWN else ""
        yield Text(f"kin that are further away: {farthest}{more}\n")


def _map(neighborhood: Neighborhood) -> list[RenderableType]:
    if len(neighborhood.names) > MOST_ON_MAP:
        return [
            Text(
                f"a map of {len(neighborhood.names)} models has no room here; --format json has it"
            )
        ]
    canvas = np.full((HEIGHT, WIDTH), " ", dtype="<U1")
    low, high = neighborhood.map.positions.min(axis=0), neighborhood.map.positions.max(axis=0)
    spans = np.where(high > low, high - low, 1)
    first_query = len(neighborhood.names) - len(neighborhood.near) + 1
    # From the last on, so that the queries get their places.
    for number, place in reversed(list(enumerate(neighborhood.map.positions, 1))):
        x, y = (place - low) / spans
        _put(canvas, f"[{number}]" if number >= first_query else str(number), x, 1 - y)
    legend = "\n".join(f"{i} {name}" for i, name in enumerate(neighborhood.names, 1))
    share = f"the plane shows {neighborhood.map.share:.0%} of the spread of all models"
    lines = Text("\n".join("".join(row).rstrip() for row in canvas))
    return [lines, Text(f"{share}; [ ] the queries"), Text(legend, "dim")]


def _put(canvas: np.ndarray, label: str, x: float, y: float) -> None:
    """Write a label where it belongs, or at the nearest place where it touches no other one."""
    rows = np.arange(HEIGHT)[:, None] - y * (HEIGHT - 1)
    starts = np.arange(WIDTH - len(label) + 1)
    # A character is twice as high as wide.
    distance = np.abs(2 * rows) + np.abs(starts - x * (WIDTH - 1))[None]
    occupied = np.pad(canvas != " ", ((0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(occupied, len(label) + 2, axis=1)
    distance = np.where(windows.any(axis=2), np.inf, distance)
    row, start = np.unravel_index(distance.argmin(), distance.shape)
    canvas[row, start : start + len(label)] = list(label)
