"""A study small enough to run in seconds: few images, few steps, narrow networks."""

import dataclasses
from pathlib import Path

from study._design import Run, design
from study._settings import Settings, read_settings

CONFIG = Path(__file__).parents[2] / "configs" / "study.toml"


def whole() -> Settings:
    """The study as it is run."""
    return read_settings(CONFIG)


def settings(**training) -> Settings:
    """The same with next to nothing to do, and floors that everything reaches."""
    told = whole()
    small = {"steps": 3, "batch": 4, "kept": (0.0, 1.0)} | training
    return dataclasses.replace(
        told,
        data=dataclasses.replace(told.data, train=12, test=10),
        training=dataclasses.replace(told.training, **small),
        networks=dataclasses.replace(told.networks, width=4),
        floors={task: dict.fromkeys(floors, -99.0) for task, floors in told.floors.items()},
    )


def run(**chosen) -> Run:
    """The first run of the tiny design that is like this."""
    found = design(settings())
    return next(r for r in found if chosen.items() <= dataclasses.asdict(r).items())
