"""torch checkpoints with torch itself as the oracle: equal names, dtypes and values."""

import argparse
import collections
import pickle
import struct
import sys
import warnings
import zipfile

import numpy as np
import pytest

from jfilters.converters._select import select
from jfilters.converters._torch import _format as _torch
from jfilters.converters._torch import _modules as _modules
from jfilters.converters._torch import _storage as _torch_storage
from jfilters.errors import CheckpointError, MissingExtraError
from jfilters.io._source import LocalSource

torch = pytest.importorskip("torch")
nn = torch.nn

SAVES = {
    "zip": lambda value, path: torch.save(value, path),
    "legacy": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
    "pickle": lambda value, path: path.write_bytes(pickle.dumps(value, 4)),
}


def network() -> nn.Module:
    return nn.Sequential(
        collections.OrderedDict(
            stem=nn.Conv2d(3, 8, 3),
            norm=nn.BatchNorm2d(8),
            depthwise=nn.Conv2d(8, 8, 5, groups=8),
            block=nn.Sequential(nn.Conv1d(4, 6, 3, groups=2), nn.Conv3d(2, 4, (3, 1, 3))),
            up=nn.ConvTranspose2d(6, 4, 2, groups=2),
            head=nn.Linear(4, 2),
        )
    )


def arrays(path):
    head = path.read_bytes()[:512]
    assert _torch.FORMAT.recognizes(path, head)
    return _torch.FORMAT.arrays(path)


def by_name(path):
    return {".".join(filter(None, (a.network, a.name))): a for a in arrays(path)}


def saved(value, path, how="zip"):
    SAVES[how](value, path)
    return path


def values(tensor):
    """A tensor as NumPy's, bfloat16 and float8 widened, which is exact."""
    wide = tensor if tensor.dtype in NUMPY else tensor.to(torch.float32)
    return wide.detach().resolve_neg().resolve_conj().numpy()


NUMPY = {torch.float64, torch.float32, torch.float16, torch.bool, torch.complex64, torch.complex128}
NUMPY |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def assert_equal(stored, tensor):
    assert stored.shape == tuple(tensor.shape)
    assert stored.dtype == str(tensor.dtype).removeprefix("torch.")
    read, expected = stored.read(), values(tensor)
    assert read.dtype.name == stored.dtype
    np.testing.assert_array_equal(read.astype(expected.dtype), expected)


@pytest.mark.parametrize("how", SAVES)
def test_a_state_dict_is_read_as_torch_reads_it(tmp_path, how):
    state = network().state_dict()
    path = saved(state, tmp_path / "x.pt", how)
    found = arrays(path)
    assert [a.name for a in found] == list(state)
    assert {a.network for a in found} == {""}
    for array in found:
        assert_equal(array, state[array.name])


@pytest.mark.parametrize("how", SAVES)
def test_views_of_every_kind_are_read(tmp_path, how):
    base = torch.arange(24.0).reshape(2, 3, 4)
    views = {
        "transposed": base.permute(2, 0, 1),
        "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "offset": base[1, 1:],
        "stepped": base[:, ::2, 1::2],
        "expanded": torch.rand(3, 1).expand(3, 4),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3, 3),
        "windows": torch.arange(6.0).unfold(0, 3, 1),
    }
    found = by_name(saved(views, tmp_path / "x.pt", how))
    for name, tensor in views.items():
        assert_equal(found[name], tensor)


DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
DTYPES += (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
DTYPES += (torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.complex128)


@pytest.mark.parametrize("how", SAVES)
def test_every_dtype_is_read(tmp_path, how):
    numbers = torch.arange(6).reshape(2, 3)
    tensors = {str(dtype): numbers.to(dtype) for dtype in DTYPES}
    found = by_name(saved(tensors, tmp_path / "x.pt", how))
    for name, tensor in tensors.items():
        assert_equal(found[name], tensor)


def test_big_endian_archives_are_swapped(tmp_path):
    value = {"a": torch.tensor([1.5, 2.5]), "c": torch.tensor([1 + 2j])}
    value["b"] = torch.rand(3).bfloat16()
    path = saved(value, tmp_path / "little.pt")
    big = tmp_path / "big.pt"
    widths = {"data/0": 4, "data/1": 4, "data/2": 2}
    with zipfile.ZipFile(path) as little, zipfile.ZipFile(big, "w") as out:
        for name in little.namelist():
            data, width = little.read(name), widths.get(name.partition("/")[2], 1)
            data = np.frombuffer(data, f"V{width}").view(f"u{width}").byteswap().tobytes()
            out.writestr(name, b"big" if name.endswith("byteorder") else data)
    found = by_name(big)
    for name, tensor in value.items():
        assert_equal(found[name], tensor)


@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_are_dequantized(tmp_path, how):
    weight = torch.randn(4, 2, 3, 3)
    scales, zeros = torch.tensor([0.01, 0.02, 0.03, 0.04]), torch.tensor([0, 1, -2, 3])
    value = {
        "tensor": torch.quantize_per_tensor(weight, 0.02, 3, torch.qint8),
        "unsigned": torch.quantize_per_tensor(weight, 0.02, 120, torch.quint8),
        "channel": torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8),
    }
    found = by_name(saved(value, tmp_path / "x.pt", how))
    for name, tensor in value.items():
        assert found[name].dtype == "float32"
        np.testing.assert_allclose(found[name].read(), tensor.dequantize().numpy(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_tensors_without_dense_values_say_so(tmp_path):
    value = {
        "sparse": torch.eye(3).to_sparse(),
        "rows": torch.eye(3).to_sparse_csr(),
        "meta": torch.empty(2, 2, device="meta"),
        "weight": torch.ones(1),
    }
    found = by_name(saved(value, tmp_path / "x.pt"))
    assert [found[name].reason for name in ("sparse", "rows")] == [
        "a sparse tensor, which stores no dense values",
    ] * 2
    assert "meta tensor" in found["meta"].reason
    assert found["weight"].reason is None
    with pytest.raises(CheckpointError, match="sparse"):
        found["sparse"].read()


@pytest.mark.parametrize("how", SAVES)
def test_a_whole_module_tells_groups_and_kind(tmp_path, how):
    module = network()
    found = {a.name: a for a in arrays(saved(module, tmp_path / "x.pt", how))}
    assert list(found) == list(module.state_dict())
    facts = {n: (a.axes, a.groups, a.transposed) for n, a in found.items() if len(a.shape) > 2}
    assert facts == {
        "stem.weight": ("OIHW", 1, False),
        "depthwise.weight": ("OIHW", 8, False),
        "block.0.weight": ("OIW", 2, False),
        "block.1.weight": ("OIDHW", 1, False),
        "up.weight": ("IOHW", 2, True),
    }
    for name, tensor in module.state_dict().items():
        assert_equal(found[name], tensor)


class Extra(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 2, 3)
        self.kept = [torch.ones(2)]


def test_a_module_in_a_wrapper_is_its_network_and_its_attributes_are_kept(tmp_path):
    found = arrays(saved({"model": Extra(), "epoch": 3}, tmp_path / "x.pt"))
    assert [(a.network, a.name) for a in found] == [
        ("model", "body.weight"),
        ("model", "body.bias"),
        ("model", "kept.0"),
    ]


class Nested(nn.Module):
    """Branches within lists within sequences, registered in an order that no sorting gives."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        inner = nn.ModuleList([nn.Conv2d(8, 8, 3, groups=8), nn.Sequential(nn.Conv2d(8, 6, 3))])
        self.layers = nn.Sequential(nn.Sequential(nn.Conv2d(8, 8, 3)), nn.Conv2d(8, 8, 3))
        self.branches, self.ahead = inner, nn.ConvTranspose2d(6, 2, 3)

    def forward(self, x):
        x = self.layers(self.stem(x))
        return self.ahead(self.branches[1](self.branches[0](x)))


@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.parametrize("wrap", ["bare", "dict", "parallel", "list"])
def test_a_traced_module_of_torch_fx_is_one_network(tmp_path, how, wrap):
    module = torch.fx.symbolic_trace(Nested())
    wrapped = {
        "bare": module, "dict": {"model": module, "epoch": 3}, "parallel": nn.DataParallel(module),
        "list": [module],
    }[wrap]  # fmt: skip
    found = arrays(saved(wrapped, tmp_path / "m", how))
    layers, _ = select(found, "registration-order")
    prefix = "module." if wrap == "parallel" else ""
    names = ["stem", "layers.0.0", "layers.1", "branches.0", "branches.1.0", "ahead"]
    assert [item.stored.name for item in layers] == [f"{prefix}{name}.weight" for name in names]
    assert len({item.stored.network for item in layers}) == 1
    assert [item.layer.depth for item in layers] == list(range(6))
    assert [item.layer.groups for item in layers] == [1, 1, 1, 8, 1, 1]
    assert_equal(layers[1].stored, module.get_submodule("layers.0.0").weight)


def test_modules_in_lists_are_networks_of_their_own(tmp_path):
    found = by_name(saved([nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 5, 3)], tmp_path / "m"))
    assert set(found) == {"0.0.weight", "0.0.bias", "1.weight", "1.bias"}
    assert {array.network for array in found.values()} == {"0", "1"}


def adam(module):
    """What torch.optim.Adam.state_dict() gives, which itself takes seconds to import."""
    state = {
        index: {"step": torch.tensor(1.0), "exp_avg": p.detach() * 1, "exp_avg_sq": p.detach() ** 2}
        for index, p in enumerate(module.parameters())
    }
    return {"state": state, "param_groups": [{"lr": 0.1, "params": list(state)}]}


def test_a_lightning_checkpoint_with_a_namespace_is_read(tmp_path):
    module = network()
    path = tmp_path / "x.ckpt"
    torch.save(
        {
            "epoch": 1,
            "state_dict": module.state_dict(),
            "optimizer_states": [adam(module)],
            "hyper_parameters": argparse.Namespace(lr=0.1, sizes=[1, 2]),
            "callbacks": {"best": np.float64(0.5)},
        },
        path,
    )
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    found = arrays(path)
    weights = [a for a in found if a.reason is None]
    assert {a.network for a in weights} == {"state_dict"}
    assert [a.name for a in weights] == list(module.state_dict())
    others = [a for a in found if a.reason]
    assert len(others) == 3 * len(list(module.parameters()))
    assert {a.reason for a in others} == {"optimizer state"}


def test_an_optimizer_alone_has_no_layers(tmp_path):
    found = arrays(saved(adam(nn.Conv2d(3, 8, 3)), tmp_path / "x.pt"))
    layers, skipped = select(found, "name-order")
    assert (layers, {s.reason for s in skipped}) == ((), {"optimizer state"})


class Rule:
    def __init__(self, parameters):
        self.groups = [{"params": list(parameters)}]


def test_a_pickled_optimizer_does_not_hide_the_network(tmp_path, monkeypatch):
    module = nn.Conv2d(3, 8, 3)
    optimizer = Rule(module.parameters())
    monkeypatch.setitem(sys.modules, "torch.optim.rule", sys.modules[__name__])
    monkeypatch.setattr(Rule, "__module__", "torch.optim.rule")
    found = arrays(saved({"opt": optimizer, "net": module.state_dict()}, tmp_path / "x.pt"))
    assert {a.reason for a in found if a.network == "net"} == {None}
    assert {a.reason for a in found if a.network != "net"} == {"optimizer state"}


def test_networks_are_told_apart_by_the_dicts_that_hold_them(tmp_path):
    value = {
        "nets": {"a": network().state_dict(), "b": network().state_dict()},
        "list": [nn.Conv2d(1, 1, 3).state_dict()],
        "buffer": torch.ones(1),
    }
    found = arrays(saved(value, tmp_path / "x.pt"))
    assert list(dict.fromkeys(a.network for a in found)) == ["nets.a", "nets.b", "list.0", ""]
    layers, _ = select(found, _torch.FORMAT.order)
    assert {layer.layer.name for layer in layers} >= {"nets.a.stem.weight", "list.0.weight"}


def test_tied_weights_count_once(tmp_path):
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    module[1].weight = module[0].weight
    for name, value in {"module": module, "state": module.state_dict()}.items():
        found = {a.name: a for a in arrays(saved(value, tmp_path / name))}
        assert found["0.weight"].reason is None
        assert found["1.weight"].reason == "the same storage as 0.weight"
        assert found["1.bias"].reason is None


def test_different_views_of_one_storage_are_different_arrays(tmp_path):
    base = torch.rand(4, 2, 3, 3)
    found = arrays(saved({"all": base, "half": base[:2], "again": base[:]}, tmp_path / "x.pt"))
    assert [a.reason for a in found] == [None, None, "the same storage as all"]


def test_a_view_that_is_far_larger_than_its_storage_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_torch_storage, "MAX_REPEATED", 1000)
    tensor = torch.rand(1, 1).expand(100, 100)
    (found,) = arrays(saved({"mask": tensor}, tmp_path / "x.pt"))
    assert found.reason == "10000 elements that repeat 1 stored ones"
    with pytest.raises(CheckpointError, match="repeat"):
        found.read()


def traced(module):
    return torch.jit.trace(module, torch.ones(1, 3, 9, 9))


@pytest.mark.parametrize("script", [torch.jit.script, traced])
@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_read(tmp_path, script):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3), nn.BatchNorm2d(2))
    module.eval()
    path = tmp_path / "x.pt"
    with warnings.catch_warnings(action="ignore"):
        script(module).save(str(path))
    found = {a.name: a for a in arrays(path)}
    for name, tensor in module.state_dict().items():
        assert_equal(found[name], tensor)
    assert (found["0.weight"].axes, found["0.weight"].transposed) == ("OIHW", False)
    assert (found["1.weight"].axes, found["1.weight"].transposed) == ("IOHW", True)


def test_old_torchscript_is_refused_by_name(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/model.json", "{}")
        archive.writestr("net/tensors/0", b"1234")
    with pytest.raises(CheckpointError, match=r"torch 1\.0 to 1\.3"):
        arrays(path)


def test_the_tar_format_of_torch_0_1_is_refused_by_name(tmp_path):
    path = tmp_path / "x.pth.tar"
    path.write_bytes(b"sys_info".ljust(257, b"\0") + b"ustar".ljust(255, b"\0"))
    with pytest.raises(CheckpointError, match=r"tar file of torch 0\.1"):
        arrays(path)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numpy_and_jax_arrays_in_a_pickle_are_read(tmp_path, protocol):
    import jax.numpy as jnp
    import ml_dtypes

    rng = np.random.default_rng(0)
    value = {
        "plain": rng.normal(size=(2, 3, 3)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "big": np.arange(4, dtype=">i4"),
        "wide": rng.normal(size=(200, 100)),
        "bfloat16": np.arange(5).astype(ml_dtypes.bfloat16),
        "scalar": np.array(3.0),
        "empty": np.zeros((0, 3), np.float16),
        "jax": jnp.arange(6.0).reshape(2, 3),
    }
    found = by_name(_dump(value, tmp_path, protocol))
    assert list(found) == list(value)
    for name, array in value.items():
        assert found[name].axes is None
        assert found[name].dtype == array.dtype.name
        np.testing.assert_array_equal(found[name].read(), np.asarray(array))


def _dump(value, folder, protocol):
    path = folder / "x.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def test_layers_of_a_nested_dict_of_arrays_are_one_network(tmp_path):
    value = {"params": {"conv": {"w": np.ones((3, 3, 2, 4)), "b": np.ones(4)}}, "step": 3}
    found = arrays(_dump(value, tmp_path, 4))
    assert [(a.network, a.name) for a in found] == [("", "params.conv.w"), ("", "params.conv.b")]


def test_objects_and_structures_of_numpy_say_so(tmp_path):
    rows, text = np.zeros(2, [("a", "f4")]), np.array("x")
    value = {"objects": np.array([{}, None]), "rows": rows, "text": text}
    found = arrays(_dump(value, tmp_path, 4))
    assert [(a.name, a.reason) for a in found] == [(name, "not numeric") for name in value]


def test_a_pickle_without_arrays_is_empty(tmp_path):
    assert arrays(_dump({"vocabulary": ["a", "b"]}, tmp_path, 4)) == []


def test_a_checksum_that_its_writer_left_out_is_not_compared(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = saved({"a": torch.ones(2)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert len(arrays(path)) == 1


def test_other_files_are_not_recognized(tmp_path):
    other = tmp_path / "x.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a/data.txt", "x")
    for content in (other.read_bytes(), b"", b"\x80", b"PK\x03\x04", b"\x80\x01N.", b"GIF89a"):
        other.write_bytes(content)
        assert not _torch.FORMAT.recognizes(other, content[:512])
    assert not _torch.FORMAT.recognizes(tmp_path / "missing", b"PK\x03\x04")


def test_a_safetensors_header_that_looks_like_a_pickle_is_none(tmp_path):
    head = struct.pack("<Q", 0x280) + b'{"a":{}}'
    assert head.startswith(b"\x80\x02")
    assert not _torch.FORMAT.recognizes(tmp_path / "x", head)


def test_only_the_bytes_of_a_view_are_asked_for(tmp_path, monkeypatch):
    path = saved({"part": torch.rand(1000, 9)[500:510]}, tmp_path / "x.pt")
    asked = []
    (found,) = arrays(path)
    monkeypatch.setattr(LocalSource, "read", _recorder(asked, LocalSource.read))
    found.read()
    assert sum(asked) < 10 * 9 * 4 + 100


def _recorder(asked, read):
    def recorded(self, start, stop):
        data = read(self, start, stop)
        asked.append(len(data))
        return data

    return recorded


def test_torch_is_not_imported_for_its_files(tmp_path):
    import subprocess

    path = saved(network(), tmp_path / "x.pt")
    code = (
        "import sys; from pathlib import Path; from jfilters.converters import _torch;"
        f"assert len(_torch.FORMAT.arrays(Path({str(path)!r}))) == 17;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_live_module_gives_the_kernels_of_its_file(tmp_path):
    module = network()
    kernels = _modules.from_module(module)
    layers, _ = select(arrays(saved(module, tmp_path / "x.pt")), _torch.FORMAT.order)
    assert kernels.layers == tuple(selected.layer for selected in layers)
    for weight, selected in zip(kernels.weights, layers, strict=True):
        expected = selected.arrangement.apply(selected.stored.read())
        np.testing.assert_array_equal(np.asarray(weight), expected)
    up = dict(zip(kernels.names, kernels.weights, strict=True))["up.weight"]
    reference = module.up.weight.detach().numpy()
    # (in, out / groups, ...) of two groups, one below the other as (out, in / groups, ...).
    halves = [reference[:3].swapaxes(0, 1), reference[3:].swapaxes(0, 1)]
    np.testing.assert_array_equal(np.asarray(up), np.concatenate(halves))


def test_a_live_module_counts_shared_weights_once_and_reads_half_precision():
    first, second = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
    second.weight = first.weight
    assert len(_modules.from_module(nn.Sequential(first, second))) == 1
    layers = _modules.from_module(nn.Conv2d(4, 4, 3).bfloat16())
    assert (layers.layers[0].dtype, layers.names) == ("bfloat16", ("weight",))
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 3))
    (weight,) = _modules.from_module(normed).weights
    np.testing.assert_array_equal(np.asarray(weight), normed.weight.detach().numpy())


def test_what_is_no_module_or_has_no_weights_is_refused():
    with pytest.raises(CheckpointError, match=r"expected a torch\.nn\.Module, found dict"):
        _modules.from_module({})
    with pytest.raises(CheckpointError, match="run the module once"):
        _modules.from_module(nn.LazyConv2d(4, 3))


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[torch\]'"):
        _modules.from_module(object())


def test_a_view_that_skips_most_of_its_storage_is_read_in_pieces(tmp_path, monkeypatch):
    base = torch.rand(40, 30, 20)
    views = {"rows": base[::9, :2], "columns": base[:, ::7, 3], "last": base[-1]}
    path = saved(views, tmp_path / "x.pt")
    whole = {name: array.read() for name, array in by_name(path).items()}
    monkeypatch.setattr(_torch_storage, "_PIECE", 1000)
    asked = []
    monkeypatch.setattr(LocalSource, "read", _recorder(asked, LocalSource.read))
    for name, array in by_name(path).items():
        asked.clear()
        np.testing.assert_array_equal(array.read(), values(views[name]))
        np.testing.assert_array_equal(array.read(), whole[name])
        assert max(asked) < 20_000


@pytest.mark.parametrize("value", [None, 3, "text", torch.ones, [], {}])
def test_a_file_of_something_else_is_empty(tmp_path, value):
    assert arrays(_dump(value, tmp_path, 4)) == []


def test_a_convolution_has_one_weight_whatever_else_it_keeps(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    for index, conv in enumerate(network):
        conv.register_buffer(f"saved{index}", conv.weight.detach() * 2)
        conv.register_parameter("trace", nn.Parameter(torch.rand(4, 4, 3, 3)))
    found = by_name(saved(network, tmp_path / "x.pt"))
    assert [
        name for name, array in found.items() if len(array.shape) == 4 and not array.reason
    ] == [
        "0.weight",
        "1.weight",
    ]
    assert found["0.saved0"].reason == "kept by a convolution beside its weight"


def test_a_pickled_average_is_a_network(tmp_path):
    average = torch.optim.swa_utils.AveragedModel(nn.Conv2d(3, 4, 3))
    found = by_name(saved(average, tmp_path / "x.pt"))
    assert found["module.weight"].reason is None


def negative(values):
    """A view that stands for its negative, as the imaginary part of a conjugate is."""
    return torch._neg_view(values)


BITS = {
    "a negative view": lambda x: negative(x),
    "the imaginary part of a conjugate": lambda x: torch.complex(x, x).conj().imag,
    "a parameter": lambda x: nn.Parameter(negative(x)),
    "a part of a negative view": lambda x: negative(x)[2:],
    "bfloat16": lambda x: negative(x.bfloat16()),
    "a conjugate": lambda x: torch.complex(x, x).conj(),
    "a negative conjugate": lambda x: negative(torch.complex(x, x).conj()),
}


@pytest.mark.parametrize("how", SAVES)
@pytest.mark.parametrize("make", BITS.values(), ids=BITS)
def test_bits_of_a_view_count(tmp_path, make, how):
    tensor = make(torch.randn(8, 4, 3, 3))
    stored = by_name(saved({"conv.weight": tensor}, tmp_path / "x.pt", how))
    assert_equal(stored["conv.weight"], tensor)


def test_a_negative_view_is_no_alias_of_what_it_views(tmp_path):
    weight = torch.randn(8, 4, 3, 3)
    state = {"a": weight, "b": negative(weight), "c": negative(weight)}
    stored = by_name(saved(state, tmp_path / "x.pt"))
    assert [stored[name].reason for name in "abc"] == [None, None, "the same storage as b"]
    assert stored["b"].peek is None


def test_a_torchscript_archive_keeps_the_bit(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", negative(torch.randn(8, 4, 3, 3)))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight)

    net = Net()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(net, torch.randn(1, 4, 8, 8)).save(tmp_path / "x.pt")
    assert_equal(by_name(tmp_path / "x.pt")["weight"], net.weight)


@pytest.mark.parametrize("how", SAVES)
def test_other_metadata_of_a_tensor_is_refused(tmp_path, how):
    class Tensor:
        def __reduce__(self):
            weight = torch.randn(8, 4, 3, 3)
            _, args = weight.__reduce_ex__(2)
            return torch._utils._rebuild_tensor_v2, (*args, {"neg": True, "twisted": True})

    path = saved({"conv.weight": Tensor()}, tmp_path / "x.pt", how)
    with pytest.raises(
        CheckpointError, match=r"conv.weight: metadata of torch other than the bits"
    ):
        arrays(path)
