"""The way of the papers' notebook: NumPy and scikit-learn, everything in memory."""

import numpy as np
from sklearn.decomposition import PCA

BINS = 70
LIMIT = 1.1 * 3


def normalize_basis_histograms(kernels: np.ndarray, *, solver: str = "auto") -> np.ndarray:
    """Histograms (9, 70) of the PCA coefficients of abs-max scaled kernels (n, 9).

    The papers' scikit-learn decomposed with the "full" SVD; since 1.5 "auto" takes the covariance.
    """
    scaled = kernels / np.abs(kernels).max(axis=1, keepdims=True)
    coefficients = PCA(svd_solver=solver).fit_transform(scaled)
    counts = [
        np.histogram(column, bins=BINS, range=(-LIMIT, LIMIT))[0] for column in coefficients.T
    ]
    return np.stack(counts)


def of_checkpoint(path: str) -> np.ndarray:
    """The same from a safetensors file with PyTorch axes."""
    from safetensors.numpy import load_file

    weights = [w for w in load_file(path).values() if w.ndim == 4 and w.shape[2:] == (3, 3)]
    kernels = np.concatenate([w.reshape(-1, 9) for w in weights])
    return normalize_basis_histograms(kernels, solver="full")
