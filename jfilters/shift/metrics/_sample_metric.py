"""Metrics of single kernels, from the sample that a scan keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._transport import Form
from ._metric import Metric, Reads

SampleForm = Callable[[np.random.Generator, np.ndarray], Form]
"""From random numbers and the points (n, d) of two samples, the metric as a function of weights."""

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]
"""From the points of two samples and their weights, the metric."""


@dataclass(frozen=True, kw_only=True)
class SampleMetric(Metric):
    """A metric of samples; either `form` or `solve` is there.

    **Arguments:**

    - `form`: the metric over fixed points as a function of weights, so that a relabeling of points
      is another row of weights.
    - `solve`: the metric where every pair is a problem of its own.
    - `no_null_reason`: why there is neither a sampling null nor a population null.
    """

    form: SampleForm | None = None
    solve: Solver | None = None
    no_null_reason: str = ""

    reads: ClassVar[Reads] = "sample"
