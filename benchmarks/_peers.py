"""What a user would write without jfilters: the papers' notebook way, and loops over SciPy."""

import numpy as np
import scipy.special
import scipy.stats
from sklearn.decomposition import PCA

from jfilters.statistics import Basis

BINS = 70
LIMIT = 1.1 * 3


def full_svd(path: str) -> np.ndarray:
    """Histograms (9, 70) as the papers' scikit-learn made them: PCA by the SVD of all kernels."""
    return _fitted(path, "full")


def covariance_pca(path: str) -> np.ndarray:
    """The same with the solver that scikit-learn has chosen since 1.5."""
    return _fitted(path, "covariance_eigh")


def known_basis(path: str, basis: Basis) -> np.ndarray:
    """The same with a basis that is there already, in NumPy alone."""
    mean, components = (np.asarray(x, np.float32) for x in (basis.mean, basis.components))
    return _histograms((_normalized(path) - mean) @ components.T)


def drift_by_entropy(p: np.ndarray, q: np.ndarray, ratio: np.ndarray) -> float:
    """D of two sets (d, bins): `scipy.stats.entropy` of each component, in both directions."""
    return sum(
        a * (scipy.stats.entropy(x, y) + scipy.stats.entropy(y, x))
        for a, x, y in zip(ratio, p, q, strict=True)
    )


def drift_by_rel_entr(p: np.ndarray, q: np.ndarray, ratio: np.ndarray) -> float:
    """The same through `scipy.special.rel_entr` over all components at once."""
    both = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(q, p)
    return float(ratio @ both.sum(axis=1))


def _fitted(path: str, solver: str) -> np.ndarray:
    return _histograms(PCA(svd_solver=solver).fit_transform(_normalized(path)))


def _normalized(path: str) -> np.ndarray:
    """All 3x3 kernels (n, 9) of a safetensors file with PyTorch axes, abs-max scaled."""
    from safetensors.numpy import load_file

    weights = [w for w in load_file(path).values() if w.ndim == 4 and w.shape[2:] == (3, 3)]
    kernels = np.concatenate([w.reshape(-1, 9) for w in weights])
    largest = np.abs(kernels).max(axis=1)
    return kernels / np.where(largest == 0, 1, largest)[:, None]


def _histograms(coefficients: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.histogram(column, bins=BINS, range=(-LIMIT, LIMIT))[0] for column in coefficients.T]
    )
