"""Squared maximum mean discrepancy."""

from .._transport import mmd_form
from ._rates import SAMPLING
from ._sample_metric import SampleMetric

MMD = SampleMetric(
    name="mmd",
    unit="none",
    direction="0 is the same, 2 is nothing in common; squared, Gaussian kernel",
    null=SAMPLING,
    form=mmd_form,
)
