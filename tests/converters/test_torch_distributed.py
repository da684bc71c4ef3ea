"""Distributed checkpoints of torch: the chunks of all ranks make the weights of the whole network."""

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch import nn

from jfilters import CheckpointError
from jfilters.converters import open_checkpoint
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import ForeignFormatError

pytestmark = pytest.mark.filterwarnings("ignore")

WEIGHT = torch.randn(8, 4, 3, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 10, 3)
        self.up, self.norm = nn.ConvTranspose2d(10, 6, 3), nn.BatchNorm2d(6)

    def forward(self, x):
        return self.norm(self.up(self.b(self.a(x))))


def rank_saves(rank, ranks, folder, layout):
    """Save a network that the ranks share, and, from the first, its whole state dict."""
    from torch.distributed.checkpoint import state_dict as states
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Shard, distribute_tensor

    store = dist.FileStore(f"{folder}/store-{layout}", ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    torch.manual_seed(0)
    net, mesh = Net(), init_device_mesh("cpu", (ranks,))
    if layout == "fsdp":
        fully_shard(net, mesh=mesh)
        optimizer = torch.optim.Adam(net.parameters())
        net(torch.randn(2, 3, 12, 12)).sum().backward()
        optimizer.step()
        model, slots = states.get_state_dict(net, optimizer)
        saved = {"model": model, "optim": slots, "step": 1}
        full = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
        whole = states.get_model_state_dict(net, options=full)
    else:
        # Replicated arrays are written by one rank each, so that the metadata are out of order.
        whole = net.state_dict()
        saved = {"model": dict(whole)}
        for name, axis in (("a.weight", 0), ("b.weight", 1)):
            saved["model"][name] = distribute_tensor(whole[name], mesh, [Shard(axis)])
    dcp.save(saved, checkpoint_id=f"{folder}/{layout}")
    if rank == 0:
        torch.save(whole, f"{folder}/{layout}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Checkpoints that three ranks saved: FSDP with uneven shards, and replicas beside other axes."""
    folder = tmp_path_factory.mktemp("dcp")
    for layout in ("fsdp", "mixed"):
        mp.spawn(rank_saves, args=(3, str(folder), layout), nprocs=3)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["fsdp", "mixed"])
def test_shards_of_all_ranks_are_joined(shared, layout):
    checkpoint = open_checkpoint(shared / layout)
    whole = open_checkpoint(shared / f"{layout}.pt")
    assert checkpoint.format == "torch-distributed"
    assert len(list((shared / layout).glob("*.distcp"))) == 3
    assert [x.layer.name for x in checkpoint.layers] == ["a.weight", "b.weight", "up.weight"]
    assert {x.layer.network for x in checkpoint.layers} == {"model"}
    for layer, expected in zip(checkpoint.layers, whole.layers, strict=True):
        np.testing.assert_array_equal(layer.read(), expected.read())
    assert checkpoint.updates == whole.updates
    assert not checkpoint.unread


@pytest.mark.slow
def test_states_of_the_optimizer_are_listed_as_such(shared):
    skipped = open_checkpoint(shared / "fsdp").skipped
    states = [x.name for x in skipped if x.reason == "optimizer state"]
    assert len(states) == 3 * 8
    assert all(name.startswith("optim.") for name in states)


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of one process, and the network in it."""
    net = Net()
    dcp.save({"net": net.state_dict(), "epoch": 3}, checkpoint_id=str(tmp_path / "m"))
    return tmp_path / "m", net


def test_a_checkpoint_of_one_process(saved):
    folder, net = saved
    layers = open_checkpoint(folder).layers
    np.testing.assert_array_equal(layers[1].read(), net.b.weight.detach())
    assert layers[2].layer.transposed is True or layers[2].layer.axes == "OIHW"


def test_a_flat_state_dict_has_no_network(tmp_path):
    dcp.save({"a.weight": WEIGHT}, checkpoint_id=str(tmp_path / "m"))
    (layer,) = open_checkpoint(tmp_path / "m").layers
    assert (layer.layer.name, layer.layer.network) == ("a.weight", "")
    np.testing.assert_array_equal(layer.read(), WEIGHT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_and_strides(tmp_path, dtype):
    weight = WEIGHT.to(dtype).to(memory_format=torch.channels_last)
    dcp.save({"a.weight": weight}, checkpoint_id=str(tmp_path / "m"))
    (layer,) = open_checkpoint(tmp_path / "m").layers
    np.testing.assert_array_equal(layer.read(), weight.float())


def test_an_optimizer_under_any_name(tmp_path):
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(1, 3, 12, 12)).sum().backward()
    optimizer.step()
    states = {"a": net.state_dict(), "b": optimizer.state_dict()}
    dcp.save(states, checkpoint_id=str(tmp_path / "m"))
    checkpoint = open_checkpoint(tmp_path / "m")
    assert {layer.layer.network for layer in checkpoint.layers} == {"a"}


def test_a_scan_takes_the_folder_as_one_model(saved):
    folder, _ = saved
    (entry,) = measure_checkpoints(folder.parent).entries
    assert (entry.model, entry.status) == ("m", "ok")


class TestRefusals:
    def test_without_metadata(self, saved):
        folder, _ = saved
        (folder / ".metadata").unlink()
        with pytest.raises(CheckpointError, match=r"without its \.metadata, which is written last"):
            open_checkpoint(folder)

    def test_a_missing_file(self, saved):
        folder, _ = saved
        shutil.move(folder / "__0_0.distcp", folder / "__1_0.distcp")
        with pytest.raises(CheckpointError, match=r"'__0_0.distcp' is missing; fetch the files"):
            open_checkpoint(folder)

    def changed(self, folder, change):
        record = pickle.loads((folder / ".metadata").read_bytes())
        change(record)
        (folder / ".metadata").write_bytes(pickle.dumps(record))

    def test_a_chunk_that_is_missing(self, saved):
        folder, _ = saved

        def change(record):
            chunk = record.state_dict_metadata["net.a.weight"].chunks[0]
            chunk.sizes = torch.Size([4, 3, 3, 3])

        self.changed(folder, change)
        with pytest.raises(CheckpointError, match=r"108 of 216 elements: a part is missing"):
            open_checkpoint(folder)

    def test_chunks_that_overlap(self, saved):
        folder, _ = saved

        def change(record):
            from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex

            offsets = [torch.Size([start, 0, 0, 0]) for start in (0, 3)]
            size = torch.Size([4, 3, 3, 3])
            chunks = [ChunkStorageMetadata(offset, size) for offset in offsets]
            record.state_dict_metadata["net.a.weight"].chunks[:] = chunks
            (place,) = [v for k, v in record.storage_data.items() if k.fqn == "net.a.weight"]
            record.storage_data[MetadataIndex("net.a.weight", offsets[1])] = place

        self.changed(folder, change)
        with pytest.raises(CheckpointError, match="chunks that overlap"):
            open_checkpoint(folder)

    def test_a_chunk_that_is_not_what_the_metadata_promise(self, saved):
        folder, _ = saved

        def change(record):
            places = {key.fqn: place for key, place in record.storage_data.items()}
            places["net.a.weight"].offset = places["net.b.weight"].offset
            places["net.a.weight"].length = places["net.b.weight"].length

        self.changed(folder, change)
        layer = open_checkpoint(folder).layers[0]
        with pytest.raises(CheckpointError, match=r"expected a chunk of float32 \(8, 3, 3, 3\)"):
            layer.read()

    def test_a_file_outside_the_folder(self, saved):
        folder, _ = saved

        def change(record):
            for place in record.storage_data.values():
                place.relative_path = "../secret.distcp"

        self.changed(folder, change)
        shutil.copy(folder / "__0_0.distcp", folder.parent / "secret.distcp")
        with pytest.raises(CheckpointError, match=r"'\.\./secret\.distcp' is missing"):
            open_checkpoint(folder)

    def test_compressed_chunks_are_set_aside(self, saved):
        folder, _ = saved

        def change(record):
            for place in record.storage_data.values():
                place.transform_descriptors = ["zstd"]

        self.changed(folder, change)
        checkpoint = open_checkpoint(folder)
        assert len(checkpoint.unread) == 3
        assert "transformed as they were saved" in checkpoint.shortfall

    def test_flat_parameters(self, tmp_path):
        dcp.save({"m": {"_flat_param": torch.randn(99)}}, checkpoint_id=str(tmp_path / "m"))
        with pytest.raises(ForeignFormatError, match=r"flat parameters.*SHARDED_STATE_DICT"):
            open_checkpoint(tmp_path / "m")

    def test_metadata_of_code_run_nothing(self, saved, tmp_path):
        folder, _ = saved

        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/ran",)

        self.changed(folder, lambda record: setattr(record, "planner_data", Evil()))
        assert len(open_checkpoint(folder).layers) == 3
        assert not (tmp_path / "ran").exists()
