"""NumPy files: what is written is read, and damaged or hostile files are refused by name."""

import io
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import _numpy, detect
from jfilters.errors import CheckpointError
from jfilters.io import _npy as _npy
from jfilters.io import _zip as _zip

DTYPES = ("float16", "<f4", ">f4", "<f8", ">f8", "int8", ">i4", "uint64", "bool", "complex64")


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def record(header: str, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin-1") + data


def header(descr="'<f4'", order="False", shape="(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def read_all(path) -> dict[str, np.ndarray]:
    return {array.name: array.read() for array in _numpy.arrays(path) if array.reason is None}


def weights(shape=(4, 3, 3, 3), dtype="float32") -> np.ndarray:
    values = np.random.default_rng(0).normal(size=shape) * 50
    with np.errstate(invalid="ignore"):
        return values.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_read_in_every_dtype_and_order(tmp_path, dtype, order):
    path, expected = tmp_path / "w.npy", weights(dtype="int8" if "u" in dtype else dtype)
    expected = np.asarray(np.abs(expected).astype(dtype), order=order)
    np.save(path, expected)
    (array,) = _numpy.arrays(path)
    found = array.read()
    assert (array.name, array.shape, array.dtype) == ("w", (4, 3, 3, 3), np.dtype(dtype).name)
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_extended_dtypes_that_the_file_tells_are_read(tmp_path, dtype):
    np.save(tmp_path / "w.npy", np.arange(4).astype(dtype))
    (array,) = _numpy.arrays(tmp_path / "w.npy")
    assert array.dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(array.read().astype(np.float32), np.arange(4, dtype=np.float32))


def test_one_raw_byte_a_value_is_no_weight(tmp_path):
    np.save(tmp_path / "w.npy", np.zeros((4, 3, 3, 3), ml_dtypes.float8_e4m3fn))
    (array,) = _numpy.arrays(tmp_path / "w.npy")
    assert "does not say which dtype" in (array.reason or "")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_read_stored_and_deflated(tmp_path, save):
    expected = {"a/kernel": weights(), "b": np.asfortranarray(weights((2, 5))), "c": np.float64(3)}
    save(tmp_path / "w.npz", **expected)
    found = read_all(tmp_path / "w.npz")
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("value", ["text", np.datetime64("2020-01-01"), np.array([None, {}])])
def test_members_that_are_no_numbers_are_listed_with_their_reason_or_dtype(tmp_path, value):
    np.savez(tmp_path / "w.npz", w=weights(), other=value)
    kernel, other = _numpy.arrays(tmp_path / "w.npz")
    np.testing.assert_array_equal(kernel.read(), weights())
    assert not other.dtype.startswith(("float", "int"))


def test_an_object_member_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "w.npz", evil=np.array([None, {}]), good=np.zeros((4, 2, 3, 3), "f4"))
    evil, _ = _numpy.arrays(tmp_path / "w.npz")
    assert "pickled" in (evil.reason or "")
    with pytest.raises(CheckpointError, match=r"w\.npz: evil: an object array"):
        evil.read()


@pytest.mark.parametrize("others", [{}, {"step": np.array(3), "mean": np.zeros(3)}])
def test_weights_in_objects_alone_are_refused_as_in_npy(tmp_path, others):
    params = np.array({"conv": np.zeros((3, 3, 4, 8))})
    np.savez(tmp_path / "w.npz", params=params, **others)
    np.save(tmp_path / "w.npy", params, allow_pickle=True)
    for name, tensor in (("w.npz", "params: "), ("w.npy", "")):
        with pytest.raises(
            CheckpointError, match=rf"{name}: {tensor}an object array.*; save plain"
        ):
            _numpy.arrays(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY", "version 1 to 3"),
        (b"\x93NUMPY\x01\x00\x76", "version 1 to 3"),
        (record(header(), b"1234567"), "truncated: expected 8 bytes"),
        (record(header(), b"123456789"), "1 bytes after the array"),
        (record(header(), b"12345678", version=9), "version 1 to 3"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 99, "claims 4294967307 bytes"),
        (record(header("'|O'"), b"\x80\x04K\x01."), "pickled"),
        (record(header("'<f4'", shape=f"({2**62}, {2**62})")), "malformed|\\.npy header"),
        (record(header("'<f4'", shape=f"({10**17}, {10**17})")), "overflows"),
        (record(header("'<f8'", shape=f"({10**17},)")), "truncated"),
        (record(header("'|V0'", shape=f"({10**17}, 100)")), "overflows"),
        (record(header(shape="(-2,)")), "\\.npy header"),
        (record(header(shape="(2.5,)")), "\\.npy header"),
        (record(header(shape="(" + "1, " * 40 + ")")), "\\.npy header"),
        (record(header(shape="(__import__('os').system('true'),)")), "\\.npy header"),
        (record(header("__import__('os')")), "\\.npy header"),
        (record(header("[('a', '<f4')]")), "\\.npy header"),
        (record(header("'f4,f4'")), "plain dtype"),
        (record(header("'<f3'")), "plain dtype"),
        (record(header(order="'True'")), "\\.npy header"),
        (record("{'descr': '<f4', 'descr': '<f4', 'shape': (2,), }"), "\\.npy header"),
        (record("(" * 9000), "\\.npy header"),
        (record("{" + " " * 16000), "\\.npy header"),
        (record("{'shape': (" + "1" * 16000), "\\.npy header"),
        (record(""), "version 1 to 3"),
    ],
)
def test_hostile_npy_files_are_refused(tmp_path, content, message):
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_all(path)


