"""The neighbors of a checkpoint and the map of models, for a terminal of 80 columns."""

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import Neighborhood
from ._cells import plain_table

WIDTH, HEIGHT = 72, 20  # characters of the map
MOST_ON_MAP = 120  # models: of more the numbers do not fit


def nearest_text(found: Neighborhood, *, most: int, map: bool) -> RenderableType:
    """For every model asked about the `most` closest ones, and the map if it is asked for."""
    numbers = {name: i for i, name in enumerate(found.names, 1)}
    parts: list[RenderableType] = []
    for model, near in found.near.items():
        table = plain_table()
        table.add_column("", justify="right", no_wrap=True)
        table.add_column(f"closest to {model}", overflow="fold", ratio=1)
        for heading in ("D in nats", "null mean"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in near[:most]:
            number = str(numbers[one.model]) if map else ""
            table.add_row(number, Text(one.model), f"{one.drift:.4f}", f"{one.null_mean:.4f}")
        parts += [table, ""]
    parts += [Text(f"{model}: {reason}", "yellow") for model, reason in found.partial.items()]
    return Group(*parts, *(_map(found) if map else ()))


def _map(found: Neighborhood) -> list[RenderableType]:
    if len(found.names) > MOST_ON_MAP:
        return [Text(f"a map of {len(found.names)} models has no room here; --format json has it")]
    canvas = np.full((HEIGHT, WIDTH), " ", dtype="<U1")
    low, high = found.map.positions.min(axis=0), found.map.positions.max(axis=0)
    spans = np.where(high > low, high - low, 1)
    first_asked = len(found.names) - len(found.near) + 1
    # From the last on, so that what was asked about gets its place.
    for number, place in reversed(list(enumerate(found.map.positions, 1))):
        x, y = (place - low) / spans
        _put(canvas, f"[{number}]" if number >= first_asked else str(number), x, 1 - y)
    legend = "\n".join(f"{i} {name}" for i, name in enumerate(found.names, 1))
    share = f"a plane shows {found.map.share:.0%} of what keeps the models apart"
    lines = Text("\n".join("".join(row).rstrip() for row in canvas))
    return [lines, Text(f"{share}; [ ] what was asked about"), Text(legend, "dim")]


def _put(canvas: np.ndarray, label: str, x: float, y: float) -> None:
    """Write a label where it belongs, or at the nearest place where it touches no other one."""
    rows = np.arange(HEIGHT)[:, None] - y * (HEIGHT - 1)
    starts = np.arange(WIDTH - len(label) + 1)
    # A character is twice as high as wide.
    distance = np.abs(2 * rows) + np.abs(starts - x * (WIDTH - 1))[None]
    taken = np.pad(canvas != " ", ((0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(taken, len(label) + 2, axis=1)
    distance = np.where(windows.any(axis=2), np.inf, distance)
    row, start = np.unravel_index(distance.argmin(), distance.shape)
    canvas[row, start : start + len(label)] = list(label)
