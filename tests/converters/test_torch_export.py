"""Programs of torch.export: the weights that their graph applies are those of the live network."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed
from torch import nn
from torch.nn.utils import parametrizations, prune

from jfilters import CheckpointError
from jfilters.converters import open_checkpoint
from jfilters.errors import ForeignFormatError

X = torch.randn(1, 3, 16, 16)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.pt2"


def exported(net, *inputs):
    return torch.export.export(net.eval(), inputs or (X,))


def written(net, path, decomposed=False):
    program = exported(net)
    torch.export.save(program.run_decompositions() if decomposed else program, path)
    return open_checkpoint(path)


def weights(checkpoint):
    return {layer.layer.name: layer.read() for layer in checkpoint.layers}


class Kinds(nn.Module):
    """Convolutions of every kind, in another order than they are registered."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(6, 6, 3, groups=6)
        self.first = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.up = nn.ConvTranspose2d(8, 6, 3, groups=2)
        self.flat = nn.Conv1d(6, 5, 3)
        self.head = nn.Linear(5, 2)
        self.register_buffer("blur", torch.randn(6, 1, 3, 3), persistent=False)

    def forward(self, x):
        x = self.up(self.grouped(self.first(x).relu()))
        x = self.last(nn.functional.conv2d(x, self.blur, groups=6))
        return self.head(self.flat(x.flatten(2)).mean(2))


@pytest.mark.parametrize("decomposed", [False, True])
def test_layers_are_those_of_the_graph_in_its_order(path, decomposed):
    net = Kinds()
    checkpoint = written(net, path, decomposed)
    assert checkpoint.format == "torch-export"
    facts = [(x.layer.name, x.layer.groups, x.layer.transposed) for x in checkpoint.layers]
    assert facts == [
        ("first.weight", 1, False), ("grouped.weight", 4, False), ("up.weight", 2, True),
        ("blur", 6, False), ("last.weight", 6, False), ("flat.weight", 1, False),
    ]  # fmt: skip
    assert {layer.layer.depth_source for layer in checkpoint.layers} == {"graph"}
    depths = [layer.layer.depth for layer in checkpoint.layers]
    assert depths == sorted(depths)
    values = weights(checkpoint)
    for name in ("first", "grouped", "last", "flat"):
        np.testing.assert_array_equal(values[f"{name}.weight"], getattr(net, name).weight.detach())
    np.testing.assert_array_equal(values["blur"], net.blur)
    listed = {skipped.name for skipped in checkpoint.skipped}
    assert listed | values.keys() == {*net.state_dict(), "blur"}


def test_a_transposed_kernel_is_that_of_the_state_dict(path, tmp_path):
    net = nn.Sequential(nn.ConvTranspose2d(3, 8, 3))
    torch.save(net.state_dict(), tmp_path / "m.pth")
    (expected,) = open_checkpoint(tmp_path / "m.pth").layers
    (layer,) = written(net, path).layers
    np.testing.assert_array_equal(layer.read(), expected.read())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = (nn.Conv2d(n, 3, 3, padding=1) for n in (3, 3, 3))
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(self.a(self.stem(x))))


def test_a_tied_weight_is_one_layer(path):
    checkpoint = written(net := Tied(), path)
    assert list(weights(checkpoint)) == ["stem.weight", "a.weight"]
    np.testing.assert_array_equal(weights(checkpoint)["a.weight"], net.a.weight.detach())
    reasons = {skipped.name: skipped.reason for skipped in checkpoint.skipped}
    assert reasons["b.weight"] == "the same storage as a.weight"


def test_channels_last_strides_and_half_precision(path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3))
    net[0].to(memory_format=torch.channels_last)
    net[1].half()
    program = exported(nn.Sequential(net[0], Cast(), net[1]))
    torch.export.save(program, path)
    layers = open_checkpoint(path).layers
    np.testing.assert_array_equal(layers[0].read(), net[0].weight.detach())
    np.testing.assert_array_equal(layers[1].read(), net[1].weight.detach().float())
    assert layers[1].layer.dtype == "float16"


class Cast(nn.Module):
    def forward(self, x):
        return x.half()


PARAMETRIZED = {
    "weight_norm": lambda conv: parametrizations.weight_norm(conv),
    "weight_norm of all axes": lambda conv: parametrizations.weight_norm(conv, dim=None),
    "spectral_norm": lambda conv: parametrizations.spectral_norm(conv),
    "pruned": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "old weight_norm": lambda conv: torch.nn.utils.weight_norm(conv),
}


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("label", PARAMETRIZED)
def test_a_parametrized_weight_is_the_one_that_is_applied(path, label, decomposed):
    net = nn.Sequential(PARAMETRIZED[label](nn.Conv2d(3, 8, 3)), nn.Conv2d(8, 4, 3)).eval()
    checkpoint = written(net, path, decomposed)
    net(X)
    assert [layer.layer.name for layer in checkpoint.layers] == ["0.weight", "1.weight"]
    applied = net[0].weight.detach().numpy()
    np.testing.assert_allclose(checkpoint.layers[0].read(), applied, rtol=2e-6, atol=1e-8)
    if label == "pruned":
        np.testing.assert_array_equal(checkpoint.layers[0].read(), applied)
    assert checkpoint.layers[0].layer.applied in ("weight-norm", "computed")
    assert not checkpoint.unread


