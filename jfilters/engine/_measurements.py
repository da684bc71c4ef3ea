"""The statistics of the layers of all checkpoints of a scan, before they become its tables and arrays."""

import dataclasses

import numpy as np
from jaxtyping import Float

from ..converters import Location
from ..lineage.internal import Sketches
from ..scans.internal import LayerStatistics
from ..statistics import Basis
from ._metadata import Unmatched
from ._options import Options
from ._plan import Entry
from ._sample import Sample


@dataclasses.dataclass(frozen=True, eq=False)
class Measurements:
    """The checkpoints that were read, the statistics of their layers in order, and the common basis.

    `basis` and `edges` are None when no kernels of the chosen shape vary; `ignored` are files that are no
    checkpoints, and `unmatched` says which metadata and models have nothing in common.
    """

    root: Location
    options: Options
    entries: tuple[Entry, ...]
    ignored: tuple[Location, ...]
    statistics: LayerStatistics
    sample: Sample
    sketches: Sketches
    basis: Basis | None
    edges: Float[np.ndarray, " edges"] | None
    unmatched: Unmatched = dataclasses.field(default_factory=Unmatched)
