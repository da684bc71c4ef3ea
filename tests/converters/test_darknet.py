"""Darknet models: the layout of its sources, written out here, is read value by value."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import detect, open_checkpoint
from jfilters.engine import scan
from jfilters.errors import ForeignFormatError, UnknownFormatError

RNG = np.random.default_rng(0)
NET = "# a network\n\n[net]\nchannels=3\nheight=8\nwidth=8\n"
CONV = "[convolutional]\nfilters={}\nsize=3\npad=1\n"


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def save(folder: Path, text: str, *arrays: np.ndarray, version=(0, 2), name="net") -> Path:
    """Write both files; returns the path of the weights."""
    (folder / f"{name}.cfg").write_text(text)
    head = struct.pack("<3i", *version, 0) + bytes(8 if version >= (0, 2) else 4)
    data = b"".join(array.astype("<f4").tobytes() for array in arrays)
    (folder / f"{name}.weights").write_bytes(head + data)
    return folder / f"{name}.weights"


def plain(folder: Path, **options) -> tuple[Path, np.ndarray]:
    weight = floats(4, 3, 3, 3)
    return save(folder, NET + CONV.format(4), floats(4), weight, **options), weight


@pytest.mark.parametrize("version", [(0, 1), (0, 2)])
@pytest.mark.parametrize("ending", [".weights", ".cfg"])
def test_a_convolution_is_read_behind_its_biases(tmp_path, version, ending):
    path, weight = plain(tmp_path, version=version)
    checkpoint = open_checkpoint(path.with_suffix(ending))
    (layer,) = checkpoint.layers
    np.testing.assert_array_equal(layer.read(), weight)
    assert (checkpoint.format, layer.layer.name) == ("darknet", "0.conv.weight")
    other = ".cfg" if ending == ".weights" else ".weights"
    assert checkpoint.companions == (path.with_suffix(other),)


def test_normalization_comes_before_the_weight(tmp_path):
    weight = floats(4, 3, 3, 3)
    text = NET + CONV.format(4) + "batch_normalize=1\n"
    path = save(tmp_path, text, *(floats(4) for _ in range(4)), weight)
    checkpoint = open_checkpoint(path)
    np.testing.assert_array_equal(checkpoint.layers[0].read(), weight)
    assert checkpoint.has_batchnorm


def test_routes_join_channels_and_give_depth(tmp_path):
    sections = (
        CONV.format(4),
        CONV.format(6) + "groups=2\n",
        "[route]\nlayers=-1,0\n",
        CONV.format(2),
        "[route]\nlayers = -1\ngroups=2\ngroup_id=1\n",
        CONV.format(5),
        "[shortcut]\nfrom=-1\n",
        "[maxpool]\nsize=2\nstride=2\n",
        "[reorg]\nstride=2\n",
        CONV.format(7),
        "[upsample]\nstride=2\n",
        "[avgpool]\n",
        "[connected]\noutput=9\n",
        "[yolo]\nmask=0,1\n",
    )
    shapes = [(4, 3), (6, 2), (2, 10), (5, 1), (7, 20)]
    weights = [floats(*shape, 3, 3) for shape in shapes]
    arrays = [x for weight in weights for x in (floats(len(weight)), weight)]
    path = save(tmp_path, NET + "".join(sections), *arrays, floats(9), floats(9, 7))
    layers = open_checkpoint(path).layers
    for layer, weight in zip(layers, weights, strict=True):
        np.testing.assert_array_equal(layer.read(), weight)
    assert [x.layer.groups for x in layers] == [1, 2, 1, 1, 1]
    assert [x.layer.depth for x in layers] == [0, 1, 2, 3, 4]
    assert {x.layer.depth_source for x in layers} == {"graph"}


def test_a_dense_layer_takes_what_the_extent_leaves(tmp_path):
    text = NET + CONV.format(4) + "stride=2\n[maxpool]\nsize=2\nstride=2\n[connected]\noutput=5\n"
    arrays = (floats(4), floats(4, 3, 3, 3), floats(5), floats(5, 4 * 2 * 2))
    (skipped,) = [
        x
        for x in open_checkpoint(save(tmp_path, text, *arrays)).skipped
        if x.reason == "dense (2-D)"
    ]
    assert skipped.shape == (5, 16)


def test_learned_shortcuts_and_shared_layers_are_counted(tmp_path):
    text = NET + CONV.format(3) + "[shortcut]\nfrom=-1\nweights_type=per_channel\n"
    text += CONV.format(3) + "share_index=0\n" + CONV.format(2)
    last = floats(2, 3, 3, 3)
    arrays = (floats(3), floats(3, 3, 3, 3), floats(6), floats(2), last)
    np.testing.assert_array_equal(
        open_checkpoint(save(tmp_path, text, *arrays)).layers[-1].read(), last
    )


def test_snapshots_of_a_training_share_a_configuration(tmp_path):
    path, weight = plain(tmp_path)
    for name in ("net_final", "net_1000"):
        (tmp_path / f"{name}.weights").write_bytes(path.read_bytes())
        (layer,) = open_checkpoint(tmp_path / f"{name}.weights").layers
        np.testing.assert_array_equal(layer.read(), weight)
    record = scan(tmp_path).record["checkpoints"]
    assert [(x["model"], x["companions"]) for x in record] == [
        (f"net{end}.weights", ["net.cfg"]) for end in ("", "_1000", "_final")
    ]


def test_either_file_alone_is_named(tmp_path):
    path, _ = plain(tmp_path)
    text, weights = path.with_suffix(".cfg").read_bytes(), path.read_bytes()
    path.with_suffix(".cfg").unlink()
    with pytest.raises(ForeignFormatError, match=r"weights of Darknet.*; put its \.cfg beside it"):
        detect(path)
    path.unlink()
    path.with_suffix(".cfg").write_bytes(text)
    with pytest.raises(UnknownFormatError, match="Darknet network, without weights"):
        detect(path.with_suffix(".cfg"))
    assert weights


REFUSED = {
    "an unknown layer": ("[lstm]\noutput=4\n", r"a layer of type \[lstm\], whose weights are not"),
    "no filters": (CONV.format(0), r"\[convolutional\] filters='0': expected 1 or more"),
    "no number": (CONV.format("4.5"), r"filters='4.5': expected 1 or more"),
    "channels without end": (
        CONV.format(4) + 99 * "[route]\nlayers=-1,-1\n",
        r"\[route\] of more than 2147483648 channels",
    ),
    "groups": (CONV.format(4) + "groups=2\n", "2 groups of 3 channels"),
    "a route to itself": ("[route]\nlayers=0\n", "expected layers before number 0"),
    "a route to nowhere": ("[route]\n", "expected numbers of layers"),
    "too few weights": (2 * CONV.format(4), "the file ends early: expected 16 more bytes"),
    "too many weights": (CONV.format(2), r"224 bytes of weights behind .*is net\.cfg its conf"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path, case):
    text, words = REFUSED[case]
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(save(tmp_path, NET + text, floats(4), floats(4, 3, 3, 3)))


def test_another_version_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected a version of Darknet, found 2000\.0"):
        open_checkpoint(plain(tmp_path, version=(2000, 0))[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.integers(0, 120), st.binary(min_size=1, max_size=8), st.sampled_from([".cfg", ".weights"])
)
def test_any_damage_of_either_file_is_read_or_refused(tmp_path, place, data, ending):
    path = plain(tmp_path)[0].with_suffix(ending)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with contextlib.suppress(CheckpointError):
        for layer in open_checkpoint(tmp_path / "net.weights").layers:
            assert layer.read().shape == layer.shape
