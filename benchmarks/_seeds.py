"""Small valid checkpoints of every reader, from which the fuzzing starts.

A seed is a folder `READER/LABEL` with what a writer leaves; what is opened is its file "model*", or the
folder itself if it has none.
"""

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np

from ._seeds_tensorflow import write_tensorflow, write_tfjs, write_tflite

RNG = np.random.default_rng(0)
OIHW, HWIO = (2, 5, 3, 3), (3, 3, 5, 2)


def entry(seed: Path) -> Path:
    """What is opened of a seed."""
    files = sorted(seed.glob("model*"), key=lambda path: (_order(path), path.name))
    return next(iter(files), seed)


def _order(path: Path) -> int:
    """Return the place of a file among those of one checkpoint: an index first, bare weights last."""
    return 0 if path.suffix == ".index" else 2 if path.suffixes == [".bin"] else 1


def write_seeds(root: Path) -> None:
    """Write the seeds of all readers below `root`."""
    for reader, write in SEEDS.items():
        write(root / reader)


def _values(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def _place(root: Path, label: str, name: str = "model") -> Path:
    folder = root / label
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _composed() -> dict[str, np.ndarray]:
    """Weights in the parts that frameworks store, with copies and states of training beside them."""
    weight, norm = _values(OIHW), np.ones((2, 1, 1, 1), "float32")
    arrays = {"a.weight_orig": weight, "a.weight_mask": (weight > 0).astype("float32")}
    arrays |= {"b.weight_g": norm, "b.weight_v": _values(OIHW)}
    room = "c.parametrizations.weight"
    arrays |= {
        f"{room}.original": _values(OIHW),
        f"{room}.0._u": _values((2,)),
        f"{room}.0._v": _values((45,)),
    }
    arrays |= {"d.weight": weight.astype("int8"), "d.weight_scale": np.ones(2, "float32")}
    arrays |= {"e.weight": weight, "e.lora_down.weight": _values((1, 5, 3, 3))}
    arrays |= {"e.lora_up.weight": _values((2, 1, 1, 1)), "e.alpha": np.ones((), "float32")}
    arrays |= {f"ema.{name}": value for name, value in arrays.items()}
    return arrays | {
        "optimizer.exp_avg.e": weight,
        "heads.0.weight": weight,
        "heads.1.weight": weight,
    }


def _safetensors(root: Path) -> None:
    from safetensors.numpy import save_file

    weights = {"conv.weight": _values(OIHW), "conv.bias": _values((2,))}
    half = {"features.0.weight": _values(OIHW).astype("float16"), "fc.weight": _values((4, 2))}
    save_file(weights, _place(root, "plain"), metadata={"format": "pt"})
    save_file(half, _place(root, "half"))
    save_file(_composed(), _place(root, "composed"), metadata={"format": "pt"})
    save_file(weights, _place(root, "sharded", "shard-1.safetensors"))
    save_file(half, _place(root, "sharded", "shard-2.safetensors"))
    places = dict.fromkeys(weights, "shard-1.safetensors")
    places |= dict.fromkeys(half, "shard-2.safetensors")
    index = {"metadata": {}, "weight_map": places}
    _place(root, "sharded", "model.safetensors.index.json").write_text(json.dumps(index))


def _torch(root: Path) -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Conv2d(5, 2, 3), torch.nn.ConvTranspose2d(2, 2, 2))
    state = {"state_dict": network.state_dict(), "epoch": 3, "arch": "net"}
    script = torch.jit.trace(network[0], torch.zeros(1, 5, 4, 4))
    torch.jit.save(script, _place(root, "script"))
    torch.jit.save(_frozen(), _place(root, "frozen"))
    torch.save(state, _place(root, "legacy"), _use_new_zipfile_serialization=False)
    composed = {name: torch.tensor(value) for name, value in _composed().items()}
    copies = {
        "net": network.state_dict(),
        "ema": {"shadow": [p.data for p in network.parameters()]},
    }
    labels = {"state": state, "module": network, "composed": composed, "copies": copies}
    for label, value in labels.items():
        torch.save(value, _place(root, label))
    arrays = {"conv": {"weight": _values(OIHW), "bias": _values((2,))}, "epoch": 3}
    for protocol in (2, 4):
        _place(root, f"pickle{protocol}").write_bytes(pickle.dumps(arrays, protocol))


