"""Wasserstein-1 distance along random directions."""

from .._transport import sliced_wasserstein_form
from ._rates import ROOT_SAMPLING
from ._sample_metric import SampleMetric

SLICED_WASSERSTEIN = SampleMetric(
    name="sliced-wasserstein",
    unit="coefficients",
    direction="0 is the same, larger is further apart; mean over random directions",
    null=ROOT_SAMPLING,
    form=sliced_wasserstein_form,
)
