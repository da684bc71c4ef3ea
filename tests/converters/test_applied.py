"""What is read is what the live network multiplies with, in whatever parts it is stored."""

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from flax import nnx
from torch.nn.utils import parametrizations, parametrize, prune

from jfilters.converters import StoredArray, from_params, load, open_checkpoint
from jfilters.converters._applied import _formulas, compose

RULES = {
    "weight norm": torch.nn.utils.parametrizations.weight_norm,
    "weight norm over all": lambda conv: parametrizations.weight_norm(conv, dim=None),
    "spectral norm": parametrizations.spectral_norm,
    "mask": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "structured mask": lambda conv: prune.ln_structured(conv, "weight", 0.5, n=2, dim=0),
}
APPLIED = {
    "weight norm": "weight-norm",
    "weight norm over all": "weight-norm",
    "spectral norm": "spectral-norm",
    "mask": "masked",
    "structured mask": "masked",
}


def network(wrap=lambda conv: conv):
    torch.manual_seed(0)
    net = torch.nn.Sequential()
    net.conv, net.deconv = wrap(torch.nn.Conv2d(3, 6, 3)), wrap(torch.nn.ConvTranspose2d(6, 6, 2))
    return net


def trained(net):
    """The same after a step, so that no scale is where the initialization left it."""
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    net(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    return net.eval()


def weights(net):
    """The kernels that the network applies, as (out, in, h, w)."""
    net(torch.zeros(1, 3, 8, 8))
    return [net.conv.weight.detach().numpy(), net.deconv.weight.detach().numpy().swapaxes(0, 1)]


def read(path, values, suffix):
    if suffix == ".pth":
        torch.save(values, path.with_suffix(suffix))
    else:
        safetensors.torch.save_file(values, path.with_suffix(suffix), {"format": "pt"})
    return open_checkpoint(path.with_suffix(suffix))


def assert_reads(checkpoint, references, applied):
    assert [layer.layer.applied for layer in checkpoint.layers] == [applied] * len(references)
    for layer, reference in zip(checkpoint.layers, references, strict=True):
        np.testing.assert_allclose(layer.read(), reference, rtol=2e-6, atol=1e-7)
        assert layer.read().dtype == np.float32


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("rule", RULES)
def test_a_state_dict_gives_the_applied_weights(tmp_path, rule, suffix):
    net = trained(network(RULES[rule]))
    checkpoint = read(tmp_path / "net", net.state_dict(), suffix)
    assert_reads(checkpoint, weights(net), APPLIED[rule])
    assert [layer.layer.name for layer in checkpoint.layers] == ["conv.weight", "deconv.weight"]
    assert not checkpoint.unread


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("wrap", [torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm])
def test_a_pickled_module_has_one_weight_a_module(tmp_path, wrap):
    net = trained(network(wrap))
    references = weights(net)
    for part in (net.conv, net.deconv):
        part.weight = part.weight.detach() * 0 + 1  # what an earlier forward pass left there
    torch.save(net, tmp_path / "net.pt")
    checkpoint = open_checkpoint(tmp_path / "net.pt")
    applied = "weight-norm" if wrap is torch.nn.utils.weight_norm else "spectral-norm"
    assert_reads(checkpoint, references, applied)


class Symmetric(torch.nn.Module):
    def forward(self, weight):
        return weight + weight.flip(-1)


class Mask(torch.nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return weight * self.mask


def test_an_unknown_parametrization_is_said_and_not_read(tmp_path):
    net = network()
    parametrize.register_parametrization(net.conv, "weight", Symmetric())
    parametrizations.orthogonal(net.deconv)
    checkpoint = read(tmp_path / "net", net.state_dict(), ".pth")
    assert checkpoint.layers == ()
    assert [array.name for array in checkpoint.unread] == ["conv.weight", "deconv.weight"]
    assert all("stored before its parametrization" in x.reason for x in checkpoint.unread)


def test_loading_a_part_of_a_network_warns(tmp_path):
    net = network()
    parametrizations.orthogonal(net.conv)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    with pytest.warns(UserWarning, match=r"net\.pth: 1 of 2 layers read; not read"):
        kernels = load(tmp_path / "net.pth")
    assert kernels.names == ("deconv.weight",)


def test_parametrizations_apply_one_after_the_other(tmp_path):
    net = network(parametrizations.weight_norm)
    mask = (torch.rand(6, 3, 3, 3) > 0.5).float()
    parametrize.register_parametrization(net.conv, "weight", Mask(mask))
    checkpoint = read(tmp_path / "net", trained(net).state_dict(), ".pth")
    np.testing.assert_allclose(checkpoint.layers[0].read(), weights(net)[0], rtol=2e-6, atol=1e-7)
    assert [layer.layer.applied for layer in checkpoint.layers] == ["masked", "weight-norm"]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
@pytest.mark.parametrize("name", ["weight_scale", "scale_weight", "weight.scale"])
@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 1, 1, 1)])
def test_narrow_weights_are_dequantized_by_the_scale_beside_them(tmp_path, dtype, name, shape):
    stored = (network().conv.weight.detach() * 100).to(dtype)
    scale = torch.linspace(0.1, 2, 6)
    values = {"conv.weight": stored, f"conv.{name}": scale.reshape(shape)}
    checkpoint = read(tmp_path / "net", values, ".safetensors")
    reference = stored.float().numpy() * scale.numpy()[:, None, None, None]
    assert_reads(checkpoint, [reference], "dequantized")


