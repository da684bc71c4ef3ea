"""Formats that the first bytes of a file give away, as one table: offset, bytes, name, remedy.

Sources: the schemas and specifications of the formats, and the lists of file signatures of file(1).
"""

from ._kind import Kind, other

_EXECUTORCH = Kind(
    "an ExecuTorch program", "save the state_dict of the module that it was exported from"
)
_GGML = Kind(
    "a GGML file of llama.cpp or whisper.cpp", "give the checkpoint that it was converted from"
)
_MATLAB = (
    "for a network of MatConvNet: "
    "numpy.savez('net.npz', **{f\"{x['name']}/kernel\": x['weights'][0] for x in "
    "scipy.io.loadmat('net.mat', simplify_cells=True)['layers'] if len(x.get('weights', ()))})"
)
_MATLAB_7 = "open it with h5py, turn its axes around and save its arrays with numpy.savez"
_TENSORRT = Kind("a TensorRT engine", "give the ONNX file that it was built from")
_MXNET = Kind(
    "an MXNet parameter file",
    "numpy.savez('net.npz', **{k: v.asnumpy() for k, v in mxnet.nd.load('net.params').items()})",
)
_GGUF = Kind(
    "a GGUF file",
    "numpy.savez('net.npz', **{t.name: gguf.dequantize(t.data, t.tensor_type) for t in "
    "gguf.GGUFReader('net.gguf').tensors})",
)
_TORCH7 = Kind("a file of Torch7 (Lua)", "read it with the package torchfile and save it as .npz")

MAGICS: tuple[tuple[int, bytes, Kind], ...] = (
    (4, b"PTMF", Kind("a PyTorch Mobile flatbuffer (.ptl)", "save the state_dict of the module behind it")),
    (4, b"CIR0", Kind("a Circle model of ONE", "give the ONNX or TensorFlow model behind it")),
    (4, b"ORTM", Kind("an ONNX Runtime model (.ort)", "give the ONNX file that it was made from")),
    (0, b"GGUF", _GGUF),
    *((0, magic, _GGML) for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
    (0, b"MATLAB 5.0 MAT-file", Kind("a MATLAB 5 .mat file, as MatConvNet writes", _MATLAB)),
    (0, b"MATLAB 7.3 MAT-file", Kind("a MATLAB 7.3 .mat file", _MATLAB_7)),
    *((0, magic, _TENSORRT) for magic in (b"ptrt", b"ftrt")),
    (0, b"RKNN", Kind("an RKNN model", "give the ONNX file that it was made from")),
    (0, b"\x01HEF", Kind("a Hailo model (.hef)", "give the ONNX file that it was made from")),
    (0, b"LDMK", Kind("a K210 model (.kmodel)", "give the model that it was made from")),
    (0, b"\x12\x01" + bytes(14), _MXNET),
    (0, b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", _TORCH7),
    (0, b"B\0C\0N\0", Kind("a CNTK 1 model", "load it with CNTK and save it as ONNX")),
    (0, b"RDX2\n", other("an R data file")),
    (0, b"RDX3\n", other("an R data file")),
    (0, b"X\n\0\0\0", other("an R object (.rds)")),
    (0, b"PAR1", other("a Parquet table")),
    (0, b"ARROW1", other("an Arrow table")),
    (0, b"SQLite format 3\0", other("an SQLite database")),
    (0, b"%PDF-", other("a PDF document")),
    (0, b"\x89PNG\r\n", other("a PNG image")),
    (0, b"\xff\xd8\xff", other("a JPEG image")),
    (0, b"GIF8", other("a GIF image")),
    (0, b"II*\0", other("a TIFF image")),
    (0, b"MM\0*", other("a TIFF image")),
    (0, b"RIFF", other("an image, a sound or a video (RIFF)")),
    (4, b"ftyp", other("a video")),
    (0, b"\x7fELF", other("a program or library (ELF)")),
    (0, b"MZ\x90\0", other("a program or library of Windows (PE)")),
    (0, b"\xcf\xfa\xed\xfe", other("a program or library of macOS (Mach-O)")),
    (0, b"\xca\xfe\xba\xbe", other("a Java class or a macOS program")),
    (0, b"\xac\xed\0\x05", other("a serialized Java object")),
)  # fmt: skip

PACKED: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x"),
    (b"Rar!\x1a\x07", "rar", "unrar x"),
    (b"\x1f\x9d", "compress", "uncompress"),
    (b"\x78\x01", "zlib", "joblib.load, then numpy.savez"),
    (b"\x78\x5e", "zlib", "joblib.load, then numpy.savez"),
    (b"\x78\x9c", "zlib", "joblib.load, then numpy.savez"),
    (b"\x78\xda", "zlib", "joblib.load, then numpy.savez"),
)
"""The first bytes of what is compressed or packed, with the name of that and what undoes it."""


def by_magic(head: bytes) -> Kind | None:
    """The kind of file that the first bytes give away."""
    if head[4:6] == b"ET" and head[6:8].isdigit():
        return _EXECUTORCH
    matches = (kind for offset, magic, kind in MAGICS if head[offset:].startswith(magic))
    return next(matches, None)
