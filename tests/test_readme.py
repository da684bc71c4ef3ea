"""Every Python example of the README runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    # A checkpoint is known by its content: these stand in for the files of the zoo.
    for name in set(re.findall(r'"(zoo/[^"]+)"', example)):
        weights = {"conv.weight": rng.standard_normal((16, 8, 3, 3)).astype(np.float32)}
        Path(name).parent.mkdir(exist_ok=True)
        save_file(weights, name, metadata={"format": "pt"})
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_there_are_examples():
    assert EXAMPLES


def test_the_table_lists_every_format():
    from jfilters.converters import FORMATS

    rows = re.findall(r"^\| (\w+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(FORMATS) <= set(rows)
