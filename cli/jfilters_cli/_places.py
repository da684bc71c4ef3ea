"""Options and arguments that are places: paths here, or URLs; none of them becomes a folder named `gs:`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ._console import talk

if TYPE_CHECKING:
    from jfilters.converters import Location as Location
else:
    Location = str


class Place:
    """The parser of a path or a URL, which checks it when the command line is read.

    Args:
        writes: output goes there; else it is opened.
        file: a file may be there.
        folder: a folder may be there.
        url: it may be a URL.
    """

    def __init__(self, *, writes: bool, file: bool = True, folder: bool = True, url: bool = True):
        self._writes, self._file, self._folder, self._url = writes, file, folder, url
        self.__name__ = "PATH" if file and folder else "FILE" if file else "DIRECTORY"

    def __call__(self, value: Any) -> "Location":
        """Return the `Path` or the `UPath`; a place that cannot be used is an error of usage."""
        from jfilters._files import place, readable

        try:
            path = place(value) if self._writes else readable(value)
        except ValueError as error:
            # Not the options are wrong, but what they name or what is installed: one line says it.
            talk(f"error: {error}", style="red")
            raise SystemExit(2) from error
        if isinstance(path, Path):
            self._check(path)
        elif not self._url:
            raise typer.BadParameter(f"expected a path on this machine, got the URL {value}")
        return path

    def _check(self, path: Path) -> None:
        if not self._folder and path.is_dir():
            raise typer.BadParameter(f"{path} is a folder: name a file")
        if not self._file and path.is_file():
            raise typer.BadParameter(f"{path} is a file: name a folder")

    def option(self, *names: str, **options: Any) -> Any:
        """Return the option of a command whose value this parses."""
        merged: dict[str, Any] = {"metavar": self.__name__} | options
        return typer.Option(*names, parser=self, **merged)


to_file = Place(writes=True, folder=False).option
to_folder = Place(writes=True, file=False).option
to_local_folder = Place(writes=True, file=False, url=False).option
to_path = Place(writes=True).option
of_scan = Place(writes=False).option


def write_into(scan: "Location", name: str, write: "Callable[[Location], object]") -> None:
    """Write a file into the folder of a scan; do nothing for a bundle, or where that is not allowed."""
    from jfilters.converters.internal import is_folder

    if not is_folder(scan) or (isinstance(scan, Path) and not os.access(scan, os.W_OK)):
        return
    try:
        write(scan / name)
    except PermissionError:
        talk(f"{name} was not written: {scan} gives no permission", style="yellow")
        return
    talk(f"wrote {scan / name}")