@pytest.mark.parametrize(
    "text",
    [
        "{'shape': (2,), 'fortran_order': False, 'descr': '<f4'}",
        "{'descr':'<f4','fortran_order':False,'shape':(2,)}      \n",
        "{'descr': '=f4', 'fortran_order': True, 'shape': ( 2, ), }".replace("( 2", "(2"),
    ],
)
def test_headers_of_other_writers_are_read(tmp_path, text):
    path = tmp_path / "w.npy"
    path.write_bytes(record(text, np.float32([1, 2]).tobytes()))
    np.testing.assert_array_equal(read_all(path)["w"], np.float32([1, 2]))


def archive(path, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr("jfilters.io._budget.LEAST_EXPANSION", 1 << 16)
    archive(tmp_path / "w.npz", {f"{i}.npy": npy(np.zeros(1 << 20)) for i in range(2)})
    with pytest.raises(CheckpointError, match=r"2 members that inflate to .* expected at most"):
        _numpy.arrays(tmp_path / "w.npz")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_zip, "MAX_MEMBERS", 3)
    archive(tmp_path / "w.npz", {f"{i}.npy": npy(np.zeros(1)) for i in range(4)})
    with pytest.raises(CheckpointError, match="more than 3 members"):
        _numpy.arrays(tmp_path / "w.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    archive(tmp_path / "w.npz", {"w.npy": npy(weights())}, method)
    with pytest.raises(CheckpointError, match="expected a stored or deflated member"):
        _numpy.arrays(tmp_path / "w.npz")


def test_a_member_whose_header_lies_is_refused(tmp_path):
    archive(tmp_path / "w.npz", {"w.npy": record(header(shape="(1000,)"), b"1234")})
    with pytest.raises(CheckpointError, match=r"w\.npz: w: expected 4000 bytes .* found 4"):
        _numpy.arrays(tmp_path / "w.npz")


def test_a_wrong_checksum_is_found_when_the_member_is_read(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, w=weights((64, 64, 3, 3)))
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    (array,) = _numpy.arrays(path)
    with pytest.raises(CheckpointError, match=r"w\.npy: damaged member .*CRC"):
        array.read()


def test_an_encrypted_member_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, w=weights())
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="encrypted"):
        _numpy.arrays(path)


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as file:
        file.writestr("w.npy", npy(weights()))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("w.npy", npy(weights()))
    with pytest.raises(CheckpointError, match=r"w\.npy: two members have this name"):
        _numpy.arrays(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["w.npy", "w.npz"])
def test_truncation_at_any_page_is_refused(tmp_path, name):
    path = tmp_path / name
    (np.savez if name == "w.npz" else np.save)(path, weights((16, 64, 3, 3)))
    content = path.read_bytes()
    for length in range(4096, len(content), 4096):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_all(path)


@given(
    name=st.sampled_from(["w.npy", "stored.npz", "deflated.npz"]),
    flips=st.lists(st.integers(0, 1 << 20), min_size=1, max_size=4),
)
def test_flipped_bits_are_refused_or_harmless(tmp_path_factory, name, flips):
    path = tmp_path_factory.mktemp("flip") / name
    save = {"w.npy": np.save, "stored.npz": np.savez}.get(name, np.savez_compressed)
    save(path, weights((2, 2, 3, 3)))
    content = bytearray(path.read_bytes())
    for flip in flips:
        content[flip // 8 % len(content)] ^= 1 << flip % 8
    path.write_bytes(content)
    try:
        found = read_all(path)
    except CheckpointError:
        return
    assert all(array.nbytes <= 1 << 20 for array in found.values())


@pytest.mark.parametrize("name", ["w.npy", "w.npz"])
def test_numpy_files_are_detected_whatever_their_suffix(tmp_path, name):
    (np.savez if name == "w.npz" else np.save)(tmp_path / name, weights())
    path = (tmp_path / name).rename(tmp_path / "w.bin")
    assert detect(path).name == "numpy"


@pytest.mark.parametrize("member", ["archive/data.pkl", "config.json"])
def test_other_zips_are_not_taken_for_npz(tmp_path, member):
    archive(tmp_path / "w.zip", {member: b"x", "w.npy": npy(weights())})
    path = tmp_path / "w.zip"
    assert not _numpy.recognizes(path, path.read_bytes()[:512])


@given(st.binary(max_size=512))
def test_recognizing_never_raises(tmp_path_factory, head):
    path = tmp_path_factory.getbasetemp() / "any"
    for start in (b"", b"\x93NUMPY", b"PK\x03\x04"):
        assert _numpy.recognizes(path, start + head) in (True, False)


def test_the_longest_header_is_bounded(tmp_path):
    path = tmp_path / "w.npy"
    text = header() + " " * _npy.LONGEST_NPY_HEADER
    path.write_bytes(record(text, b"12345678"))
    with pytest.raises(CheckpointError, match="expected at most"):
        _numpy.arrays(path)
