"""Learned densities of the groups of a scan, from the kernels that it sampled: fits and divergences.

The density room compiles and runs JAX for them, for seconds to minutes; this module does not import it.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._files import Location
from ..answers import Answer
from ..density import Divergences, FitOptions, Fits, TwoSampleTests, baselines
from ..density.internal import BASELINES, FOLDS, seeded_divergences, seeded_fits, seeded_tests
from ..scans import Scan
from ._density_samples import GroupSamples, Sampled, group_samples


@dataclass(frozen=True)
class Likelihood:
    """Held-out log-density of one group, in nats per kernel, under its flow and under the baselines.

    - `group`: the group and its number of kernels.
    - `flow`, `error`: mean and standard error under the flow.
    - `baselines`: mean under each simple density, by its name.
    - `epochs`: epochs of the training until the held-out kernels stopped to gain.
    """

    group: Sampled
    flow: float
    error: float
    baselines: dict[str, float]
    epochs: int

    @property
    def gain(self) -> float:
        """Nats by which the flow is ahead of the best baseline; below 0 it has not earned its place."""
        return self.flow - max(self.baselines.values())


@dataclass(frozen=True, eq=False)
class FittedDensities(Answer):
    """Learned density of each group of a scan, with its log-likelihood of kernels not trained on.

    - `samples`: the groups and their sampled kernels.
    - `fits`: the densities, with their log-densities of held-out kernels, in nats.
    - `likelihoods`: mean and standard error a group, beside the baselines.
    - `options`, `seed`: those of the fit.
    - `source`: the scan and the models that the kernels are of.
    """

    samples: GroupSamples
    fits: Fits
    likelihoods: tuple[Likelihood, ...]
    options: FitOptions
    seed: int
    source: dict[str, Any]

    def record(self) -> list[dict[str, Any]]:
        """Return one record a group, in nats per kernel."""
        return [likelihood_record(likelihood) for likelihood in self.likelihoods]


@dataclass(frozen=True, eq=False)
class DensityTable(Answer):
    """Divergences between the learned densities of every two groups, and tests of a classifier.

    - `samples`: the groups and their sampled kernels.
    - `divergences`: KL both ways and Jeffreys, in nats, with standard errors.
    - `tests`: accuracy and p of the classifier for every pair.
    - `seed`: of noise, splits and starts; the same seed gives the same numbers.
    """

    samples: GroupSamples
    divergences: Divergences
    tests: TwoSampleTests
    seed: int

    @property
    def labels(self) -> tuple[str, ...]:
        """The groups, in the order of the rows and columns."""
        return tuple(group.label for group in self.samples.groups)

    def record(self) -> dict[str, Any]:
        """Return groups and pairs, in nats; `forward` is KL(first || second)."""
        divergences = self.divergences
        columns = divergences.likelihood.tolist(), divergences.likelihood_error.tolist()
        groups = [
            {**_group_record(group), "likelihood": likelihood, "likelihood_error": error}
            for group, likelihood, error in zip(self.samples.groups, *columns, strict=True)
        ]
        return {
            "by": self.samples.by,
            "seed": self.seed,
            "kernels": self.samples.kernels.shape[1],
            "groups": groups,
            "left_out": [_group_record(group) for group in self.samples.left_out],
            "pairs": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a pair."""
        return [_pair_record(self, k) for k in range(len(self.tests.pairs))]


def fit_densities(
    scan: Scan,
    by: str | None = None,
    *,
    kernels: int | None = None,
    seed: int = 0,
    options: FitOptions | None = None,
) -> FittedDensities:
    """Fit a density to each group of a scan along an axis; to all layers together if there is no axis.

    Trains flows with JAX, on the device, for seconds to minutes.

    Args:
        scan: in memory or opened, with a sample.
        by: the axis whose labels make the groups.
        kernels: sampled kernels of each group; see `group_samples`.
        seed: of the noise, the split, the starts and the order of the batches.
        options: sizes and limits of the training.

    Returns:
        The densities, and their log-likelihood of held-out kernels, in nats.

    Raises:
        ValueError: for a scan without a sample, an unknown axis, and too few kernels.
    """
    options = options or FitOptions()
    shares = (1 - options.held_out, options.held_out)
    samples = group_samples(scan, by, kernels, shares=shares, seed=seed)
    fits = seeded_fits(samples.kernels, seed=seed, options=options)
    likelihoods = tuple(_likelihood(samples, fits, i) for i in range(len(samples.groups)))
    return FittedDensities(samples, fits, likelihoods, options, seed, _source(scan))


