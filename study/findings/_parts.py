"""The parts of the scan that the questions are about."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jfilters.scans import Scan

DESIGN = ("visual_category", "task", "architecture")
"""The axes that are crossed: two networks, with two of three seeds, for every combination."""


@dataclass(frozen=True)
class Parts:
    """A scan of the whole population, every step of every network, and of the zoo."""

    scan: Scan

    @cached_property
    def design(self) -> Scan:
        """All steps of the networks of the crossed design."""
        return self.scan.where("series == 'design'")

    @cached_property
    def trained(self) -> Scan:
        """Their last steps."""
        return self.design.where("stage == 'trained'")

    @cached_property
    def initial(self) -> Scan:
        """Their first steps: what they were before training."""
        return self.design.where("stage == 'initial'")

    @cached_property
    def ends(self) -> Scan:
        """First and last steps."""
        return self.design.where("stage != 'between'")

    @cached_property
    def zoo(self) -> Scan:
        """Real networks of others."""
        return self.scan.where("series == 'zoo'")

    @cached_property
    def beside_zoo(self) -> Scan:
        """The trained networks of the design and those of the zoo."""
        return self.scan.where("stage == 'trained' and (series == 'design' or series == 'zoo')")

    def series(self, axis: str) -> Scan:
        """Return the trained networks of the series along `width` or `train_size`, all else being equal."""
        same = (
            "stage == 'trained' and visual_category == 'digits' and task == 'classification' "
            "and architecture == 'plain' and framework == 'torch'"
        )
        fixed = {"width": "train_size == 1280", "train_size": "width == 16"}
        return self.scan.where(f"{same} and {fixed[axis]}")


def about_models(scan: Scan) -> dict[str, dict[str, Any]]:
    """Return the labels of every model: the row of one of its layers."""
    return {row["model"]: row for row in scan.layer_table.to_pylist()}
