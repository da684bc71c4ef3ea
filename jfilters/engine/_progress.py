"""A progress bar for people, on stderr of a terminal or in a notebook; nothing where nobody watches."""

import contextlib
import sys
from collections.abc import Iterator

from ._engine import Progress


@contextlib.contextmanager
def progress_bar(progress: bool | Progress) -> Iterator[Progress]:
    """Yield a function of (stage, done, total) that moves a bar, which goes away when the work is done.

    Args:
        progress: whether to show a bar; or the function to call instead.
    """
    if not isinstance(progress, bool):
        yield progress
    elif not (progress and _is_watched()):
        yield lambda stage, done, total: None
    else:
        with _bar() as update:
            yield update


def _is_watched() -> bool:
    kernel = sys.modules.get("IPython")
    shell = kernel.get_ipython() if kernel else None
    return sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    percentage = TextColumn("{task.percentage:>3.0f}%")
    columns = (TextColumn("{task.description}"), BarColumn(), percentage, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield update
