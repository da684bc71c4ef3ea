"""The pictures of the documentation show what the functions answer now."""

from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("read-d", "read-p", "verdicts")


@pytest.fixture(scope="module")
def pictures(script):
    return script("_pictures")


def test_they_are_those_that_the_script_draws(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    with matplotlib.rc_context({"backend": "agg"}):
        pictures.draw()  # it asserts that each made layer has the verdict that it is drawn with
    for name in NAMES:
        stored, drawn = (
            matplotlib.image.imread(folder / f"{name}.png")
            for folder in (DOCS / "images", tmp_path)
        )
        assert stored.shape == drawn.shape
        assert np.abs(stored - drawn).mean() < 0.02  # fonts and their hinting may differ a little


def test_the_page_puts_each_verdict_into_the_class_of_the_picture(pictures):
    page = (DOCS / "read-verdicts.md").read_text("utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    classes = {
        verdict.strip(): kind.split()[-1] for kind, names in rows for verdict in names.split(",")
    }
    assert pictures.VERDICTS.items() <= classes.items()


def test_the_ruler_is_that_of_the_calibration(pictures):
    table = (DOCS.parent / "results/calibration/ruler.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    measured = {(row[3], row[4]) for row in rows if len(row) == 5}
    drawn = {(f"{median:.2g}", f"{high:.2g}") for median, high in pictures.RULER.values()}
    assert drawn <= measured
