"""The sampling null: the value of a metric between two samples of one histogram."""

import numpy as np
from jaxtyping import Float, Num

from .._traced import on_host
from ._metric_functions import histogram_metric, histogram_space
from ._nulls import SamplingNull
from ._redeal import DealtSets


@on_host("compute the null once, outside of the program, and compare jf.drift with it inside")
def sampling_null(
    rng: np.random.Generator,
    name: str,
    pooled: Num[np.ndarray, "d bins"],
    sizes: tuple[int, int] | tuple[float, float],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
    *,
    replicates: int = 200,
) -> SamplingNull:
    """Return a metric of histograms between two sets of `sizes` kernels that are dealt from one histogram.

    Kernels are dealt without replacement, component by component. Where the histogram holds fewer kernels
    than both sets, as many are drawn from it first. `drift_null` has the same for drift without drawing.
    Runs on the host.

    Args:
        rng: of the draws.
        name: a name of `METRICS` that reads histograms.
        pooled: the histogram of both sets together, in whole kernels.
        sizes: numbers of kernels of the two sets.
        variance_ratio: the weight of each component.
        edges: of the bins, in units of a coefficient.
        replicates: draws; the 95 % quantile of 200 is good to some percent.

    Raises:
        ValueError: for a name that is no metric of histograms.

    Source: derived for this project; docs/method.md, Sampling null.
    """
    space = histogram_space(variance_ratio, edges)
    metric = histogram_metric(name)
    sets = DealtSets(np.asarray(sizes, np.int64), np.array([True, False]), np.ones(2))
    return metric.sampling_null(rng, space, pooled.reshape(-1), sets, replicates=replicates)
