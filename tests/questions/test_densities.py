"""Densities of the groups of a scan: who takes part, with how many kernels, and what is said of them."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from jfilters.density import FitOptions, load_densities
from jfilters.engine import Options, scan_into
from jfilters.questions import density_divergence, density_scores, fit_densities
from jfilters.questions.internal import group_samples, save_fitted
from jfilters.scans import open_scan

from ..scans.populations import labeled
from ..scans.scans import made_scan, replaced

SMALL = FitOptions(layers=2, width=8, epochs=3)


def network(path, seed, sizes, smooth):
    """Layers of kernels, each smoothed or not."""
    rng = np.random.default_rng(seed)
    weights = {
        f"conv{k}.weight": (
            rng.standard_normal((*size, 3, 3)) + smooth * rng.standard_normal((*size, 1, 1))
        )
        for k, size in enumerate(sizes)
    }
    weights["conv0.weight"][0, 0] = 0
    arrays = {name: weight.astype(np.float32) for name, weight in weights.items()}
    save_file(arrays, path, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("densities")
    (folder / "in").mkdir()
    for seed in range(4):
        network(folder / "in" / f"{seed}.safetensors", seed, [(20, 20), (10, 20)], 3 * (seed % 2))
    network(folder / "in" / "small.safetensors", 9, [(5, 10)], 0)
    scan_into(folder / "out", folder / "in", Options(sample=2000, orthogonality=False))
    return labeled(open_scan(folder / "out"), kind=["rough", "smooth", "rough", "smooth", "small"])


class TestGroupSamples:
    @pytest.mark.slow
    def test_every_group_gives_as_many_kernels(self, scan):
        found = group_samples(scan, "kind")
        assert [group.label for group in found.groups] == ["rough", "smooth"]
        assert [(group.models, group.sampled, group.zero) for group in found.groups] == [
            (2, 1200, 2)
        ] * 2
        assert found.kernels.shape == (2, 1198, 9)
        assert [group.label for group in found.left_out] == ["small"]

    def test_a_number_decides_who_takes_part(self, scan):
        found = group_samples(scan, "kind", 40)
        assert (len(found.groups), found.kernels.shape) == (3, (3, 40, 9))

    def test_no_axis_makes_one_group(self, scan):
        found = group_samples(scan)
        assert [(group.label, group.models) for group in found.groups] == [("all", 5)]

    def test_none_is_left(self, scan):
        with pytest.raises(
            ValueError, match="a group with 5,000 sampled kernels or more, found at most 1,198"
        ):
            group_samples(scan, "kind", 5000)

    def test_a_scan_without_a_sample(self, scan):
        without = replaced(scan, sample=None, sample_layer=None)
        with pytest.raises(ValueError, match="scan again with --sample"):
            group_samples(without)


def with_units(scan, **columns):
    """The scan with columns of families or runs, one value a model."""
    models = scan.model_table
    for name, values in columns.items():
        by_model = dict(zip(scan.model_names, values, strict=True))
        column = pa.array([by_model[model] for model in models["model"].to_pylist()], pa.string())
        if name in models.column_names:
            models = models.drop_columns(name)
        models = models.append_column(name, column)
    return dataclasses.replace(scan, model_table=models)


def scan_of_units(scan, units, sampled=200, **columns):
    """A scan of one-layer models, whose kernels all have the number of their unit as a tap's share."""
    layers = len(scan.histogram)
    layer = np.arange(layers).repeat(sampled)
    rng = np.random.default_rng(0)
    unit = np.asarray(units)[scan.model_of_layer[layer]]
    taps = rng.uniform(-0.01, 0.01, (len(layer), 9))
    taps[np.arange(len(layer)), unit] = 1
    sample = taps.astype(np.float32)
    return with_units(replaced(scan, sample=sample, sample_layer=layer), **columns)


def units_of(kernels):
    return np.argmax(np.abs(kernels), axis=-1)


