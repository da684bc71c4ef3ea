"""Two checkpoints beside each other, as records: matched layers with their numbers, and the verdict."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple, get_args

from ..shift import KernelSimilarity
from ..shift.internal import Difference, Grid
from ..statistics import LayerQuality
from ._blocks import Block
from ._caveats import RELATIVE
from ._deployment import Deployment
from ._deviation import Deviation
from ._factors import Scope
from ._kinship import Kinship, LayerKinship
from ._other_arrays import OtherArrays
from ._pairing import How, Unmatched
from ._transforms import Transform

Relationship = Literal[
    "identical",
    "kernels identical, other arrays differ",
    "re-saved",
    "re-saved, other arrays differ",
    "pruned by channels",
    "widened",
    "sub-network",
    "quantized",
    "pruned",
    "pruned and fine-tuned",
    "rescaled per channel",
    "related, transformed",
    "fine-tuned",
    "weakly alike",
    "partly kin",
    "trained apart",
    "unrelated",
]

RELATIONSHIPS: tuple[Relationship, ...] = get_args(Relationship)
"""Every verdict on a pair, closest first; a pair gets the first that its numbers allow."""


@dataclasses.dataclass(frozen=True)
class Side:
    """One checkpoint of a comparison.

    - `path`, `format`: its path without secrets, or its name, and the format that it was read as.
    - `n_layers`, `n_kernels`: its layers, and all their kernels.
    - `unread`: how many convolutions were read and why the others were not; None for a checkpoint that was
      read whole.
    - `in_memory`: whether it is a network in memory, which has no format of storage.
    """

    path: str
    format: str
    n_layers: int
    n_kernels: int
    unread: str | None = None
    in_memory: bool = False


class Storage(NamedTuple):
    """Form in which a layer is stored: axes, dtype, and how the weight follows from it."""

    axes: str
    dtype: str
    applied: str


@dataclasses.dataclass(frozen=True)
class Detail:
    """Numbers of a matched layer beside its verdict.

    - `drift`, `null_mean`: drift D between both layers and the mean of the null of sampling, in nats, in
      the one basis of the pair for this kernel size; None where none could be fitted.
    - `first`, `second`: the quality of both layers.
    """

    drift: float | None
    null_mean: float | None
    first: LayerQuality
    second: LayerQuality


@dataclasses.dataclass(frozen=True)
class MatchedLayer:
    """Two layers of one shape (out, in, *spatial), and how the second differs from the first.

    `reordered` says that the second was compared in another order of its channels. `rounding` names the
    storage type that explains every difference, and is "" where there is none; `rounding_beside_zeros` does
    so for the values that are zero in neither. `rescaling` is the share of the squared difference that
    stays when every kernel may be multiplied by a number, None without a difference; and `parallelism` the
    mean absolute cosine. Where rounding explains too little and the kernels are close, `grids` are looked
    for, and `change_rank` is the rank of the difference if that is low.

    Where one is a `block` of channels of the other, `wide` is the one with more, and all numbers are those
    of the block. `transform` was done to the second before it was compared. `factors` says for what there
    is one number each, where the kernels are those of the first times numbers. `deviation` says by how many
    steps of its type the coarser one is off from the other, folded; None where they are not alike.
    """

    first: str
    second: str
    shape: tuple[int, ...]
    how: How
    stored: tuple[Storage, Storage]
    reordered: bool
    difference: Difference
    similarity: KernelSimilarity
    kinship: LayerKinship
    rounding: str | None
    rescaling: float | None
    parallelism: float
    rounding_beside_zeros: str | None
    grids: tuple[Grid | None, Grid | None]
    change_rank: int | None = None
    detail: Detail | None = None
    transform: Transform | None = None
    block: Block | None = None
    wide: Literal[0, 1] = 0
    factors: Scope | None = None
    deviation: Deviation | None = None

    @property
    def n_kernels(self) -> int:
        """Kernels of either weight."""
        return self.shape[0] * self.shape[1]

    def record(self) -> dict[str, Any]:
        """Return the layer's row of the table for JSON; None where a number is undefined."""
        change, similarity, deviation = self.difference, self.similarity, self.deviation
        numbers = {
            "first": self.first,
            "second": self.second,
            "shape": list(self.shape),
            "matched_by": self.how,
            "reordered": self.reordered,
            "n_kernels": self.n_kernels,
            "changed": change.changed / change.n if change.n else 0.0,
            "relative_change": change.distance / change.norm if change.norm else None,
            "cosine": similarity.mean,
            "cosine_low": similarity.low,
            "cosine_null_mean": similarity.null_mean,
            "cosine_z": similarity.z,
            "kinship": self.kinship.cosine,
            "kinship_z": self.kinship.z,
            "rounding": self.rounding,
            "zeroed_first": change.zeroed_first,
            "zeroed_second": change.zeroed_second,
            "change_rank": self.change_rank,
            "transformation": self.transform.text if self.transform else None,
            "factors": self.factors,
            "folded": deviation.folded if deviation else None,
            "storage": deviation.storage if deviation else None,
            "deviation": deviation.steps if deviation else None,
            "block": None if self.block is None else self.block.record(self.wide),
        }
        return _defined(numbers | (_detail_record(self.detail) if self.detail else {}))