def test_a_zero_point_is_taken_off(tmp_path):
    stored = torch.arange(-54, 54).reshape(6, 2, 3, 3).to(torch.int8)
    values = {"c.weight": stored, "c.weight_scale": torch.tensor(0.5)}
    values["c.weight_zero_point"] = torch.tensor([3.0])
    checkpoint = read(tmp_path / "net", values, ".safetensors")
    assert_reads(checkpoint, [(stored.numpy() - 3.0) * 0.5], "dequantized")


def test_integers_without_a_scale_are_missed(tmp_path):
    values = {"c.weight": torch.ones(6, 3, 3, 3, dtype=torch.int8), "n": torch.ones(2, 2, 2)}
    [unread] = read(tmp_path / "net", values, ".safetensors").unread
    assert (unread.name, unread.reason) == ("c.weight", "integer weights without a scale")


def adapter(*, names=("lora_down.weight", "lora_up.weight"), middle=None):
    generator = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, 3, 3, 3, generator=generator), torch.randn(6, 2, 1, 1)
    return {f"conv.{names[0]}": down, f"conv.{names[1]}": up}


def test_an_adapter_is_merged_where_its_scale_is_told(tmp_path):
    base = network().conv.weight.detach()
    values = {"conv.weight": base, **adapter(), "conv.alpha": torch.tensor(3.0)}
    down, up = values["conv.lora_down.weight"], values["conv.lora_up.weight"]
    delta = torch.einsum("orxy,rihw->oihw", up, down) * 3 / 2
    checkpoint = read(tmp_path / "net", values, ".safetensors")
    [layer] = checkpoint.layers
    np.testing.assert_allclose(layer.read(), base + delta, rtol=1e-5, atol=1e-6)
    assert layer.layer.applied == "merged"


def test_an_adapter_whose_scale_is_elsewhere_leaves_its_base_and_a_note(tmp_path):
    base = network().conv.weight.detach()
    names = ("lora_A.default.weight", "lora_B.default.weight")
    values = {"conv.base_layer.weight": base, **adapter(names=names)}
    [layer] = read(tmp_path / "net", values, ".safetensors").layers
    np.testing.assert_array_equal(layer.read(), base)
    assert (layer.layer.name, layer.layer.applied) == ("conv.weight", "unknown")
    assert "does not tell its scale" in layer.layer.note


def test_an_adapter_alone_is_no_layer(tmp_path):
    checkpoint = read(tmp_path / "net", adapter(), ".safetensors")
    assert checkpoint.layers == checkpoint.unread == ()
    assert {array.reason for array in checkpoint.skipped} == {
        "an adapter, which is no layer without its base"
    }


class Linen(nn.Module):
    norm: type

    @nn.compact
    def __call__(self, x, **update):
        x = self.norm(nn.Conv(4, (3, 3), name="first"), name="wrapper")(x, **update)
        return self.norm(nn.Conv(3, (3, 3)))(x, **update)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [nn.WeightNorm, nn.SpectralNorm])
