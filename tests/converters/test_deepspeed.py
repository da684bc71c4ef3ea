"""ZeRO folders of DeepSpeed, written as its engine writes them: joined as zero_to_fp32.py joins them."""

import enum
import math
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from jfilters import CheckpointError
from jfilters.converters import open_checkpoint
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import ForeignFormatError

STATES, OPTIMIZER = "mp_rank_00_model_states.pt", "mp_rank_00_optim_states.pt"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7)
        self.b, self.head = nn.Conv2d(7, 5, 3), nn.Linear(5, 2)


def stage_3(folder, net, ranks, *, groups=1, frozen=(), prefix="", enumerated=False):
    """Deal the parameters of a network to the ranks of a job in equal, padded parts."""
    folder.mkdir(exist_ok=True)
    named = dict(net.named_parameters())
    trained = [name for name in named if name not in frozen]
    parts = [trained[i::groups] for i in range(groups)]
    shapes = [OrderedDict((name, named[name].shape) for name in part) for part in parts]
    buffers = dict(net.named_buffers())
    for rank in range(ranks):
        module = {name: torch.empty(0, dtype=torch.bfloat16) for name in named}
        state = {"module": module | buffers, "buffer_names": list(buffers), "shared_params": {}}
        state |= {"param_shapes": shapes, "ds_version": "0.16.4", "dp_world_size": ranks}
        state["frozen_param_shapes"] = OrderedDict((n, named[n].shape) for n in frozen) or None
        state["frozen_param_fragments"] = {n: part(named[n], rank, ranks) for n in frozen} or None
        torch.save(state, folder / f"zero_pp_rank_{rank}_{STATES}")
        flat = [torch.cat([part(named[n], rank, ranks) for n in names]) for names in parts]
        stage = Stage.weights if enumerated else 3
        record = {"zero_stage": stage, "partition_count": ranks, "fp32_flat_groups": flat}
        record |= {"optimizer_state_dict": {"state": {}, "param_groups": []}}
        torch.save(
            {"optimizer_state_dict": record}, folder / f"{prefix}zero_pp_rank_{rank}_{OPTIMIZER}"
        )


def part(parameter, rank, ranks):
    """The part of one rank, padded at the end."""
    size = math.ceil(parameter.numel() / ranks)
    flat = torch.full((size * ranks,), torch.nan)
    flat[: parameter.numel()] = parameter.detach().flatten()
    return flat[rank * size : (rank + 1) * size].clone()


class Stage(int, enum.Enum):
    """Stand in for the enumeration of DeepSpeed, which is not installed."""

    weights = 3


@pytest.fixture
def net():
    return Net()


def check(folder, net):
    checkpoint = open_checkpoint(folder)
    assert checkpoint.format == "deepspeed"
    assert [layer.layer.name for layer in checkpoint.layers] == ["a.weight", "b.weight"]
    for layer, conv in zip(checkpoint.layers, (net.a, net.b), strict=True):
        np.testing.assert_array_equal(layer.read(), conv.weight.detach())
    assert not checkpoint.unread
    return checkpoint


# 189 and 315 elements are dealt evenly to 1 and 3 ranks, and with padding to 2 and 4.
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_partitions_of_stage_3_are_joined(tmp_path, net, ranks):
    stage_3(tmp_path / "m", net, ranks)
    checkpoint = check(tmp_path / "m", net)
    assert checkpoint.has_batchnorm
    assert {layer.layer.dtype for layer in checkpoint.layers} == {"float32"}


def test_several_groups_and_the_names_of_bf16(tmp_path, net):
    stage_3(tmp_path / "m", net, 2, groups=2, prefix="bf16_")
    names = {layer.layer.name for layer in open_checkpoint(tmp_path / "m").layers}
    assert names == {"a.weight", "b.weight"}
    for layer in open_checkpoint(tmp_path / "m").layers:
        expected = net.get_parameter(layer.layer.name).detach()
        np.testing.assert_array_equal(layer.read(), expected)


def test_frozen_parameters_lie_in_the_files_of_the_model(tmp_path, net):
    stage_3(tmp_path / "m", net, 2, frozen=("a.weight", "a.bias"))
    layers = {x.layer.name: x.read() for x in open_checkpoint(tmp_path / "m").layers}
    np.testing.assert_array_equal(layers["a.weight"], net.a.weight.detach())
    np.testing.assert_array_equal(layers["b.weight"], net.b.weight.detach())


