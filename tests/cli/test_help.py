"""How every command talks: help, version, errors, interruption, closed and narrow terminals."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
import types
from importlib.metadata import version

import jfilters_cli
import pytest
import typer.main
from jfilters_cli._app import app

from jfilters import zoo
from jfilters.errors import CheckpointError

from .commands import run

LOADED = """
import json, sys
sys.argv = ["jfilters", "--help"]
from jfilters_cli import main
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def jfilters(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from jfilters_cli import main; main()", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def main(monkeypatch, *arguments: str) -> int:
    """The exit code of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["jfilters", *arguments])
    with pytest.raises(SystemExit) as leaving:
        jfilters_cli.main()
    return leaving.value.code


def raising(error: BaseException):
    def raise_error(*_, **__):
        raise error

    return raise_error


def test_help_loads_neither_the_library_nor_what_it_computes_with():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr))
    assert "jfilters_cli" in loaded
    assert not loaded & {"jfilters", "jax", "jaxlib", "numpy", "pyarrow", "equinox", "torch", "ray"}
    assert "zoo" in done.stdout


def leaves(command, *names: str):
    """Every command without commands below it, by its words."""
    if not hasattr(command, "commands"):
        return {names: command}
    below = [leaves(inner, *names, name) for name, inner in command.commands.items()]
    return {words: leaf for part in below for words, leaf in part.items()}


COMMANDS = leaves(typer.main.get_command(app))


def test_there_are_commands_below_commands():
    assert {("scan",), ("density", "fit"), ("zoo", "list")} <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_ends_with_an_example_that_parses(words):
    done = run(*words, "--help")
    assert max(map(len, done.stdout.splitlines())) <= 80
    *_, last = COMMANDS[words].help.splitlines()
    assert f"\n  {last}\n\n" in done.stdout, "the example is broken into lines"
    program, *arguments = shlex.split(last.removeprefix("Example: "))
    assert (program, *arguments[: len(words)]) == ("jfilters", *words)
    COMMANDS[words].make_context(program, arguments[len(words) :])


@pytest.mark.parametrize("words", [(), ("density",), ("zoo",)], ids=" ".join)
def test_the_help_above_commands_fits_80_columns(words):
    done = run(*words, "--help")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version_is_that_of_the_installed_package(monkeypatch, capsys):
    assert main(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == version("jfilters") + "\n"


@pytest.mark.parametrize("arguments", [["zoo", "fetsh"], ["--frobnicate"], ["zoo", "list", "--to"]])
def test_wrong_usage_exits_with_2_and_leaves_stdout_alone(monkeypatch, capsys, arguments):
    assert main(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Usage:" in printed.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            CheckpointError("expected this,\nfound that", path="a[b].pt", remedy="do it"),
            "error: a[b].pt: expected this, found that; do it\n",
        ),
        (
            PermissionError(13, "Permission denied", "zoo"),
            "error: zoo: permission denied; check its permissions, or choose another place\n",
        ),
    ],
    ids=["checkpoint", "system"],
)
def test_an_error_is_one_line_on_stderr(monkeypatch, capsys, error, line):
    monkeypatch.setattr(zoo, "entries", raising(error))
    assert main(monkeypatch, "zoo", "list") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith(line)
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["jfilters", "zoo", "list"])
    monkeypatch.setattr(zoo, "entries", raising(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        jfilters_cli.main()


def test_ctrl_c_says_so_and_exits_with_130(monkeypatch, capsys):
    monkeypatch.setattr(zoo, "entries", raising(KeyboardInterrupt()))
    assert main(monkeypatch, "zoo", "list") == 130
    assert capsys.readouterr() == ("", "interrupted: run again to continue\n")


@pytest.mark.parametrize(
    ("words", "end"), [(["scan", "zoo"], "continue"), (["drift", "zoo"], "start over")]
)
def test_ctrl_c_before_any_command_is_imported(monkeypatch, capsys, words, end):
    monkeypatch.setattr(sys, "argv", ["jfilters", *words])
    monkeypatch.setitem(sys.modules, "jfilters_cli._run", Interrupted("interrupted"))
    with pytest.raises(SystemExit) as leaving:
        jfilters_cli.run()
    assert leaving.value.code == 130
    assert capsys.readouterr() == ("", f"interrupted: run again to {end}\n")


class Interrupted(types.ModuleType):
    """A module during whose import the user gives up."""

    def __getattr__(self, name: str):
        raise KeyboardInterrupt


def test_every_command_is_listed_in_a_group_with_one_uncut_line():
    lines = run("-h").stdout.splitlines()
    assert not any(line.endswith("...") for line in lines if not line.startswith("Usage"))
    for words in {words[0] for words in COMMANDS}:
        assert sum(line.split()[:1] == [words] for line in lines) == 1, words
    assert [line for line in lines if line.endswith(":")] == [
        *("Scan:", "Ask a scan:", "Compare:", "Share:", "Tools:", "Options:")
    ]


@pytest.mark.parametrize("words", [(), ("scan",), ("drift",), ("density",)], ids=" ".join)
def test_help_fits_a_terminal_of_40_columns(words):
    lines = run(*words, "-h", columns=40).stdout.splitlines()
    long = [line for line in lines if len(line) > 40]
    assert all(line.startswith("  Example: ") for line in long)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_values_have_one_style_of_names(words):
    done = run(*words, "-h")
    assert done.stdout == run(*words, "--help").stdout
    usage, *lines = done.stdout.splitlines()
    assert not set("{}<>") & set(usage)
    options = lines[lines.index("Options:") :]
    names = [line.split("  ")[1] for line in options if line.startswith("  -")]
    for name in names:
        *_, value = name.split()
        assert value.startswith("-") or value.isupper() or "|" in value or value == "filterdb", name


class TestMistypedCommands:
    def test_a_folder_suggests_a_scan_and_a_file_an_inspection(self, tmp_path):
        (tmp_path / "my nets").mkdir()
        (tmp_path / "a.pth").touch()
        assert f"jfilters scan '{tmp_path}/my nets'" in run(tmp_path / "my nets").stderr
        assert f"jfilters inspect {tmp_path}/a.pth" in run(tmp_path / "a.pth").stderr
        (tmp_path / "my nets" / "scan.json").touch()
        assert "jfilters report " in run(tmp_path / "my nets").stderr

    def test_several_paths_and_a_url_suggest_a_scan(self, tmp_path):
        (tmp_path / "a.pth").touch()
        paths = (str(tmp_path / "a.pth"), "b.pth")
        assert f"jfilters scan {paths[0]} b.pth" in run(*paths).stderr
        assert "jfilters scan gs://bucket/nets" in run("gs://bucket/nets").stderr

    @pytest.mark.parametrize(
        ("words", "near"),
        [
            (["scna"], "Did you mean 'scan'"),
            (["density", "fti"], "Did you mean 'fit'"),
            (["zoo", "list", "--format", "tabel"], "did you mean table?"),
            (["scan", "zoo", "--dtype", "float23"], "did you mean float32?"),
            (["scan", "zoo", "--reprot"], "--report"),
        ],
        ids=" ".join,
    )
    def test_the_nearest_is_named(self, words, near):
        done = run(*words)
        assert done.exit_code == 2
        assert near in done.stderr
        assert "Value error" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["zoo", "list", "--format", "json"]]
)
def test_closed_stdout_is_quiet(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from jfilters_cli import main; main()", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""


def test_what_the_terminal_cannot_encode_is_escaped(monkeypatch, capsys):
    undecodable = dataclasses.replace(zoo.entries()[0], name="a\udcff.pt")
    monkeypatch.setattr(zoo, "entries", lambda: (undecodable,))
    assert main(monkeypatch, "zoo", "list") == 0
    assert r"a\udcff.pt" in capsys.readouterr().out


def test_a_narrow_ascii_terminal_without_color_is_enough():
    plain = {"PYTHONIOENCODING": "ascii", "LANG": "C", "NO_COLOR": "1", "COLUMNS": "40"}
    done = jfilters("zoo", "list", **plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40
