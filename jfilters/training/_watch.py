"""Measurements of the convolution layers every so many steps of a training loop.

Everything is measured by one compiled program and fetched at once; between two measurements a call
costs a remainder. Of the start the histograms stay in memory, no weights.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

import jax
import numpy as np
from jaxtyping import Float, Int

from .._traced import check_computed, check_static
from ..shift import drift, drift_null, probability
from ..statistics import Basis, fixed_edges
from ._kernels_of import checked_spatial, kernels_of
from ._measurement import BINS, Measurement, checked_basis, measurement

Log = Callable[[int, dict[str, float]], Any]
Counts = Int[np.ndarray, "*layers d bins"]

_OF_A_LAYER = ("variance_entropy", "variance_entropy_ratio", "sparsity", "orthogonality")


def watch(
    *,
    every: int = 100,
    log: Log | None = None,
    start: Any = None,
    spatial: tuple[int, ...] = (3, 3),
    basis: Basis | None = None,
    prefix: str = "jfilters",
) -> "Watch":
    """Measure the convolution layers of a network every so many steps: `watcher(step, params)`.

    `params` are parameters, a module of Flax, Equinox or torch, a Keras model, or `Kernels`.

    **Arguments:**

    - `every`: steps between two measurements.
    - `log`: called as `log(step, values)` after each measurement.
    - `start`: parameters that drift is measured from; those of the first call unless given.
    - `spatial`: the kernel size to look at. Where a network has none of it, the error lists its sizes.
    - `basis`: of the coefficients whose drift is measured; that of `cosine_basis` unless given, which
      no data made, so that numbers compare over steps and runs.
    - `prefix`: the beginning of the names of the values.

    Raises ValueError for `every` below 1, and where `start` and `basis` do not fit.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> watcher = jf.watch(every=100)
    >>> params = {"conv": {"kernel": jnp.ones((3, 3, 8, 16)).at[0, 0].set(0.5)}}
    >>> values = watcher(0, params)
    >>> values["jfilters/drift"], watcher(1, params) is None
    (0.0, True)
    """
    watcher = Watch(every=every, log=log, spatial=spatial, basis=basis, prefix=prefix)
    if start is not None:
        watcher.begin(start)
    return watcher


class Watch:
    """Called once a step, it measures where that is due; made by `watch`.

    A measurement is a flat dict of numbers. For each layer: "jfilters/LAYER/variance_entropy", and so on
    with `variance_entropy_ratio` (to random kernels), `sparsity`, `orthogonality`, and `drift` of its
    normalized kernels from the start, in nats. For all layers together: "jfilters/drift",
    "jfilters/drift_since_last" (from the measurement before), "jfilters/drift_null_mean" (the mean that
    sampling alone makes at these sizes) and "jfilters/n_nonfinite".
    """

    def __init__(
        self,
        *,
        every: int,
        log: Log | None,
        spatial: tuple[int, ...],
        basis: Basis | None,
        prefix: str,
    ):
        check_static(every=every, spatial=spatial)
        if every < 1:
            raise ValueError(f"expected every to be at least 1 step, got {every}")
        self.every = every
        self._log, self._spatial, self._prefix = log, checked_spatial(spatial), prefix
        self._basis = checked_basis(basis, self._spatial)
        self._names: tuple[str, ...] | None = None
        self._start = self._last = np.zeros((0, 0, 0), np.int64)

    def __call__(self, step: SupportsIndex, params: Any) -> dict[str, float] | None:
        """Measure at the first call and at every multiple of `every`; None at other steps.

        `step` is counted on the host: one read from the device would wait for the device at every step.
        """
        if isinstance(step, jax.Array):
            raise ValueError(
                "expected step as a Python int, got a JAX array, which would be waited for at every "
                "step; count steps in the loop"
            )
        is_due = self._names is None or operator.index(step) % self.every == 0
        return self.measure(operator.index(step), params) if is_due else None

    def begin(self, params: Any) -> None:
        """Take `params` as the start, and forget what was measured before."""
        self._names = None
        self._take(self._measured(params))

    def measure(self, step: int, params: Any) -> dict[str, float]:
        """Measure now, whether or not it is due, and log the values.

        Raises ValueError inside jit (`measure_layers` is at home there), for parameters without such
        layers, and where the layers are not those of the start.
        """
        measured = self._measured(params)
        if self._names is None:
            self._take(measured)
        values = {f"{self._prefix}/{name}": x for name, x in self._values(measured)}
        self._last = _counts(measured)
        if self._log is not None:
            self._log(step, values)
        return values

    def _take(self, start: Measurement) -> None:
        self._names, self._start, self._last = start.names, _counts(start), _counts(start)

    def _measured(self, params: Any) -> Measurement:
        kernels = kernels_of(params, self._spatial)
        _check_layers(kernels.names, self._names)
        check_computed(
            kernels.weights,
            "a watched network",
            "call watch outside of jit, or measure_layers inside of it",
        )
        return jax.device_get(measurement(kernels, self._basis))

    def _values(self, measured: Measurement) -> Iterator[tuple[str, float]]:
        now = _counts(measured)
        drifts = self._drift(self._start, now)
        for index, name in enumerate(measured.names):
            for column in _OF_A_LAYER:
                yield f"{name}/{column}", float(getattr(measured, column)[index])
            yield f"{name}/drift", float(drifts[index])
        start, last, all_now = (counts.sum(axis=0) for counts in (self._start, self._last, now))
        yield "drift", float(self._drift(start, all_now))
        yield "drift_since_last", float(self._drift(last, all_now))
        null_mean = self._null_mean(start, all_now)
        yield "drift_null_mean", null_mean
        yield "n_nonfinite", float(measured.n_nonfinite.sum())

    def _drift(self, a: Counts, b: Counts) -> Float[np.ndarray, "*layers"]:
        edges = fixed_edges(a.shape[-2], BINS)
        p, q = (probability(counts, edges) for counts in (a, b))
        return np.asarray(drift(p, q, np.asarray(self._basis.variance_ratio, np.float64)))

    def _null_mean(self, a: Counts, b: Counts) -> float:
        n, m = (max(int(counts[0].sum()), 1) for counts in (a, b))
        edges, ratio = (
            fixed_edges(a.shape[-2], BINS),
            np.asarray(self._basis.variance_ratio, np.float64),
        )
        return drift_null(a + b, (n, m), ratio, edges).mean


def _counts(measured: Measurement) -> Counts:
    return np.asarray(measured.histogram, np.int64)


def _check_layers(names: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    if expected is not None and names != expected:
        other = sorted(set(names) ^ set(expected)) or "another order"
        raise ValueError(
            f"expected the layers of the start, which differ in {other}; make a new watch for another "
            "network"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"expected layers of distinct names, got {twice} more than once")
