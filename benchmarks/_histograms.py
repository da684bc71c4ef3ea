"""Normalize, basis and histograms of ten million kernels in a file, beside the papers' way."""

from pathlib import Path

import numpy as np

from jfilters.engine import Options, scan
from jfilters.scans import Scan
from jfilters.statistics import Basis

from . import _peers
from ._timing import Row, side_by_side

LAYERS = 40
OPTIONS = Options(quality=False, sha256=False)
FULL_SVD = "NumPy and scikit-learn as in the papers (full SVD)"


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Two passes, and one pass with a known basis."""
    width, runs = (50, 1) if quick else (500, 5)
    path = folder / "ten-million.safetensors"
    write_network(path, width=width)
    basis = check(path)
    work = f"normalize + basis + histograms, {LAYERS * width**2:,} kernels from safetensors"
    known = "the same with a known basis, one pass"

    def two_passes() -> Scan:
        return scan(path, OPTIONS)

    def one_pass() -> Scan:
        return scan(path, OPTIONS, basis=basis)

    def full_svd() -> np.ndarray:
        return _peers.full_svd(str(path))

    def covariance() -> np.ndarray:
        return _peers.covariance_pca(str(path))

    def numpy_alone() -> np.ndarray:
        return _peers.known_basis(str(path), basis)

    return [
        side_by_side(work, two_passes, full_svd, peer=FULL_SVD, runs=runs, least_ratio=10),
        side_by_side(
            work, two_passes, covariance, peer="the same, PCA of the covariance", runs=runs
        ),
        side_by_side(known, one_pass, full_svd, peer=FULL_SVD, runs=runs, least_ratio=18),
        side_by_side(known, one_pass, numpy_alone, peer="NumPy with the same basis", runs=runs),
    ]


def write_network(path: Path, *, width: int) -> None:
    """3x3 convolutions with correlated taps: the components of white noise would be arbitrary."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    mix = (np.linalg.qr(rng.standard_normal((9, 9)))[0] * np.geomspace(1, 0.1, 9)).T
    weights = {}
    for layer in range(LAYERS):
        kernels = rng.standard_normal((width**2, 9), np.float32) @ mix.astype(np.float32)
        weights[f"layer{layer}.conv.weight"] = 0.05 * kernels.reshape(width, width, 3, 3)
    save_file(weights, path, metadata={"format": "pt"})


def check(path: Path) -> Basis:
    """That both sides count alike before they are timed; the basis."""
    ours = scan(path, OPTIONS)
    counts = ours.histogram.sum(axis=0)
    _alike(counts, _peers.known_basis(str(path), ours.basis), within=1e-4)
    for theirs in (_peers.full_svd(str(path)), _peers.covariance_pca(str(path))):
        # A component may point the other way.
        turned = np.abs(counts - theirs).sum(axis=1) > np.abs(counts - theirs[:, ::-1]).sum(axis=1)
        _alike(counts, np.where(turned[:, None], theirs[:, ::-1], theirs), within=1e-3)
    return ours.basis


def _alike(ours: np.ndarray, theirs: np.ndarray, *, within: float) -> None:
    apart = np.abs(ours - theirs).sum(axis=1) / ours.sum(axis=1)
    assert apart.max() <= within, f"histograms differ in {apart.max():.1e} of the kernels"
