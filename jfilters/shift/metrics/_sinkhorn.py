"""Sinkhorn divergence: smoothed optimal transport."""

from .._sinkhorn import sinkhorn_divergence
from ._rates import SAMPLING
from ._sample_metric import SampleMetric

SINKHORN = SampleMetric(
    name="sinkhorn",
    unit="squared coefficients",
    direction="0 is the same, larger is further apart; smoothed optimal transport",
    null=SAMPLING,
    solve=sinkhorn_divergence,
    no_null_reason="sinkhorn is solved anew for every split",
)
