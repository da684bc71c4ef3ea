"""The files of figures: which ones, the same bytes every time, text as text, and nothing blank."""

import builtins
import threading

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from jfilters.errors import MissingExtraError
from jfilters.report import save_figures
from jfilters.report.figures import FIGURES, ridge
from tests.scans.populations import labeled

from .scans import drawable, renamed, run_of

QUICK = ("basis", "cumulative-variance")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return drawable(tmp_path_factory.mktemp("scan") / "scan")


def test_every_figure_is_written_and_none_is_blank(scan, tmp_path):
    run = run_of(scan, [0, 1, 10, 1000])
    told = []
    paths = save_figures(run, tmp_path, formats=["png"], tell=told.append)
    assert [path.name for path in paths] == [f"{name}.png" for name in FIGURES]
    assert not told
    for path in paths:
        pixels = imread(path)[..., :3]
        ink = np.abs(pixels - 1).sum(axis=-1) > 0.2
        assert 0.01 < ink.mean() < 0.9, path
        # Nothing is cut off: the outermost line of pixels is white.
        assert not ink[0].any(), path
        assert not ink[:, 0].any(), path
        assert not ink[:, -1].any(), path
        assert not ink[-1].any(), path


def test_the_same_scan_gives_the_same_bytes_without_a_date(scan, tmp_path):
    for folder in ("a", "b"):
        save_figures(scan, tmp_path / folder, only=["basis"])
    for path in sorted((tmp_path / "a").iterdir()):
        written = path.read_bytes()
        assert written == (tmp_path / "b" / path.name).read_bytes()
        assert b"CreationDate" not in written
        assert b"<dc:date>" not in written


def test_text_is_text(scan, tmp_path):
    names = ["<b>a & b</b>", "_x", "$y$", "z"]
    save_figures(renamed(scan, names), tmp_path, only=["ridge"])
    svg = (tmp_path / "ridge.svg").read_text("utf-8")
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;</text>" in svg
    assert ">$y$</text>" in svg
    pdf = (tmp_path / "ridge.pdf").read_bytes()
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf


def test_the_axis_is_in_the_name_of_what_has_one(scan, tmp_path):
    paths = save_figures(scan, tmp_path, by="kind", only=["ridge", "basis"], formats=["svg"])
    assert [path.name for path in paths] == ["ridge-kind.svg", "basis.svg"]


def test_the_axes_that_are_boxed_can_be_chosen(scan, tmp_path):
    asked = {"only": ["axis-boxes"], "formats": ["svg"]}
    scan = labeled(scan, odd=["a", "b"] * (len(scan.model_names) // 2))
    (path,) = save_figures(scan, tmp_path / "one", axes=["kind"], **asked)
    (every,) = save_figures(scan, tmp_path / "all", **asked)
    named = [
        [f">{axis}</text>" in file.read_text("utf-8") for axis in ("kind", "odd")]
        for file in (path, every)
    ]
    assert named == [[True, False], [True, True]]
    with pytest.raises(ValueError, match="did you mean kind"):
        save_figures(scan, tmp_path, axes=["knid"], **asked)


def test_what_cannot_be_made_is_told(scan, tmp_path):
    told = []
    names = ("trajectories", "basis")
    paths = save_figures(renamed(scan, list("abcd")), tmp_path, only=names, tell=told.append)
    assert {path.name for path in paths} == {f"basis.{kind}" for kind in ("pdf", "svg", "png")}
    (line,) = told
    assert line.startswith("trajectories: ")
    with pytest.raises(ValueError, match=r"found none: trajectories: .* holds no run"):
        save_figures(renamed(scan, list("abcd")), tmp_path, only=["trajectories"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"only": ["rigde"]}, "expected a figure, one of ridge, .*; got 'rigde'"),
        ({"formats": ["gif"]}, "expected a format, one of pdf, svg, png; got 'gif'"),
        ({"by": "knid"}, "did you mean kind?"),
    ],
)
def test_unknown_words_are_refused(scan, tmp_path, asked, message):
    with pytest.raises(ValueError, match=message):
        save_figures(scan, tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()


def test_without_matplotlib_the_extra_is_named(scan, monkeypatch):
    true_import = builtins.__import__

    def without(name, *rest, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return true_import(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[plot\]'"):
        ridge(scan)


def test_parameters_are_those_of_before_and_pyplot_keeps_nothing(scan, tmp_path):
    before = dict(matplotlib.rcParams)
    asked = {"only": QUICK, "formats": ["svg"]}
    threads = [
        threading.Thread(target=save_figures, args=(scan, tmp_path / str(i)), kwargs=asked)
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(matplotlib.rcParams) == before
    first, *others = (sorted((tmp_path / str(i)).iterdir()) for i in range(3))
    assert first
    assert all([p.read_bytes() for p in first] == [p.read_bytes() for p in o] for o in others)
