"""Arrays to numbers: pure functions on kernel sets (n, d) that jit, vmap and differentiate.

A mask `valid` marks the kernels that count, so that padding is invisible. Kernels are raw, as
stored, except where a function asks for normalized ones.
"""

from ._basis import Basis as Basis
from ._basis import fit_basis as fit_basis
from ._basis import project as project
from ._basis_file import basis_arrays as basis_arrays
from ._basis_file import load_basis as load_basis
from ._basis_file import save_basis as save_basis
from ._entropy import entropy_from_moments as entropy_from_moments
from ._entropy import entropy_of_covariance as entropy_of_covariance
from ._entropy import variance_entropy as variance_entropy
from ._histogram import coefficient_histogram as coefficient_histogram
from ._histogram import coefficient_histograms as coefficient_histograms
from ._histogram import coefficient_range as coefficient_range
from ._histogram import fixed_edges as fixed_edges
from ._histogram import histogram as histogram
from ._moments import Moments as Moments
from ._moments import covariance as covariance
from ._moments import host_moments as host_moments
from ._moments import merge_moments as merge_moments
from ._moments import moments as moments
from ._moments import moments_from_gram as moments_from_gram
from ._normalize import absolute_by_tap as absolute_by_tap
from ._normalize import inverse_peaks as inverse_peaks
from ._normalize import max_abs as max_abs
from ._normalize import normalize as normalize
from ._norms import Norms as Norms
from ._norms import norms as norms
from ._orthogonality import orthogonality as orthogonality
from ._orthogonality import random_orthogonality as random_orthogonality
from ._phenotype import PHENOTYPES as PHENOTYPES
from ._phenotype import Phenotype as Phenotype
from ._phenotype import PhenotypeFeatures as PhenotypeFeatures
from ._phenotype import phenotype as phenotype
from ._randomness import randomness_threshold as randomness_threshold
from ._sparsity import EPSILON as EPSILON
from ._sparsity import EPSILONS as EPSILONS
from ._sparsity import relative_peaks as relative_peaks
from ._sparsity import sparse_mask as sparse_mask
from ._sparsity import sparsity as sparsity
from ._sums import Cloud as Cloud
from ._sums import Summands as Summands
from ._sums import sums as sums
from ._sums import symmetric as symmetric
from ._verdict import HIGH_SPARSITY as HIGH_SPARSITY
from ._verdict import VERDICTS as VERDICTS
from ._verdict import Verdict as Verdict
from ._verdict import judge as judge