class Standardized(nn.Conv2d):
    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        std = self.weight.std((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, (self.weight - mean) / (std + 1e-5), self.bias)


@pytest.mark.parametrize("decomposed", [False, True])
def test_weight_standardization_is_in_the_graph(path, decomposed):
    net = nn.Sequential(Standardized(3, 8, 3))
    (layer,) = written(net, path, decomposed).layers
    weight = net[0].weight.detach()
    mean, std = weight.mean((1, 2, 3), True), weight.std((1, 2, 3), keepdim=True)
    np.testing.assert_allclose(layer.read(), (weight - mean) / (std + 1e-5), rtol=1e-5, atol=1e-7)
    assert layer.layer.applied == "computed"


class Quantized(nn.Module):
    """A convolution of eight-bit integers with scales, as quantization in export leaves it."""

    def __init__(self, per_channel):
        super().__init__()
        weight = torch.randn(8, 3, 3, 3)
        scale = weight.abs().amax((1, 2, 3)) / 127 if per_channel else weight.abs().max() / 127
        along = scale.view(-1, 1, 1, 1) if per_channel else scale
        self.register_buffer("weight", (weight / along).round().to(torch.int8))
        self.register_buffer("weight_scale", scale)
        self.register_buffer("zero", torch.full_like(scale, 3, dtype=torch.int64))
        self.per_channel = per_channel

    def dequantized(self):
        ops, args = torch.ops.quantized_decomposed, (-127, 127, torch.int8)
        if self.per_channel:
            call = ops.dequantize_per_channel
            return call(self.weight, self.weight_scale, self.zero, 0, *args)
        return ops.dequantize_per_tensor(self.weight, 0.02, 3, *args)

    def forward(self, x):
        return nn.functional.conv2d(x, self.dequantized())


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_quantized_program_is_read_as_it_dequantizes(path, per_channel):
    net = Quantized(per_channel)
    (layer,) = written(net, path).layers
    np.testing.assert_array_equal(layer.read(), net.dequantized())
    assert layer.layer.applied == "dequantized"


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.make = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 81)

    def forward(self, x):
        weight = self.make(x.mean((0, 2, 3))).view(3, 3, 3, 3)
        return nn.functional.conv2d(self.conv(x), weight)


def test_a_weight_that_depends_on_the_input_is_not_read(path):
    checkpoint = written(Dynamic(), path)
    assert list(weights(checkpoint)) == ["conv.weight"]
    (unread,) = checkpoint.unread
    assert unread.reason == "computed in the graph from an input of the network"


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3, 3, 3))

    def forward(self, x):
        return nn.functional.conv2d(x, torch.special.erfinv(self.weight.tanh()))


def test_an_operator_that_is_not_computed_is_named(path):
    checkpoint = written(Odd(), path)
    assert not checkpoint.layers
    (unread,) = checkpoint.unread
    assert "erfinv" in unread.reason
    assert unread.name == "weight"


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.a(x).sum(), lambda x: self.b(x).sum(), (x,))


def test_convolutions_inside_branches_are_read(path):
    net = Branch()
    values = weights(written(net, path))
    assert sorted(values) == ["a.weight", "b.weight"]
    for name, value in values.items():
        np.testing.assert_array_equal(value, net.get_parameter(name).detach())


def test_an_array_that_no_convolution_applies_is_no_layer(path):
    class Table(nn.Conv2d):
        def __init__(self):
            super().__init__(3, 8, 3)
            self.table = nn.Parameter(torch.randn(8, 4, 3, 3))

        def forward(self, x):
            return super().forward(x) + self.table.sum()

    checkpoint = written(nn.Sequential(Table()), path)
    assert list(weights(checkpoint)) == ["0.weight"]
    reasons = {skipped.name: skipped.reason for skipped in checkpoint.skipped}
    assert reasons["0.table"] == "no weight of a convolution in the graph"


