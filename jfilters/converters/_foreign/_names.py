"""The hints of names where bytes tell nothing: for what is said of a file, never for what is read."""

import re

from ...io import Location, base_name, is_file
from ._kind import Kind

SUFFIXES = (
    *(".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".jit", ".torchscript", ".pkl", ".pickle"),
    *(".safetensors", ".onnx", ".msgpack", ".flax", ".eqx", ".keras", ".h5", ".hdf5", ".npy", ".npz"),
    *(".tflite", ".pte", ".ptl", ".pt2", ".ort", ".gguf", ".ggml", ".mlmodel", ".pb", ".pdparams"),
    *(".pdiparams", ".caffemodel", ".weights", ".engine", ".plan", ".trt", ".rknn", ".mnn", ".t7"),
    *(".params", ".nemo", ".distcp", ".joblib", ".ckpt.index"),
)  # fmt: skip
"""Endings of names that promise weights, of the formats that are read and of those that are not."""

_TF_DATA = Kind(
    "probably the data of a TensorFlow checkpoint", "give its .index file", weights=False
)
_TF_META = Kind("probably the graph of a TensorFlow checkpoint", weights=False)
_TFJS = Kind("probably the weights of a TensorFlow.js model", "give the model.json beside it")
_PADDLE = "paddle2onnx converts it, together with the .pdmodel beside it"
_DESCRIPTION = "fetch the description beside it again"
_SOURCE = "give the model that it was converted from"

_HINTS = (
    (re.compile(r".+\.data-\d{5}-of-\d{5}"), "", _TF_DATA),
    (re.compile(r"(.+)\.meta"), ".index", _TF_META),
    (re.compile(r".*\d+-?shard\d+of\d+(\.bin)?"), "", _TFJS),
    (re.compile(r"(.+)\.bin"), ".param", Kind("probably the weights of an ncnn model", _DESCRIPTION)),
    (re.compile(r"(.+)\.bin"), ".xml", Kind("probably the weights of an OpenVINO model", _DESCRIPTION)),
    (re.compile(r"(.+)\.weights"), "", Kind("probably weights of Darknet", "put its .cfg beside it")),
    (re.compile(r"(.+)\.mlmodel"), "", Kind("probably a Core ML model", _SOURCE)),
    (re.compile(r"(.+)\.caffemodel"), "", Kind("probably a Caffe model", "fetch it again")),
    (re.compile(r"(.+)\.mnn"), "", Kind("probably an MNN model", _SOURCE)),
    (re.compile(r"(.+)\.(engine|plan|trt)"), "", Kind("probably a TensorRT engine", _SOURCE)),
    (re.compile(r"(.+)\.pdiparams"), "", Kind("probably Paddle inference weights", _PADDLE)),
    (re.compile(r"(.+)\.mat"), "", Kind("probably a MATLAB 4 .mat file", "save its arrays as .npz")),
    (re.compile(r"(.+)\.t7"), "", Kind("probably a file of Torch7 (Lua)", "save its arrays as .npz")),
    (re.compile(r"(.+)\.uff"), "", Kind("probably a UFF model of TensorRT", _SOURCE)),
    (re.compile(r"(.+)\.(tlt|etlt)"), "", Kind("probably an encrypted model of NVIDIA TAO", _SOURCE)),
)  # fmt: skip


def promises_weights(name: str) -> bool:
    """Tell whether the ending of a name promises weights, also behind the ending of a packer."""
    lower = name.lower()
    inner = re.sub(r"\.(gz|bz2|xz|zst|lz4|z|zip|7z|rar)$", "", lower)
    return lower.endswith(SUFFIXES) or inner.endswith(SUFFIXES)


def by_name(path: Location) -> Kind | None:
    """The kind of file that a name suggests, together with the file that then lies beside it."""
    name = base_name(path)
    for pattern, beside, kind in _HINTS:
        match = pattern.fullmatch(name)
        if match and (not beside or is_file(path.parent / f"{match[1]}{beside}")):
            return kind
    return None
