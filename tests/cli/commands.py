"""Commands as tests run them: in this process, with a terminal of a given width."""

import sys

import pytest
from jfilters_cli._app import app, main
from typer.testing import CliRunner


def run(*arguments: object, columns: int = 80):
    """What a command prints on both streams, and its exit code."""
    runner = CliRunner(env={"COLUMNS": str(columns)})
    return runner.invoke(app, [str(argument) for argument in arguments])


def fail(monkeypatch, capsys, *arguments: object) -> str:
    """What a command that cannot be done says, in one line on stderr."""
    monkeypatch.setattr(sys, "argv", ["jfilters", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        main()
    printed = capsys.readouterr()
    assert (leaving.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    return printed.err
