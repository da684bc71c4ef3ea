"""torch files that hold a part of a network, or its weights where no name leads to them."""

import io
import re
import zipfile

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from jfilters import CheckpointError
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
        assert skipped.reason == "a shard or a summand of a tensor that is spread over devices"

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
    with pytest.raises(ForeignFormatError, match=r"a part of a DeepSpeed.*; .*zero_to_fp32\.py"):
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


@pytest.mark.filterwarnings("ignore")
class TestScript:
    def script(self):
        return torch.jit.script(Parts().eval())

    def test_a_frozen_module_is_refused(self, path):
        torch.jit.freeze(self.script()).save(str(path))
        with pytest.raises(
            CheckpointError, match=r"frozen.* constants of its code; save the module"
        ):
            open_checkpoint(path)

    def test_a_trace_of_captured_weights_is_refused(self, path):
        weight = torch.randn(8, 3, 3, 3)
        torch.jit.trace(lambda x: nn.functional.conv2d(x, weight), X).save(str(path))
        with pytest.raises(CheckpointError, match=r"frozen or traced, whose weights are nameless"):
            open_checkpoint(path)

    def test_a_module_frozen_in_part_is_read_in_part(self, path):
        torch.jit.freeze(self.script(), preserved_attrs=["a"]).save(str(path))
        checkpoint = open_checkpoint(path)
        assert [layer.layer.name for layer in checkpoint.layers] == ["a.weight"]
        (constant,) = checkpoint.unread
        assert constant.name == "CONSTANTS.c0"
        assert "freezing" in constant.reason

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


def test_an_exported_program_is_refused(path):
    torch.export.save(torch.export.export(Parts(), (X,)), path.with_suffix(".pt2"))
    with pytest.raises(ForeignFormatError, match=r"torch\.export .*torch\.export\.load\(FILE\)"):
        open_checkpoint(path.with_suffix(".pt2"))


def test_the_first_archives_of_torch_export_are_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", bytes(99))
    with pytest.raises(ForeignFormatError, match=re.escape("torch.export (a .pt2 archive)")):
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
