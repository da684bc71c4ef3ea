"""The picture of the page in the documentation shows the page as it is now."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"

DRAW = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
import _page_picture; _page_picture.IMAGES = Path(sys.argv[2]); _page_picture.draw()
"""


@pytest.mark.slow
def test_it_is_the_one_that_the_script_makes(tmp_path):
    if shutil.which("chromium") is None and not os.environ.get("CI"):
        pytest.skip("no chromium on this machine")
    subprocess.run([sys.executable, "-c", DRAW, str(DOCS), str(tmp_path)], check=True)
    for name in ("page", "page-phone"):
        stored, made = (
            matplotlib.image.imread(folder / f"{name}.png")
            for folder in (DOCS / "images", tmp_path)
        )
        assert stored.shape == made.shape
        assert np.abs(stored - made).mean() < 0.04  # fonts differ a little
