"""Runs by names: counted words always, bare numbers within a family alone."""

import pytest

from jfilters.scans._runs import find_runs, matcher, runs_of


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


NO_STEPS = {
    "seeds": "resnet18_seed0 resnet18_seed1 resnet18_seed2",
    "seeds apart": "net_seed_1 net_seed_5 net_seed_9",
    "versions of a network": "yolov5 yolov8",
    "versions": "net_v1 net_v2",
    "versions with dots": "net_1.2.0 net_1.3.0",
    "folds": "fold0 fold1 fold2 fold3 fold4",
    "folds apart": "cv_fold_1 cv_fold_3 cv_fold_5",
    "depths": "vgg11 vgg13 vgg16 vgg19",
    "more depths": "resnet18 resnet34 resnet50",
    "a word within a word": "deep50 deep100",
    "more words within words": "sweep3 keep5 sweep5 keep7",
    "sizes by letters": "efficientnet-b0 efficientnet-b1 efficientnet-b7",
    "scales": "sr_x2 sr_x3 sr_x4",
    "pixels": "gan_256px gan_512px",
    "images": "vit_base_patch16_224 vit_base_patch16_384",
    "widths": "unet_64 unet_128 unet_256",
    "averages": "swa_5 swa_10",
    "shards": "model.0 model.1",
    "dates": "net_20240101 net_20240215 net_20240301",
    "dates with dashes": "net-2024-01-03 net-2024-01-09",
    "years": "trained_2012 trained_2017",
    "hashes": "vgg13-19584684 vgg13-55731022",
    "decimals": "alpha_0.5 alpha_0.7",
    "counted from 0": "net_0 net_1 net_2",
    "counted from 1": "net_1 net_2 net_3",
}
STEPS = {
    "step": "net_step_100 net_step_200",
    "epoch": "netEpoch3 netEpoch5",
    "short": "resnet50_ep10 resnet50_ep20",
    "thousands": "iter_80k iter_160k",
    "steps of one seed": "seed0_step10 seed0_step20",
    "numbers": "net_10 net_20 net_30",
    "numbers that double": "net_100 net_200 net_400",
    "padded numbers": "model.0010 model.0020",
    "a number in the middle": "net_5_best net_25_best",
    "millions": "net_10000000 net_20000000",
}


def named(names):
    models = [f"{name}.pt" for name in names.split()]
    return models, [None] * len(models)


@pytest.mark.parametrize("case", NO_STEPS)
def test_numbers_that_are_no_steps(case):
    models, steps = named(NO_STEPS[case])
    strangers, kin = list(range(len(models))), [0] * len(models)
    assert find_runs(models, steps, strangers) == []
    if "counted" not in case and case != "shards":
        assert find_runs(models, steps, kin) == []
        assert runs_of(models, steps, kin) == [None] * len(models)


@pytest.mark.parametrize("case", STEPS)
def test_numbers_that_are_steps(case):
    models, steps = named(STEPS[case])
    (run,) = find_runs(models, steps, list(range(len(models))))
    assert list(run.places.values()) == list(range(len(models)))


def test_numbers_from_0_are_steps_of_kin():
    models, steps = named("net_0 net_1 net_2")
    assert runs_of(models, steps, [3, 3, 3]) == ["net_*.pt"] * 3


def test_thousands_are_counted():
    assert list(find_runs(*named("iter_80k iter_160k"))[0].places) == [80_000, 160_000]


def test_models_of_other_layers_are_no_steps():
    models, steps = named("unet_epoch_1 unet_epoch_2 unet_epoch_3 unet_epoch_4")
    runs = runs_of(models, steps, None, ["a", "b", "a", "a"])
    assert runs == ["unet_epoch_*.pt", None, "unet_epoch_*.pt", "unet_epoch_*.pt"]


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("fold*_s*.pt", {"fold0_s*.pt": {1: 0, 2: 1}}),
            (r"(fold\d)_s(?P<step>\d+)", {"fold0": {1: 0, 2: 1}}),
            (r"(?P<run>fold\d)_", {"fold0": {1: 0, 2: 1}}),
            (r"fold(?P<step>\d)_s1", {"fold*_s1.pt": {0: 0, 1: 2}}),
        ],
    )
    def test_it_replaces_the_rules(self, pattern, expected):
        models, steps = named("fold0_s1 fold0_s2 fold1_s1 step_5 step_6")
        runs = find_runs(models, steps, pattern=pattern)
        assert {run.name: run.places for run in runs} == expected
        assert {run.kind for run in runs} == {"pattern"}

    def test_of_strangers_too(self):
        models, steps = named("a0_1 a0_2")
        assert runs_of(models, steps, [0, 1], None, "a0_*.pt") == ["a0_*.pt"] * 2

    @pytest.mark.parametrize("pattern", ["no star", "(unclosed", "a[*("])
    def test_what_is_no_pattern(self, pattern):
        with pytest.raises(ValueError, match="expected a"):
            matcher(pattern)
