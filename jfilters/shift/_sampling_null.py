"""The sampling null: how large a number two samples of one histogram show."""

import numpy as np
from jaxtyping import Float, Num

from ._metric_functions import histogram_metric, histogram_space
from ._nulls import SamplingNull


def sampling_null(
    rng: np.random.Generator,
    name: str,
    pooled: Num[np.ndarray, "d bins"],
    sizes: tuple[float, float],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
    *,
    replicates: int = 200,
) -> SamplingNull:
    """Return a metric of histograms between samples of `sizes` kernels from the `pooled` histogram.

    A parametric bootstrap, one multinomial draw a component and replicate, by independent Poisson
    counts where kernels are many. Components are drawn independently, which leaves the mean as it
    is and narrows the spread a little where they depend on each other. For large sizes the mean of
    drift is `null_level`. Runs on the host.

    **Arguments:**

    - `name`: a name of `METRICS` that reads histograms.
    - `pooled`: the histogram that both samples are drawn from.
    - `sizes`: numbers of kernels of the two samples; fractions are effective sizes.
    - `replicates`: pairs of samples; the 95 % quantile of 200 is good to some percent.

    Raises ValueError for a name that is no metric of histograms.
    """
    space = histogram_space(variance_ratio, edges)
    metric = histogram_metric(name)
    return metric.sampling_null(rng, space, pooled.reshape(-1), sizes, replicates=replicates)
