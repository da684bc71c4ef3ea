"""Options from a TOML file: its keys are the long option names; options of the command line win."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values of a file the defaults of the options; an unknown key is a usage error."""
    if path is None:
        return None
    path = _preset(path)
    parameters = {
        option.removeprefix("--"): str(parameter.name)
        for parameter in context.command.params
        for option in parameter.opts
        if option.startswith("--") and parameter.name != "config"
    }
    values = _read(path)
    for key in values:
        if key not in parameters:
            raise typer.BadParameter(f"{path}: {_unknown(key, parameters)}")
    context.default_map = {parameters[key]: value for key, value in values.items()}
    return path


def _unknown(key: str, known: Iterable[str]) -> str:
    from jfilters.errors import did_you_mean

    return (
        f"unknown key {key[:80]!r}{did_you_mean(key, known)}; known are {', '.join(sorted(known))}"
    )


def preset_names() -> list[str]:
    """Return the names of the presets that ship with jfilters and hold options of a scan."""
    from jfilters._configs import config_folder

    files = sorted(file.name for file in config_folder().iterdir() if file.name.endswith(".toml"))
    return [name.removesuffix(".toml") for name in files if name not in _OTHER_FILES]


_OTHER_FILES = ("study.toml", "zoo.toml")
"""Files beside the presets that hold other things."""


def _preset(path: Path) -> Path:
    """Return the file of a preset that is named without a path, or the path itself."""
    if path.exists() or path.parent != Path(".") or path.suffix not in ("", ".toml"):
        return path
    from jfilters._configs import config_folder
    from jfilters.errors import did_you_mean, unknown_choice

    name = path.name.removesuffix(".toml")
    if name not in preset_names() and path.suffix and not did_you_mean(name, preset_names()):
        return path  # a file that is missing
    if name not in preset_names():
        raise typer.BadParameter(unknown_choice("a file or a preset", name, preset_names()))
    return Path(str(config_folder().joinpath(f"{name}.toml")))


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
