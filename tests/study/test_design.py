import dataclasses
import itertools
from collections import Counter

import pytest

from study._design import ARCHITECTURES, CATEGORIES, FRAMEWORKS, TASKS, design

from . import tiny

LEVELS = {
    "visual_category": CATEGORIES,
    "task": TASKS,
    "architecture": ARCHITECTURES,
    "framework": FRAMEWORKS,
    "seed": (0, 1, 2),
}


@pytest.fixture(scope="module")
def runs():
    return [run for run in design(tiny.whole()) if run.series == "design"]


def spread(runs, axes):
    """How many runs the commonest combination of levels has more than the rarest."""
    counts = Counter(tuple(getattr(run, axis) for axis in axes) for run in runs)
    combinations = itertools.product(*(LEVELS[axis] for axis in axes))
    found = [counts[levels] for levels in combinations]
    return max(found) - min(found)


def test_there_are_enough_networks(runs):
    assert len(runs) == 120


@pytest.mark.parametrize("axis", LEVELS)
def test_every_level_of_an_axis_is_equally_often(runs, axis):
    assert spread(runs, [axis]) == 0


@pytest.mark.parametrize("axes", list(itertools.combinations(LEVELS, 2)), ids="-".join)
def test_no_axis_stands_for_another(runs, axes):
    assert spread(runs, axes) <= (2 if set(axes) == {"framework", "seed"} else 1)


def test_every_combination_has_two_seeds(runs):
    assert spread(runs, ["visual_category", "task", "architecture"]) == 0
    seeds = Counter((r.visual_category, r.task, r.architecture, r.seed) for r in runs)
    assert set(seeds.values()) == {1}


def test_formats_of_torch_go_round(runs):
    counts = Counter(run.format for run in runs if run.framework == "torch")
    assert counts == {"torch": 10, "safetensors": 10, "onnx": 10}


def test_names_are_unique_and_safe():
    names = [run.name for run in design(tiny.whole())]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_series_differ_in_what_they_are_of_alone():
    told = tiny.whole()
    series = [run for run in design(told) if run.series != "design"]
    assert {run.width for run in series if run.series == "width"} <= set(told.series.widths)
    sizes = {run.train_size for run in series if run.series == "train-size"}
    assert sizes == set(told.series.train_sizes)
    assert {run.width for run in series if run.series == "train-size"} == {told.networks.width}
    assert len({(run.visual_category, run.task, run.framework) for run in series}) == 1


def test_no_two_networks_begin_alike(runs):
    assert len({run.entropy for run in runs}) == len(runs)


def test_frameworks_have_no_part_in_where_a_network_begins(runs):
    other = dataclasses.replace(runs[0], framework="linen", format="orbax", series="width")
    assert other.entropy == runs[0].entropy
