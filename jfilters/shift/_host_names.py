"""The host statistics under the names that they had here."""

from ..statistics.internal import host_counts as host_counts
from ..statistics.internal import host_max_abs as host_max_abs
from ..statistics.internal import host_normalize as host_normalize
from ..statistics.internal import host_set_moments as host_set_moments

host_peaks = host_max_abs
