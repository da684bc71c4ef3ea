"""jfilters: functional analysis of trained convolution kernels, in JAX."""

from . import converters as converters
from . import shift as shift
from . import statistics as statistics
from .converters import Checkpoint as Checkpoint
from .converters import load as load
from .converters import open_checkpoint as open_checkpoint
from .engine import Options as Options
from .engine import Scan as Scan
from .engine import inspect as inspect
from .engine import measure as measure
from .engine import scan as scan
from .engine import write_scan as write_scan
from .errors import CheckpointError as CheckpointError
from .kernels import Kernels as Kernels
from .kernels import Layer as Layer
from .shift import kernel_drift as kernel_drift
from .statistics import Basis as Basis
from .statistics import fit_basis as fit_basis
from .statistics import load_basis as load_basis
from .statistics import normalize as normalize
from .statistics import orthogonality as orthogonality
from .statistics import randomness_threshold as randomness_threshold
from .statistics import save_basis as save_basis
from .statistics import sparsity as sparsity
from .statistics import variance_entropy as variance_entropy
