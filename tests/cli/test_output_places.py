"""Options of output: every one takes a path or a URL, and says in one line what cannot be written."""

import os
import subprocess
import sys

import numpy as np
import pytest
from jfilters_cli._app import app
from safetensors.numpy import save_file

from jfilters.engine import scan_into
from tests.cli.commands import fail, run

typer_main = pytest.importorskip("typer.main")
pytest.importorskip("upath")

OUTPUTS = {"--out", "--output", "--to", "--dot", "--junit", "-o"}
SLIP = "gs:/bucket/x"


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "net.safetensors"
    rng = np.random.default_rng(0)
    for place in (path, path.with_name("other.safetensors")):
        weights = {f"{i}.weight": rng.standard_normal((16, 8, 3, 3)) for i in range(3)}
        save_file({name: x.astype(np.float32) for name, x in weights.items()}, place)
    return path


@pytest.fixture(scope="module")
def scan(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "scan"
    scan_into(folder, net.parent, progress=False)
    return folder


def commands(group, names=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


def outputs():
    """Every option of every command that says where to write, but the format of `export`."""
    for names, command in commands(typer_main.get_command(app)):
        for parameter in command.params:
            options = OUTPUTS.intersection(parameter.opts)
            if options and (names, parameter.name) != (("export",), "to"):
                yield names, parameter


EVERY = list(outputs())


def test_all_commands_that_write_are_known():
    assert len(EVERY) == 13


@pytest.mark.parametrize(("names", "parameter"), EVERY, ids=lambda value: str(value))
def test_no_option_of_output_makes_a_folder_named_like_a_url(
    names, parameter, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    said = fail(monkeypatch, capsys, *names, parameter.opts[0], SLIP)
    assert said.startswith(f"error: {SLIP}: ")
    assert 'write it as text with two slashes: "gs://bucket/x"' in said
    said = fail(monkeypatch, capsys, *names, parameter.opts[0], "https://host/x")
    assert said.startswith("error: https://host/x: https:// can be read but not written")
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_told_before_the_scan(monkeypatch, capsys, net):
    said = fail(monkeypatch, capsys, "scan", "--checkpoints", net.parent, "--out", "az://c/x")
    assert (
        said
        == "error: az://c/x: az:// needs the package adlfs; install it with: pip install adlfs\n"
    )


def test_the_zoo_is_fetched_onto_this_machine_alone():
    done = run("zoo", "fetch", "--to", "memory://zoo")
    assert done.exit_code == 2
    assert "expected a path on this machine" in done.stderr.replace("\n", " ")


ANSWERS = {
    "bundle": ["bundle", "SCAN", "-o", "URL"],
    "merge": ["merge", "SCAN", "SCAN", "-o", "URL"],
    "merge to a bundle": ["merge", "SCAN", "SCAN", "-o", "URL.bundle"],
    "drift": ["drift", "SCAN", "--by", "model", "--out", "URL"],
    "lineage": ["lineage", "SCAN", "--no-weights", "--dot", "URL"],
    "convert": ["convert", "NET", "-o", "URL.npz"],
    "report": ["report", "SCAN", "-o", "URL"],
    "figures": ["figures", "SCAN", "--to", "URL", "--only", "quality-boxes", "--formats", "svg"],
    "export": ["export", "SCAN", "--to", "filterdb", "-o", "URL"],
    "quality": ["quality", "SCAN"],
    "axes": ["axes", "SCAN"],
    "nearest": ["nearest", "SCAN", "NET"],
}


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.filterwarnings("ignore")
def test_a_scan_at_a_url_answers_and_answers_go_to_urls(case, net, scan):
    from jfilters._files import place
    from jfilters.scans import open_scan

    source, target = "memory://answers/scan", f"memory://answers/{case.replace(' ', '-')}"
    system = place(source).fs
    if not system.exists(source):
        open_scan(scan).save(source)
    words = [
        word.replace("SCAN", source).replace("URL", target).replace("NET", str(net))
        for word in ANSWERS[case]
    ]
    done = run(*words)
    assert done.exit_code == 0, done.output
    if any(word.startswith("URL") for word in ANSWERS[case]):
        assert system.find(target) or system.exists(words[-1]), done.output


def test_report_and_drift_write_into_a_scan_at_a_url(scan):
    from jfilters._files import place
    from jfilters.scans import open_scan

    source = "memory://beside/scan"
    open_scan(scan).save(source)
    assert run("drift", source, "--by", "depth").exit_code == 0
    assert run("report", source).exit_code == 0
    names = [path.rpartition("/")[2] for path in place(source).fs.find(source)]
    assert {"drift-depth.csv", "report.html"} <= set(names)


LIMIT = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, 1_500))
sys.argv = ["jfilters", *sys.argv[1:]]
runpy.run_module("jfilters_cli", run_name="__main__")
"""
WRITERS = {
    "scan": ["scan", "--checkpoints", "DIR", "--out", "OUT/scan"],
    "bundle": ["bundle", "SCAN", "-o", "OUT/b"],
    "merge": ["merge", "SCAN", "SCAN", "-o", "OUT/m"],
    "export": ["export", "SCAN", "--to", "filterdb", "-o", "OUT/e.h5"],
    "convert": ["convert", "NET", "-o", "OUT/k.npz"],
    "figures": ["figures", "SCAN", "--to", "OUT", "--only", "quality-boxes"],
    "report": ["report", "SCAN", "-o", "OUT/r.html"],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRITERS)
def test_a_file_that_cannot_be_written_is_one_line(case, net, scan, tmp_path):
    """The limit of a file's size stands for a full disk: each library fails in a way of its own."""
    places = {"DIR": net.parent, "NET": net, "SCAN": scan, "OUT": tmp_path}
    words = [
        "/".join(str(places.get(part, part)) for part in word.split("/")) for word in WRITERS[case]
    ]
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, "-c", LIMIT, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {tmp_path}/")
    assert "file too large; " in done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".cache" not in path.parts]
    assert [path.name for path in files if "cache" not in path.parts] in ([], [".lock"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_full_stdout_is_one_line(scan, form):
    command = [sys.executable, "-m", "jfilters_cli", "quality", str(scan), "--format", form]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "No space left on device; free some space" in done.stderr
    assert done.stderr.count("\n") == 1
