"""The basis: its mean and components as pictures, with the share of variance that each carries."""

from typing import Any

import numpy as np

from ._pack import rounded
from ._view import View


def basis_section(view: View) -> dict[str, Any]:
    """Taps of the mean and of every component, and variance ratios, largest first."""
    basis = view.scan.basis
    return {
        "shape": list(view.scan.spatial),
        "mean": [rounded(float(tap)) for tap in np.asarray(basis.mean)],
        "components": [
            [rounded(float(tap)) for tap in row] for row in np.asarray(basis.components)
        ],
        "ratio": [rounded(float(ratio)) for ratio in np.asarray(basis.variance_ratio)],
        "weights": [rounded(float(weight)) for weight in view.scan.component_weights],
    }
