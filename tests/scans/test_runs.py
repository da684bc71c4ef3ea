"""Runs by names: counted words always, bare numbers within a family alone."""

import pytest

from jfilters.scans._runs import runs_of


def runs(names, families=None, steps=None):
    return runs_of(names, steps or [None] * len(names), families)


@pytest.mark.parametrize("word", ["step", "epoch", "iter", "ckpt"])
@pytest.mark.parametrize("families", [None, [0, 1]])
def test_names_with_a_counted_word(word, families):
    assert runs([f"a/{word}_1.pt", f"a/{word}_20.pt"], families) == [f"a/{word}_*.pt"] * 2


def test_the_steps_of_a_checkpoint_manager():
    assert runs(["run/10", "run/20"], None, [10, 20]) == ["run/*", "run/*"]


def test_one_step_alone_is_no_run():
    assert runs(["epoch_1.pt", "other.pt"]) == [None, None]
    assert runs(["a", "a"], None, [5, 5]) == [None, None]


def test_runs_of_two_folders_are_two():
    names = ["x/epoch_1.pt", "x/epoch_2.pt", "y/epoch_1.pt", "y/epoch_2.pt"]
    assert runs(names) == ["x/epoch_*.pt"] * 2 + ["y/epoch_*.pt"] * 2


def test_bare_numbers_are_a_run_of_kin_alone():
    names = ["net_10.pt", "net_20.pt", "net_30.pt"]
    assert runs(names, [4, 4, 4]) == ["net_*.pt"] * 3
    assert runs(names, [4, 4, 1]) == [None] * 3
    assert runs(names) == [None] * 3


@pytest.mark.parametrize(
    "names",
    [["resnet18_seed0.pt", "resnet18_seed1.pt", "resnet18_seed2.pt"], ["yolov5.pt", "yolov8.pt"]],
)
def test_seeds_and_versions_are_strangers_and_no_run(names):
    assert runs(names, list(range(len(names)))) == [None] * len(names)
