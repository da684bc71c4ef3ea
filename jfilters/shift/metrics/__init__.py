"""All metrics by name. A new one is a file beside these that exports its record, and a line in METRICS.

A metric of histograms needs a function of two probability arrays, one of moments a function of two
`Moments`, one of samples a form or a solver; everything else follows from the record's class.
"""

from ._drift import DRIFT
from ._energy import ENERGY
from ._frechet import FRECHET
from ._hellinger import HELLINGER
from ._histogram_metric import HistogramMetric as HistogramMetric
from ._jensen_shannon import JENSEN_SHANNON
from ._kl import KL
from ._kl_reverse import KL_REVERSE
from ._metric import Metric as Metric
from ._metric import Space as Space
from ._metric import Statistic as Statistic
from ._metric import SummedMetric as SummedMetric
from ._mmd import MMD
from ._moment_metric import MomentMetric as MomentMetric
from ._sample_metric import SampleMetric as SampleMetric
from ._sinkhorn import SINKHORN
from ._sliced_wasserstein import SLICED_WASSERSTEIN
from ._total_variation import TOTAL_VARIATION
from ._wasserstein import WASSERSTEIN

METRICS: dict[str, HistogramMetric | MomentMetric | SampleMetric] = {
    metric.name: metric
    for metric in (
        DRIFT,
        KL,
        KL_REVERSE,
        JENSEN_SHANNON,
        TOTAL_VARIATION,
        HELLINGER,
        WASSERSTEIN,
        FRECHET,
        SLICED_WASSERSTEIN,
        ENERGY,
        MMD,
        SINKHORN,
    )
}
"""Every comparison by its name."""
