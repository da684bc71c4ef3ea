"""What an answer from a written scan calls imports no compiler."""

import os
import subprocess
import sys
from pathlib import Path

import jfilters

PACKAGE = Path(jfilters.__file__).parent

# The face imports everything at present; a bare parent stands in for it.
PROGRAM = f"""
import sys, types

parent = types.ModuleType("jfilters")
parent.__path__ = [{str(PACKAGE)!r}]
sys.modules["jfilters"] = parent

import numpy as np
from jfilters import shift, statistics as s
from jfilters.shift import internal as of_shift
from jfilters.statistics import internal as inner

rng = np.random.default_rng(0)
weights = rng.normal(size=(2, 8, 6, 3, 3)).astype(np.float32)
sets = [inner.host_normalize(w.reshape(-1, 9)) for w in weights]
moments = [inner.host_moments(inner.host_set_moments(x)) for x in sets]
pooled = s.merge_moments(*moments)
basis, edges = s.fit_basis(pooled), s.fixed_edges(9)
s.covariance(pooled), inner.entropy_from_moments(pooled), inner.basis_arrays(basis)
s.layer_quality(weights[0]), s.VERDICTS, inner.EPSILONS, s.randomness_threshold(48, 9)
s.load_basis, s.save_basis, s.random_orthogonality(54)
counts = np.stack([inner.host_counts(x, basis, edges) for x in sets])
ratio = basis.variance_ratio
p, q = shift.probability(counts, edges)
shift.drift(p, q, ratio), shift.drift_components(p, q, ratio)
shift.classical_mds(shift.drift_matrix(np.stack([p, q]), ratio))
for name, metric in shift.METRICS.items():
    if metric.reads == "histogram":
        of_shift.metric_matrix(name, np.stack([p, q]), ratio, edges)
shift.sampling_null(rng, "drift", counts.sum(axis=0), (48, 48), ratio, edges, replicates=5)
shift.drift_null(counts.sum(axis=0), (48, 48), ratio, edges)
layers, group = counts.repeat(2, axis=0), np.array([0, 0, 1, 1])
shift.population_null(rng, layers, np.arange(4), group, ratio, permutations=5)
shift.unit_drift(layers, np.arange(4), group, ratio)
shift.null_level(48, 48, np.count_nonzero(counts.sum(axis=0), axis=1), ratio), shift.holm([0.1])
shift.frechet(*moments), of_shift.frechet_null(rng, pooled, (48, 48), replicates=5)
of_shift.difference(*weights), of_shift.rounding(*weights), of_shift.grid(*weights)
of_shift.change_rank(*weights), of_shift.channel_order(*weights), of_shift.signature(weights[0])
of_shift.is_related(shift.kernel_similarity(*sets)), of_shift.by_content(sets[0][None], sets[1][None])
shift.energy_distance(*sets), shift.mmd(rng, *sets), shift.sliced_wasserstein(rng, *sets)
heavy = {{"jax", "equinox", "scipy.special", "scipy.stats"}} & set(sys.modules)
assert not heavy, f"expected no compiler and no SciPy, got {{heavy}}"
"""


def test_comparisons_of_a_written_scan_import_no_compiler():
    lazily = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"}
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.run(command, capture_output=True, text=True, env=lazily)
    assert process.returncode == 0, process.stderr
