import os
import socket

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import FORMATS, Format, detect, open_checkpoint
from jfilters.errors import UnknownFormatError, UnreadableError


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    weight = {"a.weight": np.ones((2, 4, 3, 3), np.float32)}
    safetensors.numpy.save_file(weight, path, {"format": "pt"})
    return path


def test_formats_are_known_by_their_names():
    assert all(name == format.name for name, format in FORMATS.items())
    assert all(format.reads for format in FORMATS.values())


@pytest.mark.parametrize("name", ["x.pth.tar", "x=1.onnx", "x", "x.npy", "a\nb", "b" * 255])
def test_the_name_does_not_matter(model, name):
    path = model.rename(model.with_name(name))
    assert detect(str(path)).name == "safetensors"
    assert len(open_checkpoint(path).layers) == 1


def test_a_name_that_is_no_text(model):
    path = os.fsdecode(os.path.join(os.fsencode(model.parent), b"\xff\xfe"))
    os.rename(model, path)
    assert detect(path).name == "safetensors"
    os.truncate(path, 4)
    with pytest.raises(UnknownFormatError, match=r"\\udcff\\udcfe: 4 bytes of no known format"):
        detect(path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"a", "1 byte of no known format, starting with 61"),
        (b"\0\1\2\3\4\5\6", "7 bytes of no known format, starting with 00 01 02 03 04 05 06"),
        (b"\0" * 600, "600 bytes of no known format, starting with 00 00 00 00 00 00 00 00"),
    ],
)
def test_an_unknown_file_is_described(tmp_path, data, found):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(UnknownFormatError, match=found) as caught:
        detect(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("`jfilters formats` lists what can be read")


def test_an_unknown_folder_is_described(tmp_path):
    folder = tmp_path / "x.safetensors"
    folder.mkdir()
    with pytest.raises(UnknownFormatError, match="a folder of no known layout, empty"):
        detect(folder)
    for name in "dcba":
        (folder / name).touch()
    with pytest.raises(
        UnknownFormatError, match=r"a folder of no known layout, with a, b, c, \.\.\."
    ):
        detect(folder)


def test_a_missing_path_suggests_its_neighbors(model):
    with pytest.raises(
        UnreadableError, match=r"no such file or folder; did you mean model.safetens"
    ):
        detect(model.with_name("model.safetensor"))
    with pytest.raises(UnreadableError, match=r"no such file or folder$"):
        detect(model.with_name("zzz"))
    with pytest.raises(UnreadableError, match=r"folder; the folder .*nowhere is missing$"):
        detect(model.parent / "nowhere" / "zzz")


def test_links(model):
    link = model.with_name("link")
    link.symlink_to(model.name)
    assert detect(link).name == "safetensors"
    broken = model.with_name("broken")
    broken.symlink_to("gone")
    with pytest.raises(UnreadableError, match="a symbolic link to gone, which is missing"):
        detect(broken)
    loop = model.with_name("loop")
    loop.symlink_to("loop")
    with pytest.raises(UnreadableError, match="loop: "):
        detect(loop)


def test_special_files_are_refused_without_a_wait(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "fifo", tmp_path / "socket", "/dev/zero"):
            with pytest.raises(UnreadableError, match=str(path)):
                detect(path)


@pytest.mark.parametrize("name", ["b" * 256, "a\0b"])
def test_impossible_names_are_unreadable(tmp_path, name):
    with pytest.raises(UnreadableError):
        detect(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(model):
    model.chmod(0)
    with pytest.raises(UnreadableError, match="Permission denied"):
        detect(model)


def outcome(path):
    """What a hostile file says; any other error than `CheckpointError` fails the test."""
    try:
        assert isinstance(detect(path), Format)
        return str(open_checkpoint(path))
    except CheckpointError as error:
        return str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [
            b"",
            b"\x80\x02",
            b"PK\x03\x04",
            b"\x93NUMPY",
            b"\x89HDF\r\n\x1a\n",
            b"{",
            b"\x81\xa1a",
            b"\x08\x07",
        ]
    ),
    st.binary(max_size=40),
)
def test_hostile_bytes_are_a_format_or_an_error(tmp_path, magic, rest):
    path = tmp_path / "hostile"
    path.write_bytes(magic + rest)
    assert str(path) in outcome(path)
