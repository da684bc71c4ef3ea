"""Comparisons of kernel sets through the histograms of their coefficients.

Everything here runs on the host, in float64 where NumPy arrays come in: histograms are small.
"""

from ._difference import Difference as Difference
from ._difference import Grid as Grid
from ._difference import difference as difference
from ._difference import grid as grid
from ._difference import rounding as rounding
from ._divergence import drift as drift
from ._divergence import drift_components as drift_components
from ._divergence import drift_matrix as drift_matrix
from ._divergence import probability as probability
from ._embedding import Embedding as Embedding
from ._embedding import classical_mds as classical_mds
from ._frechet import frechet as frechet
from ._frechet import frechet_components as frechet_components
from ._frechet import frechet_null as frechet_null
from ._host import host_counts as host_counts
from ._host import host_normalize as host_normalize
from ._host import host_peaks as host_peaks
from ._host import host_set_moments as host_set_moments
from ._kernel_drift import kernel_drift as kernel_drift
from ._kinship import Kinship as Kinship
from ._kinship import kinship as kinship
from ._match import RELATED_SIGMAS as RELATED_SIGMAS
from ._match import by_content as by_content
from ._match import channel_order as channel_order
from ._match import is_related as is_related
from ._match import signature as signature
from ._metrics import METRICS as METRICS
from ._metrics import Metric as Metric
from ._metrics import components_of as components_of
from ._metrics import metric_components as metric_components
from ._metrics import metric_matrix as metric_matrix
from ._null_level import null_level as null_level
from ._relabeling import AxisNull as AxisNull
from ._relabeling import redrawn_null as redrawn_null
from ._relabeling import relabeled_null as relabeled_null
from ._significance import NO_SPLIT as NO_SPLIT
from ._significance import PopulationNull as PopulationNull
from ._significance import SamplingNull as SamplingNull
from ._significance import Statistic as Statistic
from ._significance import histogram_statistic as histogram_statistic
from ._significance import holm as holm
from ._significance import large_sample_null as large_sample_null
from ._significance import population_null as population_null
from ._significance import sampling_null as sampling_null
from ._sinkhorn import sinkhorn_divergence as sinkhorn_divergence
from ._transport import energy_distance as energy_distance
from ._transport import energy_form as energy_form
from ._transport import median_distance as median_distance
from ._transport import mmd as mmd
from ._transport import mmd_form as mmd_form
from ._transport import sliced_wasserstein as sliced_wasserstein
from ._transport import sliced_wasserstein_form as sliced_wasserstein_form
