"""torch files that lie, attack or are damaged: refused with a reason, or read; never anything else."""

import collections
import importlib
import io
import os
import pickle
import random
import struct
import sys
import warnings
import zipfile

import hypothesis
import hypothesis.strategies as st
import pytest

import jfilters
from jfilters.converters._torch import _format as _torch
from jfilters.converters._torch import _walk as _torch_walk
from jfilters.errors import CheckpointError
from jfilters.io import _zip as _zip

torch = pytest.importorskip("torch")


class Storage:
    """Stands for storage 0 of four floats in a pickle made by `Forger`."""

    def __init__(self, *key):
        self.key = key or ("storage", torch.FloatStorage, "0", "cpu", 4)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Forger(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.key if isinstance(obj, Storage) else None


def pickled(value):
    file = io.BytesIO()
    Forger(file, 2).dump(value)
    return file.getvalue()


def forged(path, value, **members):
    """A torch archive with any value in its pickle and four floats as storage 0."""
    parts = {"a/data.pkl": pickled(value), "a/data/0": bytes(16)} | members
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def forged_legacy(path, value, keys=("0",), count=4):
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [pickle.dumps(part, 2) for part in header]
    parts += [pickled(value), pickle.dumps(list(keys), 2), struct.pack("<Q", count), bytes(16)]
    path.write_bytes(b"".join(parts))
    return path


def tensor(offset=0, size=(2, 2), stride=(2, 1), storage=None):
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, storage or Storage(), offset, size, stride, False, {})


def arrays(path):
    assert _torch.FORMAT.recognizes(path, path.read_bytes()[:512])
    return _torch.FORMAT.arrays(path)


