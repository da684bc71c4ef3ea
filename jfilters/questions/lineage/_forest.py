"""The forest of a scan: families of models that are kin, and the edges from parents to children."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from ...answers import Answer
from ...lineage.internal import Alarm


@dataclasses.dataclass(frozen=True)
class LayerChange:
    """Difference of one layer between the two ends of an edge.

    - `layer`, `other`: its names in the parent and in the child.
    - `n_kernels`: of the whole layer.
    - `frozen`: every weight is equal, bit for bit.
    - `changed`: share of the weights that differ; `relative_change`: length of the change, of that of the
      weights; `cosine`: mean cosine of the kernels. Large layers are sampled for them.
    - `drift`: D between both layers in nats, by the histograms of the scan.
    """

    layer: str
    other: str
    n_kernels: int
    frozen: bool
    changed: float
    relative_change: float | None
    cosine: float | None
    drift: float | None = None


@dataclasses.dataclass(frozen=True)
class LineageEdge:
    """One step of descent between two models.

    - `parent`, `child`: without `directed` their order says nothing.
    - `relation`: identical, re-saved, quantized, pruned, rescaled, transformed, soup (one part
      of an average), fine-tuned, sub-network, common ancestor, or unknown where it needs weights that
      were not read.
    - `cue`: what decided about the direction; empty without one.
    - `evidence`: one line of numbers.
    - `cosine`, `z`: of all matched layers, by their sketches.
    - `layers`: what changed, layer by layer; empty without weights.
    """

    parent: str
    child: str
    relation: str
    directed: bool
    cue: str
    evidence: str
    cosine: float
    z: float
    layers: tuple[LayerChange, ...] = ()

    @property
    def frozen(self) -> int:
        """Layers that are equal in both, bit for bit."""
        return sum(layer.frozen for layer in self.layers)

    def with_layers(self, layers: tuple[LayerChange, ...]) -> "LineageEdge":
        """Return the same edge with what changed layer by layer."""
        return dataclasses.replace(self, layers=layers)

    def with_evidence(self, phrase: str) -> "LineageEdge":
        """Return the same edge with a further phrase of evidence."""
        evidence = f"{self.evidence}; {phrase}" if self.evidence else phrase
        return dataclasses.replace(self, evidence=evidence)

    def record(self) -> dict[str, Any]:
        """Return the edge for JSON, with its layers."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are kin, in the order of the scan, and their weakest link: its cosine and z.

    The cosine is None where the link rests on shared kernels, equal sums or weights alone.
    """

    models: tuple[str, ...]
    cosine: float | None
    z: float | None


@dataclasses.dataclass(frozen=True)
class Forest(Answer):
    """Families of the models of a scan, and who came from whom.

    - `families`: those of two and more models, the largest first.
    - `strangers`: models without kin.
    - `incomparable`: those of them that share no shape of a layer with any other model.
    - `edges`: those of all families; an average has one edge from each part.
    - `alarm`: pairs that were tested, the z from which they are kin, and the chance of any false link.
    - `smallest`: the smallest cosine that two networks of median size would have been called kin for.
    - `unread`: models in families whose weights were not read, so that relations are unknown.
    - `notes`: sentences on what was not looked for, and on the registry where it was.
    """

    families: tuple[Family, ...]
    strangers: tuple[str, ...]
    incomparable: tuple[str, ...]
    edges: tuple[LineageEdge, ...]
    alarm: Alarm
    smallest: float | None
    unread: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return families as lists of names, single models included, edges, and the alarm."""
        return {
            "families": [list(family.models) for family in self.families]
            + [[name] for name in self.strangers],
            "edges": [edge.record() for edge in self.edges],
            "weakest": [{"cosine": family.cosine, "z": family.z} for family in self.families],
            "alarm": self.alarm._asdict(),
            "smallest_cosine": self.smallest,
            "incomparable": list(self.incomparable),
            "unread": list(self.unread),
            "notes": list(self.notes),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row an edge."""
        for edge in self.edges:
            row = edge.record()
            layers = row.pop("layers")
            yield row | {"layers": len(layers), "frozen": edge.frozen}

    def by_layer(self) -> "LayerChanges":
        """Return one row a layer of every edge: what moved, and what was frozen."""
        return LayerChanges(self.edges)

    def of_family(self, family: Family) -> list[LineageEdge]:
        """Return the edges of one family."""
        models = set(family.models)
        return [edge for edge in self.edges if edge.parent in models]


@dataclasses.dataclass(frozen=True)
class LayerChanges(Answer):
    """What changed on every edge of a forest, layer by layer."""

    edges: Sequence[LineageEdge]

    def record(self) -> list[dict[str, Any]]:
        """Return one record a layer of an edge."""
        return list(self.rows())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a layer of an edge."""
        for edge in self.edges:
            for layer in edge.layers:
                yield {
                    "parent": edge.parent,
                    "child": edge.child,
                    "relation": edge.relation,
                    **dataclasses.asdict(layer),
                }
