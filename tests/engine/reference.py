"""METHOD's formulas in float64 NumPy, written without a look at the library."""

import numpy as np


def normalized(kernels):
    peak = np.abs(kernels).max(axis=1, keepdims=True)
    return np.divide(kernels, peak, out=np.zeros_like(kernels), where=peak > 0)


def basis(kernels):
    """Mean, components and variance ratio of raw kernels, by SVD."""
    f = normalized(kernels)
    mean = f.mean(axis=0)
    _, s, components = np.linalg.svd(f - mean, full_matrices=False)
    signs = np.sign(components[np.arange(len(s)), np.abs(components).argmax(axis=1)])
    return mean, components * signs[:, None], s**2 / (s**2).sum()


def histograms(kernels, mean, components, edges):
    c = (normalized(kernels) - mean) @ components.T
    c = np.clip(c, edges[0], edges[-1])
    return np.stack([np.histogram(c[:, i], edges)[0] for i in range(c.shape[1])])


def probabilities(counts, edges):
    density = counts / (counts.sum(axis=1, keepdims=True) * np.diff(edges))
    density = np.where(density == 0, np.finfo(np.float32).eps, density)
    return density / density.sum(axis=1, keepdims=True)


def drift(p, q, ratio):
    return float(np.sum(ratio[:, None] * (p - q) * (np.log(p) - np.log(q))))


def variance_entropy(kernels):
    s = np.linalg.svd(kernels - kernels.mean(axis=0), compute_uv=False) ** 2
    p = s[s > 0] / s.sum()
    return float(-(p * np.log10(p)).sum())


def sparse(kernels, eps=0.01):
    return np.abs(kernels).max(axis=1) < eps * np.abs(kernels).max()


def orthogonality(weight):
    rows = weight.reshape(len(weight), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    cosine = np.abs(unit @ unit.T)
    n = len(rows)
    return 1 - (cosine.sum() - np.trace(cosine)) / (n * (n - 1))
