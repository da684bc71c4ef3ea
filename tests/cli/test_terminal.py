"""What kind of terminal a command meets: color or none, a pipe, a dumb one, and completion in a shell."""

import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

ESCAPE = "\x1b"
COMMAND = ("-m", "jfilters_cli")
# Both streams as every command has them, without the seconds that it takes to load what it computes with.
STREAMS = (
    "-c",
    "from jfilters_cli._console import out, talk; out.print('[bold]yes[/]'); talk('no', style='red')",
)


def environment(**told: str) -> dict[str, str]:
    """That of the tests without what decides on color, and what is told."""
    decisive = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM")
    kept = {name: value for name, value in os.environ.items() if name not in decisive}
    return kept | {"TERM": "xterm-256color", "COLUMNS": "80"} | told


def piped(*arguments: str, **told: str) -> tuple[str, str]:
    """What Python writes into two pipes."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment(**told), capture_output=True, text=True)
    return done.stdout, done.stderr


def on_terminal(*arguments: str, **told: str) -> str:
    """What Python writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, *arguments]
    child = subprocess.Popen(command, env=environment(**told), stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 1 << 16):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    child.wait()
    return seen.decode().replace("\r\n", "\n")


class TestColor:
    def test_a_terminal_has_it(self):
        answer, error = on_terminal(*STREAMS).splitlines()
        assert ESCAPE in answer
        assert ESCAPE in error

    @pytest.mark.parametrize("told", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids="".join)
    def test_a_terminal_that_wants_none_has_none(self, told):
        assert on_terminal(*STREAMS, **told) == "yes\nno\n"

    def test_a_pipe_has_none(self):
        assert piped(*STREAMS) == ("yes\n", "no\n")

    def test_a_pipe_has_it_where_that_is_asked_for(self):
        assert all(ESCAPE in stream for stream in piped(*STREAMS, FORCE_COLOR="1"))
        assert piped(*STREAMS, FORCE_COLOR="1", NO_COLOR="1") == ("yes\n", "no\n")

    def test_a_command_has_it_too_and_programs_read_none(self):
        seen = on_terminal(*COMMAND, "zoo", "list")
        assert ESCAPE in seen
        assert ESCAPE not in on_terminal(*COMMAND, "zoo", "list", TERM="dumb")
        assert ESCAPE not in on_terminal(*COMMAND, "zoo", "list", "--format", "csv")


def test_an_error_is_one_line_on_a_dumb_terminal_as_well():
    line = on_terminal(*COMMAND, "inspect", "no such file.pt", TERM="dumb")
    assert line.startswith("error: no such file.pt: ")
    assert line.count("\n") == 1


class TestProgress:
    @pytest.fixture
    def nets(self, tmp_path):
        rng = np.random.default_rng(0)
        for name in "ab":
            weights = {"conv.weight": rng.normal(size=(8, 8, 3, 3)).astype(np.float32)}
            save_file(weights, tmp_path / f"{name}.safetensors", metadata={"format": "pt"})
        return str(tmp_path)

    @pytest.mark.parametrize("columns", ["40", "80"])
    def test_a_scan_shows_a_word_at_once_then_passes_and_files(self, nets, columns):
        command = (*COMMAND, "scan", nets, "--out", f"{nets}/out")
        seen = on_terminal(*command, COLUMNS=columns)
        assert seen.startswith("starting\r")
        assert seen.index("starting") < seen.index("checkpoints (2 read)")
        assert f"{ESCAPE}[2K" in seen

    def test_the_word_is_gone_before_an_error(self, nets):
        seen = on_terminal(*COMMAND, "scan", f"{nets}/none", "--out", f"{nets}/out")
        assert seen.startswith(f"starting\r{ESCAPE}")
        assert "no such file or folder" in seen
        assert "Traceback" not in seen

    def test_a_dumb_terminal_and_a_pipe_have_none(self, nets):
        command = (*COMMAND, "compare", f"{nets}/a.safetensors", f"{nets}/b.safetensors")
        assert "starting" not in on_terminal(*command, TERM="dumb")
        assert "starting" not in "".join(piped(*command))


def shell(command: str, **told: str) -> str:
    """What a line of bash prints; the shell stays, so that its child can tell which one it is."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    line = ["bash", "-c", f"{command}; exit $?"]
    done = subprocess.run(line, env=environment(PATH=path, **told), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestCompletion:
    def test_the_script_of_the_shell_is_shown(self):
        script = shell("jfilters --show-completion")
        assert "complete -o default -F _jfilters_completion jfilters" in script
        assert shell("jfilters --show-completion bash") == script
        assert shell("_JFILTERS_COMPLETE=source_bash jfilters").strip() == script.strip()

    def test_the_script_completes_commands_and_options(self):
        script = 'eval "$(jfilters --show-completion)"; '
        ask = "COMP_CWORD=%d; _jfilters_completion jfilters; echo ${COMPREPLY[*]}"
        assert shell(script + "COMP_WORDS=(jfilters tra); " + ask % 1) == "trajectory\n"
        words = "COMP_WORDS=(jfilters formats --format ''); "
        assert shell(script + words + ask % 3) == "table json csv\n"
