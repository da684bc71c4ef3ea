"""The basis of a scan as pictures of kernels, with the share of variance of each component."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...scans import Scan
from ._canvas import COLUMN, DIVERGING, Canvas, GivenCanvas, figure_on, grid, no_frame

if TYPE_CHECKING:
    import matplotlib.axes

_COLUMNS = 5


def basis(scan: Scan, figure: GivenCanvas = None) -> Canvas:
    """The mean of all normalized kernels, and the components by falling share of the variance.

    White is 0, red positive, blue negative; components have one scale, the mean has its own, which its
    title tells. The slices of kernels of three dimensions lie beside each other.
    """
    components, mean = np.asarray(scan.basis.components), np.asarray(scan.basis.mean)
    shares = np.asarray(scan.basis.variance_ratio)
    rows, columns = grid(scan.d + 1, _COLUMNS if scan.d <= 9 else 2 * _COLUMNS)
    with figure_on(figure, COLUMN, 0.2 + 4.1 / columns * rows) as canvas:
        pictures = np.atleast_1d(canvas.subplots(rows, columns)).ravel()
        most = float(np.abs(mean).max()) or 1.0
        _picture(pictures[0], picture(mean, scan.spatial), most)
        pictures[0].set_title(f"mean\n±{most:.2g}")
        largest = float(np.abs(components).max())
        for i, component in enumerate(components):
            _picture(pictures[i + 1], picture(component, scan.spatial), largest)
            pictures[i + 1].set_title(f"{i + 1}\n{100 * float(shares[i]):.1f} %")
        for unused in pictures[scan.d + 1 :]:
            unused.remove()
    return canvas


def picture(
    kernel: Float[np.ndarray, " d"], spatial: tuple[int, ...]
) -> Float[np.ndarray, "height width"]:
    """A kernel as a picture: a row in one dimension, slices side by side in three; NaN is no tap."""
    taps = kernel.reshape(spatial)
    if taps.ndim == 1:
        return taps[None]
    if taps.ndim == 2:
        return taps
    gap = np.full((spatial[-2], 1), np.nan)
    slices = [part for tap in taps.reshape(-1, *spatial[-2:]) for part in (tap, gap)]
    return np.concatenate(slices[:-1], axis=1)


def _picture(
    ax: "matplotlib.axes.Axes", values: Float[np.ndarray, "height width"], most: float
) -> None:
    ax.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest")
    no_frame(ax)
