"""Settings of the study: configs/study.toml as frozen records; an unknown key is an error."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, TypeVar


@dataclasses.dataclass(frozen=True)
class Data:
    """The images: `train` and `test` of them, drawn from `seed`, `noise` to be removed in denoising."""

    seed: int
    train: int
    test: int
    noise: float


@dataclasses.dataclass(frozen=True)
class Training:
    """AdamW with a cosine to zero; `kept` are the shares of all steps at which weights are written."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    kept: tuple[float, ...]
    tries: int

    def kept_steps(self, attempt: int = 0) -> tuple[int, ...]:
        """The steps that are written; a second try has twice as many as the first, and so on."""
        total = self.total(attempt)
        return tuple(sorted({round(share * total) for share in self.kept}))

    def rate(self, attempt: int = 0) -> float:
        """The first learning rate of a try: a second one has half that of the first, and so on."""
        return self.learning_rate / 2**attempt

    def total(self, attempt: int = 0) -> int:
        """Steps of a try, counted from 0."""
        return self.steps << attempt


@dataclasses.dataclass(frozen=True)
class Networks:
    """The design: seeds of each cell, how many of them a cell has, and the width of all its networks."""

    seeds: tuple[int, ...]
    seeds_per_cell: int
    width: int


@dataclasses.dataclass(frozen=True)
class Series:
    """Runs beside the design: one network by width, and by the number of images it is trained on."""

    category: str
    task: str
    architecture: str
    framework: str
    seeds: tuple[int, ...]
    widths: tuple[int, ...]
    train_sizes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    """All of it; `floors` are by task and category."""

    data: Data
    training: Training
    networks: Networks
    series: Series
    floors: dict[str, dict[str, float]]


def read_settings(path: Path) -> Settings:
    """The settings in a TOML file.

    Raises ValueError naming the key that is missing or unknown.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    _check_keys(tables, Settings, f"{path}")
    kinds = {"data": Data, "training": Training, "networks": Networks, "series": Series}
    records = {
        name: _record(kind, tables[name], f"{path}: [{name}]") for name, kind in kinds.items()
    }
    return Settings(floors=tables["floors"], **records)


T = TypeVar("T")


def _record(kind: type[T], table: dict[str, Any], where: str) -> T:
    _check_keys(table, kind, where)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def _check_keys(table: dict[str, Any], kind: type, where: str):
    expected = {field.name for field in dataclasses.fields(kind)}
    if wrong := sorted(expected ^ table.keys()):
        raise ValueError(f"{where}: expected the keys {sorted(expected)}, differs in {wrong}")