def test_the_stage_may_be_an_enumeration(tmp_path, net, monkeypatch):
    module = types.ModuleType("deepspeed_config")
    module.Stage = Stage
    monkeypatch.setitem(sys.modules, "deepspeed_config", module)
    monkeypatch.setattr(Stage, "__module__", "deepspeed_config")
    stage_3(tmp_path / "m", net, 2, enumerated=True)
    check(tmp_path / "m", net)


def stage_2(folder, net):
    folder.mkdir(exist_ok=True)
    module = {name: value.half() for name, value in net.state_dict().items()}
    shapes = [OrderedDict((name, p.shape) for name, p in net.named_parameters())]
    torch.save({"module": module, "param_shapes": shapes, "optimizer": None}, folder / STATES)
    for rank in range(2):
        groups = {"single_partition_of_fp32_groups": [torch.randn(300)], "zero_stage": 2}
        torch.save({"optimizer_state_dict": groups}, folder / f"zero_pp_rank_{rank}_{OPTIMIZER}")


def test_stage_2_is_read_in_16_bits_and_says_so(tmp_path, net):
    stage_2(tmp_path / "m", net)
    layers = open_checkpoint(tmp_path / "m").layers
    np.testing.assert_array_equal(layers[0].read(), net.a.weight.detach().half().float())
    assert all(layer.layer.note.startswith("the module's weights in 16 bits") for layer in layers)
    assert {layer.layer.dtype for layer in layers} == {"float16"}


def test_a_scan_takes_a_folder_as_one_model(tmp_path, net):
    stage_3(tmp_path / "global_step10", net, 2)
    stage_2(tmp_path / "global_step20", net)
    entries = measure_checkpoints(tmp_path).entries
    assert {entry.model: entry.status for entry in entries} == {
        "global_step10": "ok",
        "global_step20": "ok",
    }


def test_weights_beside_partitions_are_listed(tmp_path, net):
    stage_3(tmp_path / "m", net, 2)
    torch.save(net.state_dict(), tmp_path / "m" / "other.pth")
    reasons = {skipped.name: skipped.reason for skipped in check(tmp_path / "m", net).skipped}
    assert "give it by itself" in reasons["other.pth"]


class TestRefusals:
    @pytest.fixture
    def folder(self, tmp_path, net):
        stage_3(tmp_path / "m", net, 2)
        return tmp_path / "m"

    def test_a_rank_is_missing(self, folder):
        (folder / f"zero_pp_rank_1_{OPTIMIZER}").unlink()
        with pytest.raises(CheckpointError, match=r"1 ranks; the job had 2; .*zero_to_fp32\.py"):
            open_checkpoint(folder)

    def test_all_optimizers_are_missing(self, folder):
        for path in folder.glob("*optim*"):
            path.unlink()
        with pytest.raises(CheckpointError, match="without its optim_states"):
            open_checkpoint(folder)

    def test_the_files_of_the_model_are_missing(self, folder):
        for path in folder.glob("*model*"):
            path.unlink()
        with pytest.raises(CheckpointError, match="without its model_states"):
            open_checkpoint(folder)

    def test_model_parallel_ranks(self, folder):
        torch.save({"module": {}}, folder / "zero_pp_rank_0_mp_rank_01_model_states.pt")
        with pytest.raises(ForeignFormatError, match=r"2 model-parallel ranks.*; merge the ranks"):
            open_checkpoint(folder)

    def changed(self, path, change):
        value = torch.load(path, weights_only=False)
        change(value)
        torch.save(value, path)

    def test_a_flat_group_of_another_size(self, folder):
        def change(value):
            value["optimizer_state_dict"]["fp32_flat_groups"][0] = torch.randn(10)

        self.changed(folder / f"zero_pp_rank_1_{OPTIMIZER}", change)
        with pytest.raises(CheckpointError, match="flat groups of another size than the"):
            open_checkpoint(folder)

    def test_a_stage_that_is_not_known(self, folder):
        for rank in range(2):
            path = folder / f"zero_pp_rank_{rank}_{OPTIMIZER}"
            self.changed(path, lambda value: value["optimizer_state_dict"].update(zero_stage=2))
        with pytest.raises(CheckpointError, match="a stage other than 3"):
            open_checkpoint(folder)

    @pytest.mark.parametrize("shape", [[1 << 60, 3], [-1], "abc", [0, 3]])
    def test_shapes_that_are_none(self, folder, shape):
        def change(value):
            value["param_shapes"][0]["a.weight"] = shape

        for rank in range(2):
            self.changed(folder / f"zero_pp_rank_{rank}_{STATES}", change)
        with pytest.raises(CheckpointError, match="param_shapes"):
            open_checkpoint(folder)
