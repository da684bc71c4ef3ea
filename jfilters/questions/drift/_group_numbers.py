"""Numbers of a group's kernels: the densities of their coefficients, and their own spectrum."""

import functools

import numpy as np
from jaxtyping import Float

from ...scans import Groups, Scan
from ...scans.internal import layer_counts, selected
from ...shift import probability
from ...statistics import fit_basis, merge_moments
from ...statistics.internal import host_moments


def coefficient_densities(
    scan: Scan, groups: Groups, *, clean: bool = False
) -> Float[np.ndarray, "groups d bins"]:
    """Return the density of the coefficients of every group along each component.

    Each integrates to 1 over the bins between `scan.edges`; every kernel counts the same. Raises
    ValueError if `clean` and the scan did not count sparse kernels apart.
    """
    counts = layer_counts(scan, clean=clean)
    sums = np.stack([counts[group.layers].sum(axis=0) for group in groups.groups])
    return np.asarray(probability(sums, scan.edges)) / np.diff(scan.edges)


def variance_ratios(scan: Scan, groups: Groups) -> Float[np.ndarray, "groups d"]:
    """The share of variance of each group's own principal components, by falling share.

    NaN for a group of fewer than two kernels, or of equal ones.
    """
    return np.stack([_variance_ratio(scan, group.layers) for group in groups.groups])


def _variance_ratio(scan: Scan, layers: np.ndarray) -> Float[np.ndarray, " d"]:
    moments = host_moments(scan.moments["normalized"])
    parts = (selected(moments, i) for i in layers.tolist())
    try:
        return np.asarray(fit_basis(functools.reduce(merge_moments, parts)).variance_ratio)
    except ValueError:
        return np.full(scan.d, np.nan)