def _frozen() -> object:
    """A module whose weights are constants of its code."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(5, 2, 3), torch.nn.ConvTranspose2d(2, 2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    return torch.jit.freeze(torch.jit.trace(Net().eval(), torch.zeros(1, 5, 4, 4)))


def _torch_export(root: Path) -> None:
    import torch

    norm = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv2d(2, 4, 3))
    net = torch.nn.Sequential(torch.nn.Conv2d(5, 2, 3), norm, torch.nn.ConvTranspose2d(4, 2, 2))
    program = torch.export.export(net.eval(), (torch.zeros(1, 5, 8, 8),))
    torch.export.save(program, _place(root, "program", "model.pt2"))
    computed = program.run_decompositions()
    torch.export.save(computed, _place(root, "computed", "model.pt2"))
    with zipfile.ZipFile(_place(root, "program", "model.pt2")) as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        graph = archive.read(name)
    with zipfile.ZipFile(_place(root, "old", "model.pt2"), "w") as archive:
        archive.writestr("serialized_exported_program.json", graph)
        for kind, value in (("state_dict", program.state_dict), ("constants", program.constants)):
            data = io.BytesIO()
            torch.save(value, data)
            archive.writestr(f"serialized_{kind}.pt", data.getvalue())


def _torch_distributed(root: Path) -> None:
    import torch
    from torch.distributed.checkpoint.state_dict_saver import save

    net = torch.nn.Sequential(torch.nn.Conv2d(5, 2, 3), torch.nn.Conv2d(2, 2, 1))
    for label, state in (("flat", net.state_dict()), ("deep", {"model": net.state_dict(), "n": 1})):
        save(state, checkpoint_id=str(root / label))


def _deepspeed(root: Path) -> None:
    import torch

    states, optimizer = "mp_rank_00_model_states.pt", "mp_rank_00_optim_states.pt"
    weight, bias = torch.tensor(_values(OIHW)), torch.tensor(_values((2,)))
    whole = {"module": {"a.weight": weight.half(), "a.bias": bias.half()}, "dp_world_size": 2}
    torch.save(whole, _place(root, "stage2", states))
    torch.save({"optimizer_state_dict": {}}, _place(root, "stage2", f"zero_pp_rank_0_{optimizer}"))
    empty = {"a.weight": torch.zeros(0), "a.bias": torch.zeros(0)}
    shapes = [{"a.weight": weight.shape, "a.bias": bias.shape}]
    for rank in range(2):
        flat = torch.cat([part.reshape(2, -1)[rank] for part in (weight, bias)])
        record = {"zero_stage": 3, "partition_count": 2, "fp32_flat_groups": [flat]}
        state = {"module": empty, "param_shapes": shapes, "buffer_names": []}
        torch.save(state, _place(root, "stage3", f"zero_pp_rank_{rank}_{states}"))
        path = _place(root, "stage3", f"zero_pp_rank_{rank}_{optimizer}")
        torch.save({"optimizer_state_dict": record}, path)


def _filterdb(root: Path) -> None:
    import h5py

    kernels, ids = _values((4, 3, 3)), ["0:1", "2:3"]
    text = "model,conv_depth,filter_ids\n" + "".join(f"net,{i},{x}\n" for i, x in enumerate(ids))
    with h5py.File(_place(root, "csv"), "w") as file:
        file["filters"], file["meta"] = kernels, np.frombuffer(text.encode(), np.uint8)
    records = np.zeros(2, [("index", "i8"), ("model", "S4"), ("filter_ids", "S4")])
    records["filter_ids"] = ids
    with h5py.File(_place(root, "table"), "w") as file:
        file["filters"], file["meta/table"] = kernels.reshape(4, 9), records
    with h5py.File(_place(root, "fixed"), "w") as file:
        file["filters"], file["meta/axis0"] = kernels, np.array([b"model", b"filter_ids"])
        file["meta/block0_items"] = np.array([b"model", b"filter_ids"])
        texts = pickle.dumps(np.array([["net", x] for x in ids], dtype=object))
        place, kind = "meta/block0_values", h5py.vlen_dtype(np.uint8)
        values = file.create_dataset(place, (1,), kind, maxshape=(None,))
        values[0] = np.frombuffer(texts, np.uint8)


def _keras(root: Path) -> None:
    import h5py

    conv = {"class_name": "Conv2D", "config": {"name": "conv2d", "groups": 1}}
    config = json.dumps({"class_name": "Sequential", "config": {"layers": [conv]}})
    old, new = _place(root, "legacy"), io.BytesIO()
    with h5py.File(old, "w") as file:
        file.attrs["model_config"], file.attrs["layer_names"] = config, np.array([b"conv2d"])
        file["conv2d/conv2d/kernel:0"] = _values(HWIO)
        file["conv2d"].attrs["weight_names"] = np.array([b"conv2d/kernel:0"])
    with h5py.File(new, "w") as file:
        options = {"chunks": (3, 3, 5, 1), "compression": "gzip", "shuffle": True}
        file.create_dataset("layers/conv2d/vars/0", data=_values(HWIO), **options)
        file["layers/conv2d"].attrs["name"] = "stem"
    _place(root, "weights").write_bytes(new.getvalue())
    with zipfile.ZipFile(_place(root, "archive"), "w") as archive:
        for name, data in (("config.json", config), ("model.weights.h5", new.getvalue())):
            archive.writestr(zipfile.ZipInfo(name), data)


def _onnx(root: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)

    def save(path: Path, nodes: list, tensors: list, **options: object) -> None:
        graph = helper.make_graph(nodes, "g", [image], [out], tensors)
        opset = [helper.make_opsetid("", 21)]
        onnx.save_model(helper.make_model(graph, opset_imports=opset), path, **options)

    weight = numpy_helper.from_array(_values(OIHW), "w")
    integers = numpy_helper.from_array(RNG.integers(-9, 9, OIHW, dtype="int8"), "q")
    scale = numpy_helper.from_array(np.ones(2, "float32"), "s")
    constant = helper.make_node("Constant", [], ["c"], value=weight)
    conv = helper.make_node("Conv", ["x", "w"], ["y"], group=1)
    body = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "b", [], [out])
    branch = helper.make_node("If", ["x"], ["j"], then_branch=body, else_branch=body)
    scaled = helper.make_node("DequantizeLinear", ["q", "s"], ["d"], axis=0)
    deep = [constant, helper.make_node("Conv", ["x", "c"], ["i"])]
    deep += [scaled, helper.make_node("ConvTranspose", ["i", "d"], ["k"]), branch]
    squares = helper.make_node("ReduceL2", ["w", "axes"], ["n"])
    unit = helper.make_node("Div", ["w", "n"], ["u"])
    parts = [helper.make_node("Concat", ["u", "w"], ["p"], axis=0)]
    parts += [helper.make_node("Slice", ["p", "one", "three", "zero"], ["v"])]
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    numbers = [numpy_helper.from_array(np.array([i]), n) for i, n in enumerate(("zero", "one"))]
    numbers.append(numpy_helper.from_array(np.array([3]), "three"))
    computed = [squares, unit, *parts, helper.make_node("Conv", ["x", "v"], ["y"])]
    save(_place(root, "computed"), computed, [weight, axes, *numbers])
    save(_place(root, "plain"), [conv], [weight])
    save(_place(root, "graph"), deep, [weight, integers, scale])
    outside = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
    save(_place(root, "external"), [conv], [weight], **outside)


def _orbax(root: Path) -> None:
    import orbax.checkpoint as ocp

    tree = {"params": {"conv": {"kernel": _values(HWIO), "bias": _values((2,))}}}
    root.mkdir(parents=True)
    for ocdbt, zarr3 in ((True, False), (False, False), (False, True)):
        label = f"{'ocdbt' if ocdbt else 'plain'}-{'zarr3' if zarr3 else 'zarr'}"
        ocp.PyTreeCheckpointer(use_ocdbt=ocdbt, use_zarr3=zarr3).save(root / label, tree)


def _equinox(root: Path) -> None:
    import equinox as eqx

    leaves = [_values(OIHW), _values((2, 1, 1)), np.float32(0.5), 3, True]
    eqx.tree_serialise_leaves(str(_place(root, "leaves", "model.eqx")), leaves)
    state = [leaves[0], leaves[1], 1, leaves[0], leaves[1], leaves[0] ** 2, leaves[1] ** 2]
    eqx.tree_serialise_leaves(str(_place(root, "state", "model.eqx")), state)
    stack = [_values((3, 2, 5, 3)), _values((3, 2, 1))]
    eqx.tree_serialise_leaves(str(_place(root, "stack", "model.eqx")), stack)
    with _place(root, "line").open("wb") as file:
        file.write(b'{"width": 8}\n')
        eqx.tree_serialise_leaves(file, leaves)


def _numpy(root: Path) -> None:
    weights = {"conv/weight": _values(OIHW), "conv/bias": _values((2,)).astype("float16")}
    np.savez(_place(root, "npz", "model.npz"), **weights)
    np.savez_compressed(_place(root, "packed", "model.npz"), **weights)
    np.save(_place(root, "npy", "model.npy"), _values(OIHW))
    np.save(_place(root, "fortran", "model.npy"), np.asfortranarray(_values(OIHW)))


def _flax(root: Path) -> None:
    from flax.serialization import msgpack_serialize

    conv = {"kernel": _values(HWIO), "bias": _values((2,))}
    _place(root, "linen").write_bytes(msgpack_serialize({"params": {"Conv_0": conv}}))
    stack = {"kernel": _values((3, *HWIO)), "bias": _values((3, 2))}
    norm = {"WeightNorm_0": {"Conv_0/kernel/scale": _values((2,))}, "Conv_0": conv}
    tree = {"params": {"blocks": stack, **norm}, "ema_params": {"blocks": stack, "Conv_0": conv}}
    _place(root, "composed").write_bytes(msgpack_serialize(tree))
    state = {"step": 3, "params": {"stem": {"kernel": {"value": _values(HWIO)}}}, "lr": 0.5}
    _place(root, "state").write_bytes(msgpack_serialize(state))


def _ncnn(root: Path) -> None:
    head = "7767517\n{} 5\nInput in 0 1 in\n"
    layers = {
        "float32": ("Convolution a 1 1 in b 0=2 1=3 5=1 6=90", b"\0\0\0\0", "float32"),
        "float16": ("Deconvolution a 1 1 in b 0=2 1=3 5=1 6=90", b"\x47\x6b\x30\x01", "float16"),
        "int8": ("Convolution a 1 1 in b 0=2 1=3 5=1 6=90 8=2", b"\x38\x4b\x0d\0", "int8"),
        "table": ("ConvolutionDepthWise a 1 1 in b 0=2 1=3 5=1 6=90 7=2", b"\1\2\3\4", "uint8"),
    }
    behind = "Split s 1 2 b c d\nBatchNorm n 1 1 c e 0=2\nLSTM l 1 1 d f 0=1 1=4\n"
    last = bytes(32) + bytes(4 + 16) + bytes(4 + 16) + bytes(4 + 16)
    for label, (line, tag, dtype) in layers.items():
        table = _values((256,)).tobytes() if dtype == "uint8" else b""
        weight = (9 * _values(OIHW)).astype(dtype).tobytes()
        scales = np.ones(3, "float32").tobytes() if dtype == "int8" else b""
        stored = tag + table + weight + bytes(-len(weight) % 4) + bytes(8) + scales
        _place(root, label, "model.param").write_text(f"{head.format(5)}{line}\n{behind}")
        _place(root, label, "model.bin").write_bytes(stored + last)
    _place(root, "binary", "model.param.bin").write_bytes(
        np.array([7767517, 2, 2, 16, 0, 1, 0, -233], "<i4").tobytes()
        + np.array([6, 1, 1, 0, 1, 0, 2, 1, 3, -23310, 1, 7, 6, 90, -233], "<i4").tobytes()
    )
    _place(root, "binary", "model.bin").write_bytes(bytes(4) + _values(OIHW).tobytes())


def _openvino(root: Path) -> None:
    layer = '<layer id="{}" name="{}" type="{}"><data {}/><output><port id="9">{}</port></output></layer>'
    edge = '<edge from-layer="{}" from-port="9" to-layer="{}" to-port="{}"/>'

    def const(number: int, values: np.ndarray, place: int) -> str:
        element = {"float32": "f32", "float16": "f16", "uint8": "u8"}[values.dtype.name]
        shape = ",".join(map(str, values.shape))
        data = f'element_type="{element}" shape="{shape}" offset="{place}" size="{values.nbytes}"'
        return layer.format(number, f"w{number}", "Const", data, "")

    def save(label: str, kinds: list, edges: list, constants: dict[int, np.ndarray]) -> None:
        data, layers = b"", []
        for number, values in constants.items():
            layers.append(const(number, values, len(data)))
            data += values.tobytes()
        layers += [layer.format(*fields) for fields in kinds]
        text = "".join(layers), "".join(edge.format(*ends) for ends in edges)
        net = '<?xml version="1.0"?><net name="n" version="11"><layers>{}</layers><edges>{}</edges></net>'
        _place(root, label, "model.xml").write_text(net.format(*text))
        _place(root, label, "model.bin").write_bytes(data)

    image, conv = (0, "x", "Parameter", "", ""), (9, "c", "Convolution", "", "")
    floats = (3, "f", "Convert", 'destination_type="f32"', "")
    save("plain", [image, conv], [(0, 9, 0), (1, 9, 1)], {1: _values(OIHW)})
    halves = {1: _values(OIHW).astype("float16")}
    save("half", [image, floats, conv], [(0, 9, 0), (1, 3, 0), (3, 9, 1)], halves)
    scaled = (4, "m", "Multiply", "", "")
    integers = {1: RNG.integers(0, 9, OIHW).astype("uint8"), 2: _values((2, 1, 1, 1))}
    edges = [(0, 9, 0), (1, 3, 0), (3, 4, 0), (2, 4, 1), (4, 9, 1)]
    save("integers", [image, floats, scaled, conv], edges, integers)
    dims = "".join(f"<dim>{axis}</dim>" for axis in (2, 1, 5, 3, 3))
    grouped = (5, "r", "Reshape", "", dims), (6, "q", "FakeQuantize", 'levels="255"', "")
    ends = {index: _values((1, 1, 1, 1)) for index in (10, 11, 12, 13)}
    edges = [(1, 6, 0), *((10 + at, 6, 1 + at) for at in range(4)), (6, 5, 0), (5, 9, 1), (0, 9, 0)]
    last = (9, "c", "GroupConvolutionBackpropData", "", "")
    save("quantized", [image, *grouped, last], edges, {1: _values(OIHW)} | ends)


def _darknet(root: Path) -> None:
    head = np.array([0, 2, 5, 0, 0], "<i4").tobytes()
    net, conv = (
        "[net]\nchannels=5\nheight=4\nwidth=4\n",
        "[convolutional]\nfilters=2\nsize=3\npad=1\n",
    )
    behind = "[route]\nlayers=-1\n[maxpool]\nsize=2\nstride=2\n[connected]\noutput=3\n[yolo]\n"
    labels = {
        "plain": (net + conv, [_values((2,)), _values(OIHW)]),
        "norm": (net + conv + "batch_normalize=1\n", [_values((8,)), _values(OIHW)]),
        "deep": (
            net + conv + conv + "groups=2\n[shortcut]\nfrom=-2\n" + behind,
            [
                _values((2,)),
                _values(OIHW),
                _values((2,)),
                _values((2, 1, 3, 3)),
                _values((3 + 24,)),
            ],
        ),
    }
    for label, (text, arrays) in labels.items():
        _place(root, label, "model.cfg").write_text(text)
        data = b"".join(array.tobytes() for array in arrays)
        _place(root, label, "model.weights").write_bytes(head + data)


def _caffe(root: Path) -> None:
    def span(number: int, data: bytes) -> bytes:
        key, size = number << 3 | 2, len(data)
        codes = [key & 127 | 128, key >> 7] if key > 127 else [key]
        codes += [size & 127 | 128, size >> 7] if size > 127 else [size]
        return bytes(codes) + data

    def blob(values: np.ndarray) -> bytes:
        return span(7, span(1, bytes(values.shape))) + span(5, values.tobytes())

    ends = span(3, b"data") + span(4, b"x")
    conv = span(1, b"conv") + span(2, b"Convolution") + ends + span(106, b"\x08\x02\x28\x01")
    conv += span(7, blob(_values(OIHW))) + span(7, blob(_values((2,))))
    up = span(1, b"up") + span(2, b"Deconvolution") + span(3, b"x") + span(4, b"x")
    up += span(7, blob(_values(OIHW)))
    new = span(1, b"net") + span(100, conv) + span(100, up)
    _place(root, "new").write_bytes(new)
    values = _values(OIHW)
    axes = b"".join(bytes([at << 3, axis]) for at, axis in enumerate(OIHW, 1))
    old = span(2, b"data") + span(3, b"x") + span(4, b"conv") + b"\x28\x04"
    old += span(6, axes + span(5, values.tobytes())) + span(10, b"\x08\x02\x28\x01")
    _place(root, "old").write_bytes(span(1, b"net") + span(2, old))


SEEDS = {
    "safetensors": _safetensors,
    "torch": _torch,
    "torch-export": _torch_export,
    "torch-distributed": _torch_distributed,
    "deepspeed": _deepspeed,
    "filterdb": _filterdb,
    "keras": _keras,
    "onnx": _onnx,
    "orbax": _orbax,
    "equinox": _equinox,
    "numpy": _numpy,
    "ncnn": _ncnn,
    "caffe": _caffe,
    "openvino": _openvino,
    "darknet": _darknet,
    "flax": _flax,
    "tflite": write_tflite,
    "tfjs": write_tfjs,
    "tensorflow": write_tensorflow,
}

if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
