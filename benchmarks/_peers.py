"""The way of the papers' notebook: NumPy and scikit-learn, everything in memory."""

import numpy as np
from sklearn.decomposition import PCA

BINS = 70
LIMIT = 1.1 * 3


def normalize_basis_histograms(kernels: np.ndarray) -> np.ndarray:
    """Histograms (9, 70) of the PCA coefficients of abs-max scaled kernels (n, 9)."""
    scaled = kernels / np.abs(kernels).max(axis=1, keepdims=True)
    coefficients = PCA().fit_transform(scaled)
    counts = [
        np.histogram(column, bins=BINS, range=(-LIMIT, LIMIT))[0] for column in coefficients.T
    ]
    return np.stack(counts)


def of_checkpoint(path: str) -> np.ndarray:
    """The same from a safetensors file with PyTorch axes."""
    from safetensors.numpy import load_file

    weights = [w for w in load_file(path).values() if w.ndim == 4 and w.shape[2:] == (3, 3)]
    return normalize_basis_histograms(np.concatenate([w.reshape(-1, 9) for w in weights]))
