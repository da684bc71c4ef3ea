"""Values that a shell completes, from the scan on the line; without JAX, and never with an error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "scans/golden/scan"

CODE = """
import json, os, sys
from jfilters_cli import main
try:
    main()
finally:
    print(json.dumps(sorted({"jax", "jaxlib", "torch"} & sys.modules.keys())), file=sys.stderr)
"""


def completed(*words: str) -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f'"{word}"' if " " in word or not word else word for word in words)
    environment = os.environ | {
        "COMP_WORDS": f"jfilters {line}",
        "COMP_CWORD": str(len(words)),
        "_JFILTERS_COMPLETE": "complete_bash",
    }
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    *errors, loaded = done.stderr.splitlines()
    assert (errors, json.loads(loaded)) == ([], [])
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("drift", str(GOLDEN), "--by", "depth_d"), ["depth_decile"]),
        (("axes", str(GOLDEN), "--axis", "verd"), ["verdict"]),
        (("drift", str(GOLDEN), "--by", "task", "--metric", "wasser"), ["wasserstein"]),
        (("quality", str(GOLDEN), "--where", "depthw"), ["depthwise"]),
        (("quality", str(GOLDEN), "--where", "not depthwi"), ["not depthwise"]),
        (("figures", str(GOLDEN), "--only", "rid"), ["ridge"]),
        (("scan", "zoo", "--config", "cvp"), ["cvpr22"]),
        (("inspect", "a.pth", "--axes", "HWI"), ["HWIO", "HWIM"]),
        (("zoo", "fetch", "--package", "chess"), ["chess-cv"]),
        (("drift", "nowhere", "--by", ""), []),
        (("quality", str(GOLDEN), "--where", "nonsense == '"), []),
    ],
    ids=str,
)
def test_a_shell_is_offered(words, offered):
    assert completed(*words) == offered


def test_a_condition_completes_to_the_labels_of_its_column():
    names = completed("quality", str(GOLDEN), "--where", "depth > 0 and model == '")
    assert len(names) > 1
    assert all(name.startswith("depth > 0 and model == '") and name.endswith("'") for name in names)