def density_divergence(
    scan: Scan,
    by: str,
    *,
    kernels: int | None = None,
    seed: int = 0,
    options: FitOptions | None = None,
) -> DensityTable:
    """Compute KL between the densities of every two groups of a scan along an axis, both ways, with errors.

    Trains one flow a group with JAX, on the device, for seconds to minutes.

    Args:
        scan: in memory or opened, with a sample.
        by: the axis whose labels make the groups.
        kernels: sampled kernels of each group; see `group_samples`.
        seed: of noise, split, starts and order of the batches.
        options: sizes and limits of the training.

    Returns:
        Divergences in nats and a classifier's accuracy, for every pair of groups.

    Raises:
        ValueError: as `fit_densities` does, and for fewer than two groups.
    """
    samples = group_samples(scan, by, kernels, shares=(1 / FOLDS,) * FOLDS, seed=seed)
    if len(samples.groups) == 1:
        raise ValueError(
            f"expected two groups or more along {by} with enough kernels, found one; ask for fewer "
            "with --kernels, or for another axis"
        )
    compared = seeded_divergences(samples.kernels, seed=seed, options=options or FitOptions())
    return DensityTable(samples, compared, seeded_tests(samples.kernels, seed=seed), seed)


def save_fitted(fitted: FittedDensities, path: Location) -> None:
    """Write the densities into one file, whose header tells what they are of and how they do."""
    groups = [likelihood_record(likelihood) for likelihood in fitted.likelihoods]
    facts = {"by": fitted.samples.by, "seed": fitted.seed, "groups": groups, **fitted.source}
    sizes = {"layers": fitted.options.layers, "width": fitted.options.width}
    labels = tuple(group.label for group in fitted.samples.groups)
    from ..density import save_densities

    save_densities(path, fitted.fits.densities, labels, **sizes, details=facts)


def likelihood_record(likelihood: Likelihood) -> dict[str, Any]:
    """The same as JSON has it, in nats per kernel."""
    return {
        **_group_record(likelihood.group),
        "flow": likelihood.flow,
        "flow_error": likelihood.error,
        **likelihood.baselines,
        "epochs": likelihood.epochs,
    }


def _pair_record(table: DensityTable, k: int) -> dict[str, Any]:
    divergences, tests = table.divergences, table.tests
    i, j = (int(place) for place in tests.pairs[k])
    return {
        "first": table.labels[i],
        "second": table.labels[j],
        "forward": float(divergences.kl[i, j]),
        "forward_error": float(divergences.kl_error[i, j]),
        "backward": float(divergences.kl[j, i]),
        "backward_error": float(divergences.kl_error[j, i]),
        "jeffreys": float(divergences.jeffreys[i, j]),
        "jeffreys_error": float(divergences.jeffreys_error[i, j]),
        "distinguishable": bool(divergences.distinguishable[i, j]),
        "accuracy": float(tests.accuracy[k]),
        "accuracy_p": float(tests.p[k]),
        "jeffreys_of_classifier": float(tests.jeffreys[k]),
    }


def _group_record(group: Sampled) -> dict[str, Any]:
    return {
        "label": group.label,
        "models": group.models,
        "units": group.units,
        "split": "units" if group.by_units else "kernels",
        "kernels": group.sampled,
        "zero": group.zero,
    }


def _likelihood(samples: GroupSamples, fits: Fits, i: int) -> Likelihood:
    rows = np.asarray(samples.kernels[i], np.float64)
    # The kernels that stop a flow are part of what it is fitted to: a simple density has them too.
    simple = baselines(rows[~fits.held_out], rows[fits.held_out])
    nats = np.asarray(fits.log_prob[i], np.float64)
    return Likelihood(
        samples.groups[i],
        float(nats.mean()),
        float(nats.std(ddof=1) / math.sqrt(nats.size)),
        {name: float(simple[name].mean()) for name in BASELINES},
        int(fits.epochs[i]),
    )


def _source(scan: Scan) -> dict[str, Any]:
    """Whose kernels they are: their shape, the scan's name, its models, and a hash of the sample."""
    assert scan.sample is not None
    return {
        "spatial": list(scan.spatial),
        "scan": scan.title,
        "models": scan.model_names,
        "sample_sha256": hashlib.sha256(np.ascontiguousarray(scan.sample).tobytes()).hexdigest(),
    }
