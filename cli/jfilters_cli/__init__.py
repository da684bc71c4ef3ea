"""The command line of jfilters; the console script `jfilters` runs `run`.

Nothing of jfilters, JAX or Arrow is imported at module level here: commands import inside their
bodies, so that `jfilters --help` answers at once. The commands themselves are imported by `run`, which
answers an interruption at any time.
"""

from ._interruption import ended_by_interruption


def run() -> None:
    """Run the command of the command line, and end its process with the command's exit code."""
    with ended_by_interruption():
        from ._run import run

        run()


def main() -> None:
    """Run the command of the command line, and exit with its code."""
    with ended_by_interruption():
        from ._app import main

        main()
