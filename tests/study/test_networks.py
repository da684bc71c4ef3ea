import jax
import jax.numpy as jnp
import numpy as np
import onnx.reference
import pytest
import torch

from study._architectures import BODIES, steps
from study._design import ARCHITECTURES, FRAMEWORKS
from study._steps import initial_weights, layers
from study._tasks import TASKS, Examples
from study.frameworks import Plan, model_of
from study.frameworks._jax import convolve

IMAGES = np.random.default_rng(0).random((3, 24, 24), np.float32)
WIDTH = 4


def kernels(architecture, task, width=16):
    shapes = [layer.shape for layer in layers(steps(architecture, task, width))]
    return [out * inputs for out, inputs, taps, _ in shapes if taps == 3]


def built(framework, architecture, task, seed=0):
    made = steps(architecture, task, WIDTH)
    return model_of(framework).build(made, initial_weights(made, seed))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_body_is_the_same_for_every_task(architecture):
    counts = [kernels(architecture, task) for task in TASKS]
    assert counts[0] == counts[1] == counts[2]
    assert 7 <= len(counts[0]) <= 10


def test_architectures_are_those_of_the_design():
    assert tuple(BODIES) == ARCHITECTURES


def test_networks_have_as_many_kernels_as_the_study_says():
    found = {architecture: sum(kernels(architecture, "denoising")) for architecture in BODIES}
    assert found == {"plain": 19984, "residual": 21008, "separable": 1152, "u-shaped": 15632}


@pytest.mark.parametrize(
    ("architecture", "task"),
    [("plain", "classification"), *((name, "denoising") for name in ARCHITECTURES)],
)
def test_all_frameworks_compute_the_same(architecture, task):
    found = [built(name, architecture, task).outputs(IMAGES) for name in FRAMEWORKS]
    assert found[0].shape == ((3, 10) if task == "classification" else (3, 24, 24))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["residual", "separable", "u-shaped"])
def test_the_onnx_graph_computes_the_same(architecture, tmp_path):
    for task in ("classification", "segmentation"):
        model = built("torch", architecture, task)
        path = model.write(tmp_path / "run", 0, "onnx")
        evaluator = onnx.reference.ReferenceEvaluator(str(path))
        (found,) = evaluator.run(None, {"images": IMAGES[:, None]})
        expected = model.outputs(IMAGES)
        np.testing.assert_allclose(
            np.reshape(found, expected.shape), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(("taps", "stride", "groups"), [(3, 1, 6), (3, 2, 6), (1, 1, 1), (3, 2, 1)])
def test_convolutions_by_hand_are_those_of_torch(taps, stride, groups):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 8, 8, 6), np.float32)
    kernel = rng.standard_normal((taps, taps, 6 // groups, 6), np.float32)
    padding = taps // 2
    found = convolve(
        *(jnp.asarray(images), jnp.asarray(kernel), (stride, stride), [(padding, padding)] * 2),
        feature_group_count=groups,
        dimension_numbers=jax.lax.conv_dimension_numbers(
            images.shape, kernel.shape, ("NHWC", "HWIO", "NHWC")
        ),
    )
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(images.transpose(0, 3, 1, 2)),
        torch.from_numpy(kernel.transpose(3, 2, 0, 1)),
        *(None, stride, padding),
        groups=groups,
    )
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), atol=1e-4)


def test_first_weights_are_he_normal():
    weights = initial_weights(steps("plain", "denoising", 16), 0)
    weight, bias = weights["conv4"]
    assert weight.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert not bias.any()
    other, _ = initial_weights(steps("plain", "denoising", 16), 1)["conv4"]
    assert not np.array_equal(weight, other)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_training_takes_the_same_steps_in_every_framework(framework):
    """One step of AdamW moves each weight by the learning rate against the sign of its gradient."""
    rate, decay = 1e-3, 1e-1
    model = built(framework, "plain", "denoising")
    plan = Plan("squares", 3, rate, decay, (0, 3))
    batch = Examples(IMAGES, IMAGES)
    (first, before), (last, after) = model.train(iter([batch] * 3), plan)
    assert (first, last) == (0, 3)
    assert np.mean((after.outputs(IMAGES) - IMAGES) ** 2) < np.mean(
        (before.outputs(IMAGES) - IMAGES) ** 2
    )
    reference = built("torch", "plain", "denoising").train(iter([batch] * 3), plan)
    expected = list(reference)[-1][1].outputs(IMAGES)
    np.testing.assert_allclose(after.outputs(IMAGES), expected, rtol=1e-2, atol=1e-3)
    np.testing.assert_array_equal(before.outputs(IMAGES), model.outputs(IMAGES))
