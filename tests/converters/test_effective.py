"""Live torch modules: the weights of the next forward pass in eval mode, and nothing changed by asking."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from jfilters.converters import from_module
from jfilters.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Standardized(torch.nn.Conv2d):
    def forward(self, image):
        mean, deviation = (
            self.weight.mean((1, 2, 3), True),
            self.weight.std((1, 2, 3), keepdim=True),
        )
        return functional.conv2d(image, (self.weight - mean) / deviation, self.bias)


class Doubled(torch.nn.Conv2d):
    def _conv_forward(self, image, weight, bias):
        return super()._conv_forward(image, weight * 2, bias)


def doubling_hook(conv):
    conv.kernel = torch.nn.Parameter(conv.weight.detach())
    del conv.weight
    conv.weight = conv.kernel.detach() * 0
    conv.register_forward_pre_hook(lambda module, _: setattr(module, "weight", 2 * module.kernel))
    return conv


WRAPS = {
    "weight_norm": torch.nn.utils.weight_norm,
    "spectral_norm": torch.nn.utils.spectral_norm,
    "prune": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
    "parametrized orthogonal": parametrizations.orthogonal,
    "own forward": lambda conv: Standardized(3, 8, 3),
    "own convolution": lambda conv: Doubled(3, 8, 3),
    "unknown hook": doubling_hook,
    "plain": lambda conv: conv,
}


def applied(net):
    """The weight with which the network convolves in eval mode."""
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is functional.conv2d or func is torch.conv2d:
                seen.append(args[1].detach().numpy().copy())
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Watch():
        copy_of = net.eval()
        copy_of(torch.zeros(1, 3, 8, 8))
    return seen[-1]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("is_stepped", [True, False])
def test_the_weight_is_that_of_the_next_forward_pass(wrap, is_stepped):
    torch.manual_seed(0)
    net = torch.nn.Sequential(WRAPS[wrap](torch.nn.Conv2d(3, 8, 3)))
    if is_stepped:
        optimizer = torch.optim.SGD(net.parameters(), 0.3)
        net(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    [weight] = from_module(net).weights
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} was changed"
    assert net.training
    np.testing.assert_allclose(weight, applied(net), rtol=2e-6, atol=1e-7)


def test_a_spectral_norm_that_was_just_loaded():
    trained = torch.nn.Sequential(torch.nn.utils.spectral_norm(torch.nn.Conv2d(3, 8, 3)))
    for _ in range(3):
        trained(torch.randn(2, 3, 8, 8))
    net = torch.nn.Sequential(torch.nn.utils.spectral_norm(torch.nn.Conv2d(3, 8, 3)))
    net.load_state_dict(trained.state_dict())
    [weight] = from_module(net).weights
    np.testing.assert_allclose(weight, applied(net), rtol=2e-6)


def test_a_parametrized_weight_that_modules_share_counts_once():
    conv = parametrizations.weight_norm(torch.nn.Conv2d(3, 3, 3))
    other = copy.deepcopy(conv)
    other.parametrizations.weight.original1 = conv.parametrizations.weight.original1
    assert len(from_module(torch.nn.Sequential(conv, conv, other))) == 1


def test_a_weight_that_nothing_tells_is_refused():
    class Lost(torch.nn.Conv2d):
        def forward(self, image):
            raise RuntimeError("needs a second input")

    conv = Lost(3, 8, 3)
    del conv.weight
    conv.weight = torch.zeros(8, 3, 3, 3)
    with pytest.raises(
        CheckpointError, match=r"weight: its weight is computed .*; remove the hook"
    ):
        from_module(conv)