class TestUnits:
    """Nine models of one layer, of which those of one unit have the same largest tap."""

    UNITS = (0, 0, 0, 1, 1, 2, 2, 2, 3)
    THIRDS = (1 / 3,) * 3

    @pytest.fixture(name="models")
    @staticmethod
    def of_one_layer(tmp_path):
        return made_scan(tmp_path, {f"{k}.pt": 1 for k in range(9)})

    @pytest.mark.parametrize("column", ["family", "run"])
    def test_no_unit_is_in_two_parts(self, models, column):
        labels = {column: [f"unit {unit}" for unit in self.UNITS]}
        other = {"family": [None] * 9} if column == "run" else {}
        scan = scan_of_units(models, self.UNITS, **labels, **other)
        found = group_samples(scan, shares=self.THIRDS)
        (group,) = found.groups
        assert (group.models, group.units, group.by_units) == (9, 4, True)
        parts = [set(part.tolist()) for part in np.array_split(units_of(found.kernels[0]), 3)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 4

    def test_a_family_counts_before_a_run(self, models):
        runs = [f"run {k}" for k in range(9)]
        scan = scan_of_units(models, self.UNITS, family=["one"] * 9, run=runs)
        (group,) = group_samples(scan, shares=self.THIRDS).groups
        assert (group.units, group.by_units) == (1, False)

    def test_a_unit_lies_in_the_same_part_of_all_groups(self, models):
        units = (0, 1, 2, 3, 4, 5, 0, 1, 2)
        families = {"family": [f"unit {unit}" for unit in units], "run": [None] * 9}
        scan = labeled(scan_of_units(models, units, **families), kind=list("aaaabbbbb"))
        found = group_samples(scan, "kind", 300, shares=self.THIRDS)
        assert all(group.by_units for group in found.groups)
        thirds = units_of(found.kernels).reshape(2, 3, 100)
        for k in range(3):
            other = np.delete(thirds, k, axis=1)
            assert not np.isin(thirds[:, k], other).any()

    def test_too_few_units_are_split_between_kernels(self, models):
        families = {"family": ["one"] * 5 + ["other"] * 4}
        scan = scan_of_units(models, self.UNITS, **families)
        found = group_samples(scan, shares=self.THIRDS)
        assert (found.groups[0].units, found.groups[0].by_units) == (2, False)
        assert found.kernels.shape == (1, 1800, 9)

    def test_units_that_leave_a_part_too_small(self, models):
        families = {"family": ["large"] * 7 + ["a", "b"]}
        scan = scan_of_units(models, self.UNITS, **families)
        # Cut between units every part has 200 kernels at most, 600 in all.
        assert group_samples(scan, shares=self.THIRDS).groups[0].by_units
        assert not group_samples(scan, None, 900, shares=self.THIRDS).groups[0].by_units

    def test_shares_that_differ(self, models):
        scan = scan_of_units(models, range(9), family=[f"unit {k}" for k in range(9)])
        found = group_samples(scan, shares=(0.8, 0.2))
        n = found.kernels.shape[1]
        first, second = np.split(units_of(found.kernels[0]), [int(n * 0.8)])
        assert not np.isin(first, second).any()
        assert n >= 1000


@pytest.mark.slow
class TestFit:
    @pytest.fixture(scope="class", name="fitted")
    @classmethod
    def fit(cls, scan):
        return fit_densities(scan, "kind", options=SMALL)

    def test_every_group_stands_beside_the_baselines(self, fitted):
        rough, smooth = fitted.likelihoods
        assert rough.baselines["uniform"] == pytest.approx(-8.436, abs=1e-3)
        assert smooth.baselines["gaussian"] > rough.baselines["gaussian"] + 1
        assert smooth.gain == smooth.flow - max(smooth.baselines.values())

    def test_the_file_says_what_it_is_of(self, scan, fitted, tmp_path):
        save_fitted(fitted, tmp_path / "kinds")
        header = load_densities(tmp_path / "kinds").header
        assert (header["by"], header["spatial"], header["labels"]) == (
            "kind",
            [3, 3],
            ["rough", "smooth"],
        )
        assert header["models"] == scan.model_names
        assert header["groups"][0]["flow"] == fitted.likelihoods[0].flow

    def test_layers_of_the_other_kind_are_less_likely(self, scan, fitted, tmp_path):
        network(tmp_path / "mixed.safetensors", 20, [(10, 10)], 3)
        (one,) = density_scores(fitted.fits.density(1), str(tmp_path / "mixed.safetensors"), (3, 3))
        (other,) = density_scores(
            fitted.fits.density(0), str(tmp_path / "mixed.safetensors"), (3, 3)
        )
        assert (one.kernels, one.scored, one.zero) == (100, 100, 1)
        assert one.nats > other.nats + 3 * one.error

    def test_a_checkpoint_without_such_kernels(self, fitted, tmp_path):
        save_file({"conv.weight": np.ones((4, 4, 5, 5), np.float32)}, tmp_path / "x.safetensors")
        with pytest.raises(ValueError, match="expected 3x3 convolutions"):
            density_scores(fitted.fits.density(0), str(tmp_path / "x.safetensors"), (3, 3))


class TestDivergence:
    @pytest.mark.slow
    def test_pairs_as_json_has_them(self, scan):
        found = density_divergence(scan, "kind", kernels=1000, options=SMALL)
        record = json.loads(json.dumps(found.record()))
        (pair,) = record["pairs"]
        assert (pair["first"], pair["second"], pair["distinguishable"]) == ("rough", "smooth", True)
        assert pair["jeffreys"] == pytest.approx(pair["forward"] + pair["backward"])
        assert pair["jeffreys"] > 5 * pair["jeffreys_error"] > 0
        assert pair["accuracy"] > 0.8
        assert record["kernels"] == 1000
        splits = [(group["units"], group["split"]) for group in record["groups"]]
        assert splits == [(2, "kernels")] * 2
        assert [group["label"] for group in record["left_out"]] == ["small"]

    def test_one_group_is_not_enough(self, scan):
        with pytest.raises(ValueError, match="expected two groups or more along spatial"):
            density_divergence(scan, "spatial")
