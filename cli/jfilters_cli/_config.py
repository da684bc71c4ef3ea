"""Options from a TOML file: its keys are the long option names; options of the command line win."""

import math
from pathlib import Path
from typing import Any

import typer


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values of a file the defaults of the options; an unknown key is a usage error."""
    if path is None:
        return None
    parameters = {
        option.removeprefix("--"): str(parameter.name)
        for parameter in context.command.params
        for option in parameter.opts
        if option.startswith("--") and parameter.name != "config"
    }
    values = _read(path)
    for key in values:
        if key not in parameters:
            names = ", ".join(sorted(parameters))
            raise typer.BadParameter(f"{path}: unknown key {key[:80]!r}; known are {names}")
    context.default_map = {parameters[key]: value for key, value in values.items()}
    return path


def _read(path: Path) -> dict[str, Any]:
    from jfilters._bounds import read_toml

    try:
        return read_toml(path, "a file of options")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def spatial_shape(text: str) -> tuple[int, ...]:
    """Return the kernel size that "3x3", "7" or "3x3x3" means."""
    parts = text.split("x")
    extents = tuple(int(part) for part in parts if part.isdecimal())
    if len(extents) != len(parts) or not 1 <= len(extents) <= 3 or max(extents) < 2:
        raise typer.BadParameter(f"expected a kernel size such as 3x3, 5x5 or 7, got {text!r}")
    return extents


def range_of_histograms(text: str) -> str | tuple[float, float]:
    """Return the range that "fixed", "data" or "-3:3" means."""
    if text in ("fixed", "data"):
        return text
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high)
    except ValueError:
        bounds = 0.0, 0.0
    if not -math.inf < bounds[0] < bounds[1] < math.inf:
        raise typer.BadParameter(f"expected fixed, data or LOW:HIGH, such as -3:3, got {text!r}")
    return bounds
