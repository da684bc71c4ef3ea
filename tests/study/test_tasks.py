import numpy as np
import pytest

from study._tasks import TASKS, Examples, batches, examples

from . import tiny

DATA = tiny.settings().data


def drawn(task, count, **chosen):
    told = examples(task, "digits", "train", DATA)
    found = batches(task, told, DATA, **{"seed": 0, "batch": 4, "steps": count} | chosen)
    return told, list(found)


@pytest.mark.parametrize("task", TASKS)
def test_an_epoch_sees_every_example_once(task):
    told, found = drawn(task, 3)
    targets = np.concatenate([batch.targets for batch in found])
    assert sorted(map(bytes, targets)) == sorted(map(bytes, told.targets))


@pytest.mark.parametrize("task", TASKS)
def test_batches_are_those_of_their_seed(task):
    (_, first), (_, again), (_, other) = (drawn(task, 4, seed=seed) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.inputs, two.inputs)
    assert not np.array_equal(first[0].inputs, other[0].inputs)
    assert first[0].inputs.dtype == np.float32


def test_noise_is_new_every_time_and_the_test_has_its_own():
    told, found = drawn("denoising", 6, batch=12)
    noise = [batch.inputs - batch.targets for batch in found]
    assert np.std(noise) == pytest.approx(DATA.noise, rel=0.05)
    assert not np.array_equal(noise[0], noise[1])
    assert np.array_equal(told.inputs, told.targets)
    test = examples("denoising", "digits", "test", DATA)
    assert np.std(test.inputs - test.targets) == pytest.approx(DATA.noise, rel=0.1)


def test_scores_of_what_is_perfect_and_of_what_is_trivial():
    label = Examples(np.zeros((4, 2, 2)), np.array([1, 1, 0, 2]))
    accuracy = TASKS["classification"]
    assert accuracy.score(np.eye(10)[label.targets], label) == 1
    assert accuracy.score(np.eye(10)[[1, 1, 1, 1]], label) == accuracy.trivial(label) == 0.5
    mask = Examples(np.zeros((1, 2, 2)), np.array([[[1.0, 0], [0, 0]]]))
    overlap = TASKS["segmentation"]
    assert overlap.score(mask.targets - 0.5, mask) == 1
    assert overlap.score(np.ones((1, 2, 2)), mask) == overlap.trivial(mask) == 0.25
    clean = Examples(np.full((1, 2, 2), 0.1), np.zeros((1, 2, 2)))
    gain = TASKS["denoising"]
    assert gain.score(np.full((1, 2, 2), 0.01), clean) == pytest.approx(20)
    assert gain.score(clean.inputs, clean) == gain.trivial(clean) == 0
