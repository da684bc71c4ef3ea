"""The networks that are trained: a balanced fraction of all combinations, and two series beside it.

Every combination of visual category, task and architecture is there, each with two of three seeds, the
one that is left out going round. Frameworks go round as well, so that no axis stands for another.
"""

import dataclasses
import itertools
import zlib
from collections.abc import Iterator

from ._settings import Settings

CATEGORIES = ("digits", "glyphs", "fractals", "textures", "photographs")
TASKS = ("classification", "denoising", "segmentation")
ARCHITECTURES = ("plain", "residual", "separable", "u-shaped")
FRAMEWORKS = ("linen", "nnx", "equinox", "torch")
TORCH_FORMATS = ("torch", "safetensors", "onnx")
FORMATS = {"linen": "orbax", "nnx": "orbax", "equinox": "equinox"}


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train. `series` is design, width or train-size; `format` is how it is written."""

    series: str
    visual_category: str
    task: str
    architecture: str
    seed: int
    framework: str
    format: str
    width: int
    train_size: int

    @property
    def name(self) -> str:
        """Its folder: unique in the study."""
        parts = [self.visual_category, self.task, self.architecture, f"s{self.seed}"]
        parts += [f"w{self.width}", f"n{self.train_size}", self.framework]
        return "-".join(parts)

    @property
    def entropy(self) -> int:
        """The seed of its first weights and of the order of its images: no two networks share them.

        Networks that did would be akin before they are trained, and no test that deals labels anew
        to networks would hold. Frameworks and formats have no part in it.
        """
        own = dataclasses.replace(self, series="", framework="", format="")
        return zlib.crc32(own.name.encode())


def design(settings: Settings) -> tuple[Run, ...]:
    """All runs, those of the design first; what a series has in common with it is not repeated."""
    runs = {run.name: run for run in _fraction(settings)}
    for run in _series(settings):
        runs.setdefault(run.name, run)
    return tuple(runs.values())


def _fraction(settings: Settings) -> Iterator[Run]:
    torch_runs = itertools.count()
    networks, train = settings.networks, settings.data.train
    axes = (range(len(CATEGORIES)), range(len(TASKS)), range(len(ARCHITECTURES)))
    for category, task, architecture in itertools.product(*axes):
        for turn in range(networks.seeds_per_cell):
            place = (category + task + architecture + turn) % len(networks.seeds)
            framework = FRAMEWORKS[_framework(category, task, architecture, turn)]
            form = FORMATS.get(framework) or TORCH_FORMATS[next(torch_runs) % len(TORCH_FORMATS)]
            yield Run(
                "design",
                CATEGORIES[category],
                TASKS[task],
                ARCHITECTURES[architecture],
                networks.seeds[place],
                framework,
                form,
                networks.width,
                train,
            )


def _framework(category: int, task: int, architecture: int, turn: int) -> int:
    """Of all rules of this kind one that is balanced against every axis; found by trying."""
    return (category + 2 * task + 2 * architecture + 3 * turn) % len(FRAMEWORKS)


def _series(settings: Settings) -> Iterator[Run]:
    plan, networks, train = settings.series, settings.networks, settings.data.train
    form = FORMATS.get(plan.framework, TORCH_FORMATS[0])
    sizes = [("width", width, train) for width in plan.widths]
    sizes += [("train-size", networks.width, size) for size in plan.train_sizes]
    for (series, width, size), seed in itertools.product(sizes, plan.seeds):
        yield Run(
            series,
            plan.category,
            plan.task,
            plan.architecture,
            seed,
            plan.framework,
            form,
            width,
            size,
        )