def refused(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        arrays(path)
    assert caught.value.path == str(path)
    return caught.value


def survives(path, format=_torch.FORMAT):
    """Whether a file is read; all but a value or a `CheckpointError` that names it is an error."""
    if not format.recognizes(path, path.read_bytes()[:512]):
        return False
    refusal = None
    try:
        for array in format.arrays(path):
            if array.reason is None:
                assert array.read().shape == array.shape
    except CheckpointError as error:
        refusal = error
    assert refusal is None or refusal.path == str(path)
    return refusal is None


def test_a_forged_tensor_is_read(tmp_path):
    assert arrays(forged(tmp_path / "x", {"w": tensor()}))[0].read().tolist() == [[0, 0], [0, 0]]
    assert arrays(forged_legacy(tmp_path / "x", {"w": tensor()}))[0].shape == (2, 2)


VIEWS = {
    "a negative offset": (tensor(-1), "negative"),
    "a negative stride": (tensor(3, stride=(-1, -1)), "negative"),
    "a negative size": (tensor(size=(-2, 2)), "negative"),
    "an offset beyond the end": (tensor(1), "needs 20 bytes of storage 0, which has 16"),
    "a size beyond the end": (tensor(size=(3, 2)), "needs 24 bytes"),
    "a stride beyond the end": (tensor(stride=(1 << 40, 1)), "needs"),
    "a size beyond any file": (tensor(size=(1 << 70, 1)), "larger than any file"),
    "an empty array beyond any file": (
        tensor(size=(0, 1 << 40, 1 << 40), stride=(0, 0, 0)),
        "larger",
    ),
    "more strides than sizes": (tensor(stride=(1, 1, 1)), "does not go with strides"),
    "a thousand axes": (tensor(size=(1,) * 1000, stride=(1,) * 1000), "at most 32"),
    "a size that is text": (tensor(size=("2", 2)), "expected an integer, found str"),
    "a size that is a truth value": (tensor(size=(True, 2)), "expected an integer, found bool"),
    "a size that is no tuple": (tensor(size=4), "expected a shape"),
    "an offset that is a fraction": (tensor(0.5), "expected an integer, found float"),
    "no storage": (tensor(storage="0"), "without a storage|refers to"),
    "a storage that is missing": (
        tensor(storage=Storage("storage", torch.FloatStorage, "7", "cpu", 4)),
        "no such member|no storage 7|refers to",
    ),
    "a persistent id of another kind": (tensor(storage=Storage("stuff", 1)), "no reference"),
}


@pytest.mark.parametrize("forge", [forged, forged_legacy])
@pytest.mark.parametrize("name", VIEWS)
def test_views_that_lie_are_refused(tmp_path, name, forge):
    value, message = VIEWS[name]
    error = refused(forge(tmp_path / "x.pt", {"layer": [value]}), message)
    assert error.tensor in ("layer.0", None) or error.tensor.endswith("data/7")


def test_the_array_at_fault_is_named(tmp_path):
    assert refused(forged(tmp_path / "x.pt", {"layer": [tensor(9)]}), "needs").tensor == "layer.0"


def test_a_storage_shorter_than_its_view_is_refused(tmp_path):
    path = forged(tmp_path / "x.pt", {"w": tensor()}, **{"a/data/0": bytes(15)})
    refused(path, "needs 16 bytes of storage 0, which has 15")


def test_a_file_that_shrinks_while_it_is_read_has_failed(tmp_path):
    path = forged(tmp_path / "x.pt", {"w": tensor()})
    (found,) = arrays(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError) as caught:
        found.read()
    assert (caught.value.status, caught.value.path) == ("failed", str(path))


def test_a_dtype_that_numpy_lacks_is_named_not_read(tmp_path):
    storage = Storage("storage", torch.QUInt4x2Storage, "0", "cpu", 4)
    (found,) = arrays(forged(tmp_path / "x.pt", {"w": tensor(storage=storage)}))
    assert found.reason == "dtype unknown is not read"


@pytest.mark.parametrize("forge", [forged, forged_legacy])
def test_code_in_a_pickle_does_not_run_and_hides_no_array(tmp_path, forge):
    witness = tmp_path / "ran"
    attacks = {
        "system": Call(os.system, f"touch {witness}"),
        "eval": Call(eval, f"open({str(witness)!r}, 'w')"),
        "nested": Call(getattr, Call(getattr, Call(__import__, "os"), "path"), "join"),
        "w": tensor(),
    }
    found = arrays(forge(tmp_path / "x.pt", attacks))
    assert [a.name for a in found] == ["w"]
    assert not witness.exists()


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_an_encrypted_member_is_refused(tmp_path, flag):
    path = forged(tmp_path / "x.pt", {"w": tensor()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= flag
    path.write_bytes(data)
    assert refused(path, "encrypted").tensor == "a/data.pkl"


@pytest.mark.parametrize("member", ["a/data.pkl", "a/data/0"])
def test_a_compressed_member_is_refused_and_not_inflated(tmp_path, member):
    path = tmp_path / "x.pt"
    parts = {"a/data.pkl": pickled({"w": tensor()}), "a/data/0": bytes(16)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            method = zipfile.ZIP_DEFLATED if name == member else zipfile.ZIP_STORED
            archive.writestr(name, data + bytes(10**7) * (name == member), method)
    assert path.stat().st_size < 20_000
    assert "zip it with -0" in str(refused(path, "compressed"))


def test_names_that_climb_out_are_only_names(tmp_path):
    path = tmp_path / "inner" / "x.pt"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../a/data.pkl", pickled({"w": tensor()}))
        archive.writestr("../../a/data/0", bytes(16))
    assert arrays(path)[0].read().shape == (2, 2)
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", "x.pt"]


def test_two_pickles_are_refused(tmp_path):
    path = forged(tmp_path / "x.pt", {"w": tensor()}, **{"b/data.pkl": pickled({})})
    refused(path, r"expected one data\.pkl, found 2")
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled({}))
        archive.writestr("a/data.pkl", pickled({}))
    refused(path, "two members have this name")


def test_an_archive_without_its_pickle_is_refused(tmp_path):
    path = forged(tmp_path / "x.pt", {}, **{"a/data.pkl": None, "a/constants.pkl": b"N."})
    refused(path, r"no data\.pkl")


def test_a_damaged_pickle_does_not_match_its_checksum(tmp_path):
    path = forged(tmp_path / "x.pt", {"weight": tensor()})
    path.write_bytes(path.read_bytes().replace(b"weight", b"height"))
    assert "fetch it again" in str(refused(path, "checksum should be"))


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    path = forged(tmp_path / "x.pt", {}, **{f"a/data/{i}": b"" for i in range(20)})
    monkeypatch.setattr(_zip, "MAX_MEMBERS", 10)
    refused(path, "more than 10 members")
    monkeypatch.setattr(_zip, "MAX_DIRECTORY", 100)
    refused(path, "central directory of more than 100 bytes")


def test_an_archive_that_was_cut_off_is_known_for_what_it_is(tmp_path):
    path = forged(tmp_path / "x.pt", {"w": tensor()})
    path.write_bytes(path.read_bytes()[:-30])
    assert "fetch it again" in str(refused(path, "no central directory"))


def test_zip64_fields_are_followed(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("a/data.pkl", "w", force_zip64=True) as member:
            member.write(pickled({"w": tensor()}))
        archive.writestr("a/data/0", bytes(16))
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<II", data[end + 12 : end + 20])
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2, 2, size, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    tail = data[end : end + 12] + b"\xff" * 8 + data[end + 20 :]
    path.write_bytes(data[:end] + record + locator + tail)
    assert arrays(path)[0].shape == (2, 2)
    path.write_bytes(data[:end] + b"XX" + record[2:] + locator + tail)
    refused(path, "zip64")


LEGACY = {
    "a storage beyond the file": ({"count": 5}, "ends early"),
    "a storage of 2^63 floats": ({"count": 1 << 63}, "ends early"),
    "a storage that is not listed": ({"keys": ()}, "no storage 0"),
    "a storage that nobody refers to": ({"keys": ("0", "1")}, "expected a list of the storages"),
    "keys that are no text": ({"keys": (0,)}, "expected a list of the storages"),
    "keys that are lists": ({"keys": ([],)}, "expected a list of the storages"),
}


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_storages_that_lie_are_refused(tmp_path, name):
    change, message = LEGACY[name]
    refused(forged_legacy(tmp_path / "x.pt", {"w": tensor()}, **change), message)


def test_a_legacy_storage_can_be_a_part_of_another(tmp_path):
    key = ("storage", torch.FloatStorage, "0", "cpu", 4)
    part = tensor(size=(2,), stride=(1,), storage=Storage(*key, ("1", 2, 2)))
    assert arrays(forged_legacy(tmp_path / "x.pt", {"w": part}))[0].read().shape == (2,)
    lies = tensor(size=(2,), stride=(1,), storage=Storage(*key, ("1", -2, 2)))
    refused(forged_legacy(tmp_path / "x.pt", {"w": lies}), "storage view")


def test_a_bare_pickle_has_no_storages(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickled({"w": tensor()}))
    refused(path, "bare pickle that refers to a storage")


def test_recursive_containers_are_entered_once(tmp_path):
    value: dict = {"w": tensor()}
    value["self"] = value
    value["list"] = [value, (value,)]
    assert [a.name for a in arrays(forged(tmp_path / "x.pt", value))] == ["w"]


def test_doubling_containers_are_entered_once(tmp_path):
    value = [tensor()]
    for _ in range(60):
        value = [value, value]
    assert len(arrays(forged(tmp_path / "x.pt", value))) == 1


class Plain:
    pass


def test_objects_that_share_their_state_are_entered_once(tmp_path):
    state, objects = {"w": tensor()}, [Plain() for _ in range(9)]
    for one in objects:
        one.__dict__ = state
    assert [a.name for a in arrays(forged(tmp_path / "x.pt", objects))] == ["w"]


def test_modules_that_share_their_parameters_are_entered_once(tmp_path):
    modules = [torch.nn.Identity() for _ in range(9)]
    for one in modules:
        one.__dict__["_parameters"] = modules[0].__dict__["_parameters"]
    modules[0].__dict__["_parameters"]["w"] = tensor()
    assert [a.name for a in arrays(forged(tmp_path / "x.pt", modules))] == ["w"]


def test_containers_nested_too_deep_are_refused(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x04K\x01" + b"\x85" * 2000 + b".")
    refused(path, "containers inside each other")


def test_wrappers_of_wrappers_are_followed_a_few_times_only(tmp_path):
    value = tensor()
    for _ in range(100):
        value = Call(torch._utils._rebuild_parameter, value, True, {})
    (found,) = arrays(forged(tmp_path / "x.pt", {"w": value}))
    assert found.read().shape == (2, 2)


def test_names_and_arrays_are_bounded(tmp_path, monkeypatch):
    path = forged(tmp_path / "x.pt", {"n" * 2000: tensor()})
    refused(path, "a name of more than 1000 characters")
    monkeypatch.setattr(_torch_walk, "MAX_ARRAYS", 3)
    refused(
        forged(tmp_path / "x.pt", [tensor(), tensor(), tensor(), tensor()]), "more than 3 arrays"
    )


@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_that_lie_are_refused(tmp_path):
    rebuild, scheme = torch._utils._rebuild_qtensor, torch.per_channel_affine
    integers = Storage("storage", torch.QInt8Storage, "0", "cpu", 16)
    scales = tensor(size=(2,), stride=(1,))

    def quantized(*parameters):
        return {"w": Call(rebuild, integers, 0, (2, 2), (2, 1), parameters, False, {})}

    (found,) = arrays(forged(tmp_path / "x.pt", quantized(scheme, scales, scales, 1)))
    assert found.read().shape == (2, 2)
    refused(forged(tmp_path / "x.pt", quantized(scheme, scales, scales, 2)), "axis 2")
    refused(forged(tmp_path / "x.pt", quantized(scheme, tensor(), scales, 1)), "axis 1")
    refused(forged(tmp_path / "x.pt", quantized(scheme, [], scales, 1)), "no plain tensors")
    (found,) = arrays(forged(tmp_path / "x.pt", quantized("other")))
    assert "quantization scheme" in found.reason


def seeds():
    """One small file of every kind, as bytes."""
    module = torch.nn.Conv2d(2, 3, 3)
    value = {"net": module, "state": module.state_dict(), "numbers": [1, 2.5, "x"]}
    files = [io.BytesIO() for _ in range(3)]
    torch.save(value, files[0])
    torch.save(value, files[1], _use_new_zipfile_serialization=False)
    files[2].write(pickle.dumps(collections.OrderedDict(module.state_dict(), a=module), 4))
    return [file.getvalue() for file in files]


@pytest.mark.parametrize("kind", range(3))
def test_files_cut_off_anywhere_are_refused(tmp_path, kind, unchecked):
    data, path = seeds()[kind], tmp_path / "x.pt"
    path.write_bytes(data)
    assert survives(path)
    ends = {*range(0, len(data), 4096), *range(1, 9), *range(len(data) - 40, len(data)), 512}
    for end in sorted(ends):
        path.write_bytes(data[:end])
        assert not survives(path, unchecked)


@pytest.fixture(scope="module")
def unchecked():
    """The format without run-time type checks, with which thousands of files take minutes."""
    checked = {
        name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith(CONVERTERS)
    }
    finders = [*sys.meta_path]
    sys.meta_path[:] = [x for x in finders if not type(x).__module__.startswith("jaxtyping")]
    try:
        yield importlib.import_module(f"{CONVERTERS}._torch").FORMAT
    finally:
        sys.meta_path[:] = finders
        for name in [*sys.modules]:
            if name.startswith(CONVERTERS):
                del sys.modules[name]
        sys.modules.update(checked)
        jfilters.converters = checked[CONVERTERS]


CONVERTERS = "jfilters.converters"


@pytest.mark.parametrize("kind", range(3))
def test_damaged_files_are_refused_or_read(tmp_path, kind, unchecked):
    """2,000 files with flipped bits, overwritten bytes, or pieces moved about."""
    data, path, rng = seeds()[kind], tmp_path / "x.pt", random.Random(kind)
    read = 0
    for _ in range(667):
        path.write_bytes(mutated(data, rng))
        read += survives(path, unchecked)
    assert 0 < read < 667


def mutated(data, rng):
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        position = rng.randrange(len(damaged))
        kind = rng.randrange(4)
        if kind == 0:
            damaged[position] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[position] = rng.choice(b"\x00\xff.(R}]tqh\x80\x85\x94")
        elif kind == 2:
            size = rng.randrange(1, 9)
            damaged[position : position + size] = rng.randbytes(size)
        else:
            start = rng.randrange(len(damaged))
            damaged[position:position] = damaged[start : start + rng.randrange(1, 60)]
    return bytes(damaged)


@hypothesis.given(st.binary(max_size=80))
def test_pickles_of_any_bytes_inside_an_archive_are_refused_or_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x.pt"
    survives(forged(path, {}, **{"a/data.pkl": b"\x80\x02" + data}))
