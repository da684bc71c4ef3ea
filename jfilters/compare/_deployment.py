"""The record of a deployed network beside the trained one: whether it is that, and how far it is off."""

from typing import Any, NamedTuple

from ._deviation import Deviation


class Off(NamedTuple):
    """A layer and its deviation, under the name that the deployed network has for it."""

    layer: str
    deviation: Deviation | None


class Deployment(NamedTuple):
    """The result: whether a network is the other one as it was trained, and why.

    - `is_same`: every layer has a partner, and storage explains its deviation.
    - `text`: the sentence.
    - `changes`: what was done to the weights, such as "folded" or "quantized to int8".
    - `worst`: the layer with the largest deviation of those that agree; None if all of them are bit-equal.
    - `differing`: the layers that storage does not explain, the furthest first.
    - `agreeing`: how many layers it explains.
    - `is_part`: it explains all layers of one network, and the other has more.
    - `is_coarse`: layers that differ are quantized, so that they have a distance in steps.
    """

    is_same: bool
    text: str
    changes: tuple[str, ...] = ()
    worst: Off | None = None
    differing: tuple[str, ...] = ()
    agreeing: int = 0
    is_part: bool = False
    is_coarse: bool = False

    def record(self) -> dict[str, Any]:
        """Return the result for JSON."""
        deviation = self.worst.deviation if self.worst else None
        return {
            "same_network": self.is_same,
            "text": self.text,
            "changes": list(self.changes),
            "largest_deviation": deviation.steps if deviation else None,
            "storage": deviation.storage if deviation else None,
            "layer": self.worst.layer if self.worst else None,
            "differing": list(self.differing),
        }
