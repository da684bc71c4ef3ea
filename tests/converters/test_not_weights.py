"""Arrays with the shape of a weight that training keeps beside it, whatever they are called."""

import numpy as np
import pytest

from jfilters.converters import StoredArray
from jfilters.converters._not_weights import GRADIENTS, MASK, OPTIMIZER, training_state

SHAPE = (8, 4, 3, 3)


def arrays(*names, network="", values=None):
    values = np.ones(SHAPE, np.float32) * 0.5 if values is None else values
    return [
        StoredArray(name, values.shape, "float32", lambda: values, network=network)
        for name in names
    ]


def reason(name, *others, **known):
    return training_state(arrays(name, *others, **known)).get(0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("optimizer.state.0.exp_avg", OPTIMIZER),
        ("trainer.optim_g.c.weight", OPTIMIZER),
        ("d_opt_state.0.mu.c.kernel", OPTIMIZER),
        ("generator/opt_state/0/nu/c/kernel", OPTIMIZER),
        ("1.0.trace.block.c.kernel", OPTIMIZER),
        ("OptimizerVars.c.weight", OPTIMIZER),
        ("c.momentum_buffer", OPTIMIZER),
        ("grads.c.weight", GRADIENTS),
        ("state.acc_grads.3", GRADIENTS),
        ("ewc.fisher.c.weight", GRADIENTS),
        ("mu.weight", None),
        ("encoder.0.mu.weight", None),
        ("masks.c.weight", None),
        ("velocity.c.weight", None),
        ("optical_flow.c.weight", None),
        ("options.c.weight", None),
        ("adopt.c.weight", None),
        ("gradient_branch.c.weight", None),
        ("mask_head.c.weight", None),
        ("momentum_encoder.c.weight", None),
    ],
)
def test_a_name_tells_by_itself(name, expected):
    assert reason(name) == expected


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("masks.block.c.weight", "net.block.c.weight", None),
        ("velocity.block.c.weight", "net.block.c.weight", OPTIMIZER),
        ("velocity.weight", "pressure.weight", None),
        ("net.velocity.block.c.weight", "net.block.c.weight", OPTIMIZER),
        ("body.velocity.c.weight", "body.pressure.c.weight", None),
        ("mu.c.weight", "nu.c.weight", OPTIMIZER),
        ("mu.weight", "logvar.weight", None),
        ("conv1_w_momentum", "conv1_w", OPTIMIZER),
        ("c__weight_EWC_estimated_fisher", "c.weight", OPTIMIZER),
        ("c.weight_grad", "c.weight", OPTIMIZER),
        ("c.weight_ema", "c.weight", OPTIMIZER),
        ("c/kernel/Adam_1", "c/kernel", OPTIMIZER),
        ("c/weights/ExponentialMovingAverage", "c/weights", OPTIMIZER),
        ("c.weight_momentum", "d.weight", None),
    ],
)
def test_words_of_modules_count_where_arrays_repeat_others(name, other, expected):
    found = reason(name, other)
    assert (found is None) == (expected is None)


def test_a_tree_of_masks_holds_zeros_and_ones():
    names = ("masks.block.c.weight", "net.block.c.weight")
    assert reason(*names, values=(np.arange(288).reshape(SHAPE) % 2).astype(np.float32)) == MASK
    assert reason(*names) is None


def test_a_dict_of_velocities_may_hold_single_modules():
    found = training_state(arrays("weight", network="velocity") + arrays("weight", network="net"))
    assert found == {0: OPTIMIZER}