@dataclasses.dataclass(frozen=True)
class Relation:
    """Relationship of two checkpoints, and the sentences with numbers that give the reasons.

    - `label`: one of `RELATIONSHIPS`.
    - `reasons`: the sentences, those about the scope of the comparison first.
    - `source`: the checkpoint that the other was made from, 0 the first and 1 the second; None if unknown.
      Where a `caveat` says so, it may also be a relative of that checkpoint.
    - `caveat`: another history that explains the numbers as well, which is the last reason too; empty
      without one.
    """

    label: Relationship
    reasons: tuple[str, ...]
    source: Literal[0, 1] | None = None
    caveat: str = ""

    @property
    def may_be_relative(self) -> bool:
        """Return whether a relative of the source explains the numbers as well."""
        return self.caveat == RELATIVE


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of one pair of checkpoints.

    - `first`, `second`: both checkpoints, in the order in which they were handed over.
    - `relation`: their relationship and its reasons.
    - `kinship`: the numbers that say whether they are kin.
    - `layers`: the matched layers, in the order of the first checkpoint.
    - `unmatched`: the layers of either without a partner, each with the reason.
    - `deployment`: whether one is the other as it was trained: folded, rounded or quantized at most.
    - `other_arrays`: what else the files hold, compared where all kernels are equal; None elsewhere, and
      for a file and a network in memory.
    """

    first: Side
    second: Side
    relation: Relation
    kinship: Kinship
    layers: tuple[MatchedLayer, ...]
    unmatched: tuple[Unmatched, ...]
    deployment: Deployment
    other_arrays: OtherArrays | None = None

    def record(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {
            "first": self.first.path,
            "second": self.second.path,
            "verdict": self.relation.label,
            "source": self.relation.source,
            "reason": list(self.relation.reasons),
            "caveat": self.relation.caveat or None,
            "kinship": self.kinship.record(),
            "unread": {"first": self.first.unread, "second": self.second.unread},
            "deployment": self.deployment.record(),
            "layers": [layer.record() for layer in self.layers],
            "unmatched": [dataclasses.asdict(layer) for layer in self.unmatched],
            "other_arrays": self.other_arrays.record() if self.other_arrays else None,
        }


def _detail_record(detail: Detail) -> dict[str, Any]:
    record: dict[str, Any] = {"drift": detail.drift, "null_mean": detail.null_mean}
    for side, quality in (("first", detail.first), ("second", detail.second)):
        record |= {
            f"sparsity_{side}": quality.sparsity,
            f"variance_entropy_{side}": quality.variance_entropy,
            f"orthogonality_{side}": quality.orthogonality,
            f"verdict_{side}": quality.verdict.label,
        }
    return record


def _defined(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
