"""Energy distance."""

from .._transport import energy_form
from ._rates import SAMPLING
from ._sample_metric import SampleMetric

ENERGY = SampleMetric(
    name="energy",
    unit="coefficients",
    direction="0 is the same, larger is further apart",
    null=SAMPLING,
    form=lambda rng, points: energy_form(points),
)