def test_the_statistics_of_batchnorm_are_told(path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    net.train()(X)
    checkpoint = written(net, path)
    assert checkpoint.has_batchnorm
    assert checkpoint.updates == 1


def test_several_programs_of_one_package_are_networks(path):
    from torch.export.pt2_archive._package import package_pt2

    programs = {name: exported(nn.Sequential(nn.Conv2d(3, 8, 3))) for name in ("left", "right")}
    package_pt2(str(path), exported_programs=programs)
    layers = open_checkpoint(path).layers
    assert sorted(layer.layer.network for layer in layers) == ["left", "right"]


def as_members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


class TestOlderArchives:
    @pytest.fixture
    def program(self, path):
        program = exported(net := Kinds())
        torch.export.save(program, path)
        members = as_members(path)
        (graph,) = [data for name, data in members.items() if name.endswith("models/model.json")]
        return net, program, graph

    def test_of_torch_2_7(self, path, program):
        net, program, graph = program
        members = {"serialized_exported_program.json": graph, "version": "8.8"}
        members["serialized_state_dict.pt"] = saved(program.state_dict)
        members["serialized_constants.pt"] = saved(program.constants)
        values = weights(open_checkpoint(rewritten(path, members)))
        np.testing.assert_array_equal(values["first.weight"], net.first.weight.detach())
        assert len(values) == 6

    def test_of_torch_2_8(self, path, program):
        net, program, graph = program
        members = {"m/archive_format": "pt2", "m/models/model.json": graph}
        members["m/data/weights/model.pt"] = saved(program.state_dict)
        members["m/data/constants/model.pt"] = saved(program.constants)
        values = weights(open_checkpoint(rewritten(path, members)))
        np.testing.assert_array_equal(values["last.weight"], net.last.weight.detach())
        assert len(values) == 6


class TestRefusals:
    def members(self, path):
        torch.export.save(exported(nn.Sequential(nn.Conv2d(3, 8, 3))), path)
        return as_members(path)

    def test_a_package_of_compiled_code_is_named(self, path):
        members = {"m/archive_format": "pt2", "m/data/aotinductor/model/x.so": bytes(99)}
        with pytest.raises(ForeignFormatError, match=r"AOTInductor.*; .*torch\.export\.save"):
            open_checkpoint(rewritten(path, members))

    def test_an_archive_without_a_program(self, path):
        with pytest.raises(CheckpointError, match="without a program"):
            open_checkpoint(rewritten(path, {"m/archive_format": "pt2"}))

    def changed(self, path, ending, change):
        members = self.members(path)
        (name,) = [name for name in members if name.endswith(ending)]
        record = json.loads(members[name])
        change(record)
        members[name] = json.dumps(record)
        return rewritten(path, members)

    def test_a_shape_beyond_its_storage(self, path):
        def change(record):
            record["config"]["0.weight"]["tensor_meta"]["sizes"][0]["as_int"] = 1 << 40

        with pytest.raises(CheckpointError, match="the view needs"):
            open_checkpoint(self.changed(path, "weights_config.json", change))

    def test_a_storage_that_is_missing(self, path):
        def change(record):
            record["config"]["0.weight"]["path_name"] = "../weight_0"

        with pytest.raises(CheckpointError, match="no such member"):
            open_checkpoint(self.changed(path, "weights_config.json", change))

    @pytest.mark.parametrize("record", [{}, {"graph_module": []}, {"graph_module": {"graph": 3}}])
    def test_a_graph_that_is_none(self, path, record):
        members = self.members(path)
        (name,) = [name for name in members if name.endswith("models/model.json")]
        members[name] = json.dumps(record)
        with pytest.raises(CheckpointError, match="no graph of an exported program"):
            open_checkpoint(rewritten(path, members))

    def test_a_weight_of_endless_operations_is_not_computed(self, path):
        def change(record):
            graph = record["graph_module"]["graph"]
            (weight,) = [x for x in graph["nodes"][0]["inputs"] if x["name"] == "weight"]
            name, nodes = weight["arg"]["as_tensor"]["name"], []
            for index in range(500):
                arg = {"arg": {"as_tensor": {"name": name}}, "kind": 1}
                inputs = [{"name": "self", **arg}, {"name": "other", **arg}]
                name = f"sum{index}"
                outputs = [{"as_tensor": {"name": name}}]
                target = "torch.ops.aten.add.Tensor"
                nodes.append({"target": target, "inputs": inputs, "outputs": outputs})
            weight["arg"]["as_tensor"]["name"] = name
            graph["nodes"][:0] = nodes

        checkpoint = open_checkpoint(self.changed(path, "models/model.json", change))
        (unread,) = checkpoint.unread
        assert "more operations than a weight takes" in unread.reason

    def test_an_expansion_beyond_what_is_stored(self, path):
        def change(record):
            graph = record["graph_module"]["graph"]
            (weight,) = [x for x in graph["nodes"][0]["inputs"] if x["name"] == "weight"]
            arg = {"name": "self", "arg": weight["arg"], "kind": 1}
            size = {"name": "size", "arg": {"as_ints": [1 << 30, 8, 3, 3, 3]}, "kind": 1}
            outputs = [{"as_tensor": {"name": "big"}}]
            target = "torch.ops.aten.expand.default"
            graph["nodes"].insert(0, {"target": target, "inputs": [arg, size], "outputs": outputs})
            graph["tensor_values"]["big"] = graph["tensor_values"][arg["arg"]["as_tensor"]["name"]]
            weight["arg"] = {"as_tensor": {"name": "big"}}

        (layer,) = open_checkpoint(self.changed(path, "models/model.json", change)).layers
        with pytest.raises(CheckpointError, match="far larger than what is stored"):
            layer.read()