def test_norms_of_flax_are_applied(tmp_path, norm):
    update = {"update_stats": True} if norm is nn.SpectralNorm else {}
    images = jnp.ones((1, 5, 5, 3))
    init = jax.jit(lambda: Linen(norm).init(jax.random.key(0), images, **update))
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) * 1.5, init())
    (tmp_path / "net.msgpack").write_bytes(flax.serialization.to_bytes(variables))
    kernels = load(tmp_path / "net.msgpack")
    plain = {
        name.removesuffix("/kernel"): {"kernel": np.transpose(weight, (2, 3, 1, 0))}
        for name, weight in zip(kernels.names, kernels.weights, strict=True)
    }
    for name, params in plain.items():
        params["bias"] = variables["params"][name]["bias"]
    off = {"update_stats": False} if norm is nn.SpectralNorm else {}
    wanted = Linen(norm).apply(variables, images, **off)
    found = images
    for name, features in (("first", 4), ("Conv_0", 3)):
        found = nn.Conv(features, (3, 3)).apply({"params": plain[name]}, found)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [nnx.WeightNorm, nnx.SpectralNorm])
def test_norms_of_nnx_are_applied(tmp_path, norm):
    """NNX keeps its kernel normalized after a pass, so that the state is taken before one."""
    net = norm(nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    state = nnx.to_pure_dict(nnx.state(net))
    if norm is nnx.WeightNorm:
        state["scales"] = {key: scale * 3 for key, scale in state["scales"].items()}
        nnx.update(net, state)
    named = {name: {str(key): leaf for key, leaf in tree.items()} for name, tree in state.items()}
    (tmp_path / "net.msgpack").write_bytes(flax.serialization.to_bytes(named))
    [weight] = load(tmp_path / "net.msgpack").weights
    [live] = from_params(net).weights
    off = {"update_stats": False} if norm is nnx.SpectralNorm else {}
    net(jnp.ones((1, 5, 5, 3)), **off)
    applied = np.transpose(net.layer_instance.kernel.get_value(), (3, 2, 0, 1))
    np.testing.assert_allclose(weight, applied, rtol=1e-5)
    np.testing.assert_allclose(live, applied, rtol=1e-5)


def values_of(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("of_jax", [False, True])
def test_formulas_agree_with_float64_and_run_on_traced_arrays(of_jax):
    v, g, u = values_of(6, 3, 3, 3), values_of(6, 1, 1, 1), values_of(6)
    right = values_of(27)
    calls = {
        _formulas.weight_norm: ((g, v), g * v / np.sqrt((v**2).sum((1, 2, 3), keepdims=True))),
        _formulas.spectral_norm: ((v, u, right), v / (u @ v.reshape(6, -1) @ right)),
        _formulas.masked: ((v, v > 0), np.where(v > 0, v, 0)),
        _formulas.dequantized: ((v, u), v * u[:, None, None, None]),
    }
    for formula, (arguments, reference) in calls.items():
        function = jax.jit(formula) if of_jax else formula
        found = function(*map(jnp.asarray, arguments)) if of_jax else formula(*arguments)
        np.testing.assert_allclose(found, reference, rtol=2e-4, atol=1e-5)


def test_degenerate_parts_stay_finite():
    zero = np.zeros((2, 3, 3, 3), np.float32)
    assert not _formulas.weight_norm(np.ones((2, 1, 1, 1), np.float32), zero).any()
    assert not _formulas.spectral_norm(zero, np.ones(2, np.float32), np.ones(27, np.float32)).any()


@pytest.mark.parametrize(
    ("names", "shapes"),
    [
        (("c.weight_orig", "c.weight_mask"), ((4, 3, 3, 3), (4, 2, 3, 3))),
        (("c.weight_g", "c.weight_v"), ((5, 1, 1, 1), (4, 3, 3, 3))),
        (("c.weight_orig", "c.weight_u", "c.weight_v"), ((4, 3, 3, 3), (5,), (27,))),
    ],
)
def test_parts_that_do_not_fit_are_not_composed(names, shapes):
    arrays = [
        StoredArray(name, shape, "float32", lambda: np.zeros(0), axes="OIHW")
        for name, shape in zip(names, shapes, strict=True)
    ]
    [weight] = [array for array in compose(arrays) if array.unread]
    assert weight.reason is not None
    assert weight.reason.startswith("stored before its parametrization")


def test_most_checkpoints_are_left_as_they_are():
    arrays = [StoredArray("c.weight", (4, 3, 3, 3), "float32", lambda: np.zeros(0))]
    assert compose(arrays) == arrays
