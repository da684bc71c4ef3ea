"""The models whose lineage is asked, of one scan or of several: their sketches and facts side by side."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ...lineage import Networks
from ...lineage.internal import Sketches
from ...scans import Scan
from ...scans.internal import MOST_COMPARED, networks_of
from ._weights import Member, read_members


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """Some models.

    - `networks`: names, layers and sketches.
    - `sources`: for every model its scan, and its name there.
    - `updates`, `batchnorm`, `dtype`: of every model, as in the tables; None where unknown.
    """

    networks: Networks
    sources: Sequence[tuple[Scan, str]]
    updates: Sequence[int | None]
    batchnorm: Sequence[bool | None]
    dtype: Sequence[str | None]

    @classmethod
    def of(cls, scan: Scan) -> "Population":
        """Return the models of a scan. Raises ValueError for one without sketches."""
        networks = networks_of(scan) if scan.model_names else _NOBODY
        if networks is None:
            raise ValueError(
                f"{scan.name} has no sketches of its layers, as scans of an earlier version; "
                "scan the checkpoints again"
            )
        rows = {row["model"]: row for row in scan.model_table.to_pylist()}
        dtypes = dict(
            zip(
                scan.layer_table["model"].to_pylist(),
                scan.layer_table["dtype"].to_pylist(),
                strict=True,
            )
        )
        names = list(networks.names)
        return cls(
            networks,
            [(scan, name) for name in names],
            [rows[name].get("updates") for name in names],
            [rows[name].get("batchnorm") for name in names],
            [dtypes.get(name) for name in names],
        )

    def __len__(self) -> int:
        return len(self.networks)

    def check_size(self) -> None:
        """Raise ValueError for more models than are compared: memory grows with the square of their
        number."""
        if len(self) > MOST_COMPARED:
            raise ValueError(
                f"expected at most {MOST_COMPARED:,} models to compare, found {len(self):,}; narrow the "
                "question with a condition on the layers"
            )

    def __add__(self, other: "Population") -> "Population":
        """Return both, the names of the second told apart from those of the first."""
        first, second = self.networks, other.networks
        names = [*first.names]
        for name in second.names:
            number, shown = 2, name
            while shown in names:
                shown, number = f"{name} ({number})", number + 1
            names.append(shown)
        networks = Networks(
            names,
            [*first.layers, *second.layers],
            [*first.shapes, *second.shapes],
            np.concatenate([first.owner, second.owner + len(first)]),
            np.concatenate([first.sums, second.sums]),
            Sketches.concatenate([first.sketches, second.sketches]),
        )
        return Population(
            networks,
            [*self.sources, *other.sources],
            [*self.updates, *other.updates],
            [*self.batchnorm, *other.batchnorm],
            [*self.dtype, *other.dtype],
        )

    def members(self, models: Iterable[int]) -> dict[int, Member]:
        """Return those of some models whose weights can be read, by their places."""
        by_scan: dict[int, tuple[Scan, dict[str, int]]] = {}
        for model in models:
            scan, name = self.sources[model]
            by_scan.setdefault(id(scan), (scan, {}))[1][name] = model
        members: dict[int, Member] = {}
        for scan, places in by_scan.values():
            members |= {places[name]: x for name, x in read_members(scan, places).items()}
        return members


_NOBODY = Networks([], [], [], np.zeros(0, np.int64), np.zeros((0, 3)), Sketches.of_nothing())
