"""Every Python example of the README runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


SHAPES = {"conv1.weight": (16, 8, 3, 3), "conv2.weight": (32, 16, 3, 3)}


def make_zoo(names):
    """Write stand-ins for files of the zoo, whose format is known by their content, and their tasks."""
    rng = np.random.default_rng(0)
    Path("zoo").mkdir()
    for name in names:
        weights = {layer: rng.standard_normal(SHAPES[layer]).astype("f") for layer in SHAPES}
        save_file(weights, Path("zoo") / name, metadata={"format": "pt"})
    tasks = [f"{name},task {n % 2}" for n, name in enumerate(sorted(names))]
    Path("zoo/metadata.csv").write_text("\n".join(["model,task", *tasks]))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_zoo(set(re.findall(r'"zoo/([^"]+)"', example)) - {"metadata.csv"} | {"a.pth", "b.pth"})
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_there_are_examples():
    assert EXAMPLES


def test_the_page_of_formats_lists_every_format():
    from jfilters.converters import FORMATS

    page = README.parent / "docs/formats.md"
    rows = re.findall(r"^\| ([\w-]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(FORMATS) <= set(rows)


def test_it_is_short_and_its_pictures_and_links_are_there():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert not [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert "docs/images/page.png" in text[: text.index("## Try it")]
