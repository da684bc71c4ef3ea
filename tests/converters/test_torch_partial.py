"""torch files that hold a part of a network, or its weights where no name leads to them."""

import io

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from jfilters.converters import open_checkpoint
from jfilters.errors import ForeignFormatError

WEIGHT = torch.randn(8, 4, 3, 3)
X = torch.randn(1, 3, 16, 16)


@pytest.fixture
def mesh():
    """Two devices of a job of which this process is the first."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield init_device_mesh("cpu", (2,))
    dist.destroy_process_group()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.pt"


def spread(mesh, local, *placements):
    """A tensor of the shape of WEIGHT of which this process holds `local`."""
    shape, stride = WEIGHT.shape, WEIGHT.stride()
    return DTensor.from_local(local, mesh, placements, run_check=False, shape=shape, stride=stride)


@pytest.mark.filterwarnings("ignore")
class TestDTensor:
    def test_a_shard_is_set_aside_by_name(self, mesh, path):
        torch.save({"a.weight": spread(mesh, WEIGHT[:4], Shard(0)), "b.weight": WEIGHT}, path)
        checkpoint = open_checkpoint(path)
        (skipped,) = checkpoint.unread
        assert skipped.name == "a.weight"
        assert skipped.reason.startswith("a shard, (4, 4, 3, 3) of the (8, 4, 3, 3) of a tensor")
        assert [layer.layer.name for layer in checkpoint.layers] == ["b.weight"]

    @pytest.mark.parametrize("placement", [Replicate(), Shard(0)])
    def test_a_part_that_is_the_whole_is_read(self, mesh, path, placement):
        torch.save({"a.weight": spread(mesh, WEIGHT, placement)}, path)
        (layer,) = open_checkpoint(path).layers
        torch.testing.assert_close(torch.tensor(layer.read()), WEIGHT)

    def test_a_summand_is_not_the_whole(self, mesh, path):
        torch.save({"a.weight": spread(mesh, WEIGHT, Partial())}, path)
        (skipped,) = open_checkpoint(path).unread
        assert skipped.reason.startswith("a shard or a summand of a tensor that is spread over")
        assert "save it with torch.distributed.checkpoint" in skipped.reason

    def test_a_module_of_them_reads_the_same(self, mesh, path):
        net = nn.Conv2d(4, 8, 3)
        net.weight = nn.Parameter(spread(mesh, WEIGHT[:4], Shard(0)))
        torch.save(net, path)
        (skipped,) = open_checkpoint(path).unread
        assert "a shard" in skipped.reason


@pytest.mark.parametrize("name", ["flat_param", "_fsdp_wrapped_module.flat_param_0"])
def test_flat_parameters_are_refused(path, name):
    torch.save({name: torch.randn(300), "module.bias": torch.randn(4)}, path)
    words = "flat parameters of FSDP, a shard .*; save it with StateDictType.FULL_STATE_DICT"
    with pytest.raises(ForeignFormatError, match=words):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "saved",
    [
        {"module": {"a.weight": torch.empty(0)}, "param_shapes": [{"a.weight": WEIGHT.shape}]},
        {"optimizer_state_dict": {"zero_stage": 2, "fp32": [torch.randn(9)]}, "ds_version": "0.16"},
    ],
)
def test_a_partition_of_deepspeed_is_refused(path, saved):
    torch.save(saved, path)
    with pytest.raises(ForeignFormatError, match=r"a part of a DeepSpeed.*; give its folder"):
        open_checkpoint(path)


def test_a_file_of_deepspeed_with_all_weights_is_read(path):
    torch.save({"module": {"a.weight": WEIGHT.half()}, "param_shapes": [], "optimizer": None}, path)
    assert len(open_checkpoint(path).layers) == 1


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(self, x):
        return self.b(self.a(x))


class Kinds(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.grouped = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3, groups=4)
        self.first, self.up = nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 6, 3, groups=2)
        self.mix = nn.Conv2d(6, 8, 1)

    def forward(self, x):
        return self.inner(self.mix(self.up(self.grouped(self.first(x)).relu())))


@pytest.mark.filterwarnings("ignore")
class TestScript:
    def script(self):
        return torch.jit.script(Parts().eval())

    def test_constants_of_a_frozen_module_are_its_weights(self, path):
        torch.jit.freeze(script := self.script()).save(str(path))
        layers = open_checkpoint(path).layers
        assert [layer.layer.name for layer in layers] == ["CONSTANTS.c0", "CONSTANTS.c2"]
        assert all("its name is lost" in layer.layer.note for layer in layers)
        for layer, part in zip(layers, (script.a, script.b), strict=True):
            np.testing.assert_array_equal(layer.read(), part.weight.detach())

    def test_a_captured_weight_of_a_trace_is_read(self, path):
        weight = torch.randn(8, 3, 3, 3)
        torch.jit.trace(lambda x: nn.functional.conv2d(x, weight), X).save(str(path))
        (layer,) = open_checkpoint(path).layers
        np.testing.assert_array_equal(layer.read(), weight)

    def test_a_module_frozen_in_part_is_read_whole(self, path):
        torch.jit.freeze(self.script(), preserved_attrs=["a"]).save(str(path))
        checkpoint = open_checkpoint(path)
        names = [layer.layer.name for layer in checkpoint.layers]
        assert names == ["a.weight", "CONSTANTS.c0"]
        assert not checkpoint.unread

    @pytest.mark.parametrize("frozen", ["script", "trace"])
    def test_the_code_tells_order_groups_and_kind(self, path, frozen):
        net = Kinds().eval()
        made = torch.jit.script(net) if frozen == "script" else torch.jit.trace(net, X)
        torch.jit.freeze(made).save(str(path))
        layers = open_checkpoint(path).layers
        kinds = [(layer.layer.groups, layer.layer.transposed) for layer in layers]
        assert kinds == [(1, False), (4, False), (2, True), (8, False)]
        expected = (net.first, net.grouped, None, net.inner)
        for layer, part in zip(layers, expected, strict=True):
            if part is not None:
                np.testing.assert_array_equal(layer.read(), part.weight.detach())

    def test_a_weight_that_code_computes_from_constants_is_named(self, path):
        scale, weight = torch.tensor(2.0), torch.randn(8, 3, 3, 3)

        def forward(x):
            return nn.functional.conv2d(x, weight * scale)

        torch.jit.trace(forward, X).save(str(path))
        checkpoint = open_checkpoint(path)
        assert not checkpoint.layers
        (constant,) = checkpoint.unread
        assert "may compute the weight of a convolution" in constant.reason

    def test_a_constant_that_nothing_convolves_is_no_weight(self, path):
        table = torch.randn(3, 16, 16)

        class Shifted(Parts):
            def forward(self, x):
                return super().forward(x + table)

        torch.jit.freeze(torch.jit.trace(Shifted().eval(), X)).save(str(path))
        checkpoint = open_checkpoint(path)
        assert len(checkpoint.layers) == 2
        reasons = [skipped.reason for skipped in checkpoint.skipped if len(skipped.shape) == 3]
        assert reasons == ["a constant of the TorchScript code that no convolution applies"]

    def test_weights_that_onednn_packs_are_not_in_the_file(self, path):
        torch.jit.optimize_for_inference(self.script()).save(str(path))
        checkpoint = open_checkpoint(path)
        assert not checkpoint.layers
        assert len(checkpoint.unread) == 2
        assert "packed for oneDNN" in checkpoint.shortfall

    def test_other_constants_do_not_matter(self, path):
        class Shifted(Parts):
            def forward(self, x):
                return super().forward(x) - torch.tensor([[0.5]])

        torch.jit.trace(Shifted().eval(), X).save(str(path))
        checkpoint = open_checkpoint(path)
        assert len(checkpoint.layers) == 2
        assert not checkpoint.unread

    def test_a_flatbuffer_of_pytorch_mobile_is_refused(self, path):
        self.script()._save_for_lite_interpreter(str(path), _use_flatbuffer=True)
        with pytest.raises(ForeignFormatError, match=r"PyTorch Mobile flatbuffer"):
            open_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
def test_a_package_is_refused(path):
    from torch.package import PackageExporter

    stream = io.BytesIO()
    with PackageExporter(stream) as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", nn.Conv2d(3, 8, 3))
    path.write_bytes(stream.getvalue())
    with pytest.raises(ForeignFormatError, match=r"an archive of torch\.package"):
        open_checkpoint(path)
