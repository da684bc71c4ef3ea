"""Time and memory of scans against the number of kernels."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scaling import Measurement


def figure(found: list["Measurement"], path: Path) -> None:
    """Two panels with logarithmic axes: seconds beside those of reading alone, and peak memory."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for with_it, label in ((True, "scan"), (False, "scan without orthogonality")):
        some = [m for m in found if m.orthogonality == with_it]
        left.plot([m.kernels for m in some], [m.wall for m in some], "o-", label=label)
    found = [m for m in found if m.orthogonality]
    kernels = [m.kernels for m in found]
    left.plot(kernels, [m.reading for m in found], "s--", label="reading the files once")
    left.set(ylabel="seconds")
    left.legend()
    right.plot(kernels, [m.peak_memory / 1e6 for m in found], "o-", label="peak memory of the scan")
    right.plot(kernels, [m.size / 1e6 for m in found], "s--", label="size of the files")
    right.set(ylabel="MB")
    right.legend()
    for axes in (left, right):
        axes.set(xlabel="kernels", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    drawing.savefig(path, dpi=150)
    pyplot.close(drawing)
