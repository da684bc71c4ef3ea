"""The picture of the page: `python docs/_page_picture.py` makes it anew into docs/images.

Networks are made here from known laws: a base, what came from it, strangers, and one with a dead layer.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from safetensors.numpy import save_file

import jfilters as jf

IMAGES = Path(__file__).parent / "images"
SIZES = ((32, 3), (48, 32), (64, 48), (64, 64), (96, 64), (96, 96))
VIEWS = {"page": (1440, 900, "light"), "page-phone": (390, 844, "dark")}

Weights = dict[str, np.ndarray]


def network(seed: int, width: float) -> Weights:
    """Return convolutions of smooth kernels, and the later the less smooth."""
    rng = np.random.default_rng(seed)
    points = np.indices((3, 3)).reshape(2, 9).T
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    weights = {}
    for i, (out, inputs) in enumerate(SIZES):
        law = np.exp(-squares / (2 * (width * (1 - 0.05 * i)) ** 2)) + 1e-6 * np.eye(9)
        taps = rng.standard_normal((out, inputs, 9)) @ np.linalg.cholesky(law).T
        scale = np.exp(rng.normal(0, 0.5, (out, 1, 1))) / np.sqrt(9 * inputs)
        weights[f"features.{i}.weight"] = (scale * taps).reshape(out, inputs, 3, 3)
    return weights


def tuned(weights: Weights, seed: int, step: float = 0.1) -> Weights:
    """Return the weights moved by a random step of this share of their spread."""
    rng = np.random.default_rng(seed)
    return {x: w + step * w.std() * rng.standard_normal(w.shape) for x, w in weights.items()}


def pruned(weights: Weights, share: float) -> Weights:
    """Return the weights with the smallest ones zero."""
    return {
        x: np.where(np.abs(w) < np.quantile(np.abs(w), share), 0, w) for x, w in weights.items()
    }


def networks() -> dict[str, Weights]:
    """Return the networks by the names of their files."""
    base, birds, faces = network(0, 1.1), tuned(network(0, 1.1), 1), network(2, 0.8)
    dead = network(3, 1.0)
    dead["features.3.weight"][:] = 0
    noise = network(4, 1.0)
    noise["features.5.weight"] = np.random.default_rng(5).normal(0, 0.1, (96, 96, 3, 3))
    made = {
        "base": base,
        "birds": birds,
        "birds-pruned": pruned(birds, 0.6),
        "cars": tuned(base, 6),
    }
    made |= {"faces": faces, "faces-night": tuned(faces, 7), "dead": dead, "half-trained": noise}
    return made | {f"other-{x}": network(8 + i, 0.7 + 0.1 * i) for i, x in enumerate("abcd")}


def draw() -> None:
    """Write the pictures of the first screen, on a desktop and on a phone."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints, page = Path(folder) / "networks", Path(folder) / "page.html"
        checkpoints.mkdir()
        for name, weights in networks().items():
            arrays = {x: np.ascontiguousarray(w, np.float32) for x, w in weights.items()}
            save_file(arrays, checkpoints / f"{name}.safetensors")
        jf.scan(checkpoints).report(page)
        _screens(page)


def _screens(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (width, height, scheme) in VIEWS.items():
            view = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            view.goto(page.as_uri())
            view.wait_for_selector("html[data-ready]", state="attached")
            view.wait_for_timeout(1000)
            view.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    draw()
