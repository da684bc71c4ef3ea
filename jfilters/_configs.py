"""The folder of the TOML presets: beside the package in the source tree, inside it once installed."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def config_folder() -> Traversable:
    """The folder of the presets that ship with jfilters."""
    installed = resources.files("jfilters").joinpath("configs")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "configs"
