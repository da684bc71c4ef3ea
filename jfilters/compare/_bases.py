"""The basis of a pair of networks for each kernel size, in which the drift of their layers is measured."""

from ..statistics import Basis, Moments, fit_basis, merge_moments

Spatial = tuple[int, ...]


class Bases:
    """The one basis of the pair for each kernel size: of the matched kernels of both networks."""

    def __init__(self) -> None:
        self._moments: dict[Spatial, Moments] = {}
        self._fitted: dict[Spatial, Basis | None] = {}

    def add(self, spatial: Spatial, moments: Moments) -> None:
        """Add the moments of a pair of layers of this kernel size."""
        sums = self._moments.get(spatial)
        self._moments[spatial] = moments if sums is None else merge_moments(sums, moments)

    def __getitem__(self, spatial: Spatial) -> Basis | None:
        """The basis; None where the kernels are too few or do not vary."""
        if spatial not in self._fitted:
            try:
                self._fitted[spatial] = fit_basis(self._moments[spatial])
            except ValueError:
                self._fitted[spatial] = None
        return self._fitted[spatial]
