"""Comparisons of kernel sets through the histograms of their coefficients.

Everything here runs on the host, in float64 where NumPy arrays come in: histograms are small.
"""

from ._divergence import drift as drift
from ._divergence import drift_components as drift_components
from ._divergence import drift_matrix as drift_matrix
from ._divergence import probability as probability
from ._kernel_drift import kernel_drift as kernel_drift
from ._null_level import null_level as null_level
