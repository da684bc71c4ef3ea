from ._host import host_coefficients as host_coefficients
from ._host import host_counts as host_counts
from ._host import host_histogram as host_histogram
from ._host import host_max_abs as host_max_abs
from ._host import host_normalize as host_normalize
from ._host import host_orthogonality as host_orthogonality
from ._host import host_set_moments as host_set_moments
