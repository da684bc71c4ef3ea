"""The parts of healthy checkpoints that are damaged: the content of a file, or which files there are."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._grammars._listing import perform
from ._seeds import entry


@dataclass(frozen=True)
class Part:
    """A file of a healthy checkpoint, its content, and what is opened of the checkpoint."""

    file: Path
    whole: bytes
    opened: Path

    @contextlib.contextmanager
    def damaged(self, content: bytes) -> Iterator[Path]:
        """What to open while the file has this content."""
        self.file.write_bytes(content)
        yield self.opened
        self.file.write_bytes(self.whole)


@dataclass(frozen=True)
class Listing:
    """The folder of a checkpoint of several files, changed by a script; an empty one changes nothing."""

    file: Path
    names: tuple[str, ...]
    opened: Path
    healthy: Path
    whole: bytes = b""

    @contextlib.contextmanager
    def damaged(self, content: bytes) -> Iterator[Path]:
        """What to open while the folder is as the script left it."""
        note = script_of(self.file)
        note.write_bytes(content)
        perform(self.file, content)
        yield self.opened
        shutil.rmtree(self.file)
        shutil.copytree(self.healthy, self.file)
        note.unlink()


def parts(folder: Path, healthy: Path | None = None) -> list[Part | Listing]:
    """All files of all healthy checkpoints of a reader, and the folders of several files.

    `folder` is the copy that is damaged, `healthy` the original; without it folders are left out.
    """
    found = list[Part | Listing]()
    for seed in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [file for file in sorted(seed.rglob("*")) if file.is_file()]
        opened = entry(seed)
        found += [Part(file, file.read_bytes(), opened) for file in files]
        if healthy is not None and len(files) > 1:
            names = tuple(str(file.relative_to(seed)) for file in files)
            found.append(Listing(seed, names, opened, healthy / seed.name))
    return found


def script_of(folder: Path) -> Path:
    """Where the script of a folder that is being damaged lies."""
    return folder.parent / f"{folder.name}.script"


def damaged_copy(seeds: Path) -> Path:
    """The folder where the seeds of a reader are damaged."""
    return seeds.with_name(f"{seeds.name}-damaged")


def left_behind(seeds: Path) -> tuple[Path, bytes]:
    """The file that was damaged when the process ended, and its content; a folder with its script."""
    folder = damaged_copy(seeds)
    for note in folder.glob("*.script"):
        return folder / note.stem, note.read_bytes()
    for part in parts(seeds) if folder.is_dir() else ():
        file = folder / part.file.relative_to(seeds)
        if (content := file.read_bytes()) != part.whole:
            return file, content
    raise LookupError(f"no file in {folder} is damaged")
