"""docs/images/tour.svg: a recording of the tour's commands, by `python docs/_recording.py`.

The commands run on the folder that `examples/make_checkpoints.py` makes, and are drawn as they print.
"""

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from rich.color import ColorTriplet
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parent.parent
SCENES = (
    ("Twelve checkpoints: what is in them?", "jfilters scan checkpoints --out scan", 12),
    ("Who comes from whom?", "jfilters lineage scan", 9),
    (
        "Which layers need a look?",
        "jfilters quality scan --layers --where \"verdict != 'healthy'\"",
        9,
    ),
    (
        "Is birds.safetensors made from base.safetensors?",
        "jfilters compare checkpoints/base.safetensors checkpoints/birds.safetensors",
        9,
    ),
    ("Are first layers different?", "jfilters drift scan --by first_layer", 9),
    ("A page to send", "jfilters report scan", 6),
)
"""What each scene asks, the command that answers, and the seconds that it is shown."""

COLUMNS, ROWS = 88, 26
CHARACTER, LINE = 8.4, 18.0


def record() -> str:
    """Return the recording as an SVG that shows one scene after another, without end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runpy.run_path(str(ROOT / "examples/make_checkpoints.py"))["main"](folder / "checkpoints")
        scenes = [_scene(title, command, folder) for title, command, _ in SCENES]
    seconds = [length for *_, length in SCENES]
    styles = "\n".join(_animation(i, seconds) for i in range(len(scenes)))
    groups = "\n".join(
        f'<g class="scene s{i}">{"".join(lines)}</g>' for i, lines in enumerate(scenes)
    )
    width, height = COLUMNS * CHARACTER + 40, (ROWS + 2) * LINE + 40
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">
<title>jfilters in a terminal: {"; ".join(title for title, *_ in SCENES)}</title>
<style>
text {{ font: 14px "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; }}
.scene {{ visibility: hidden; }}
.s0 {{ visibility: visible; }}
{styles}
</style>
<rect width="100%" height="100%" rx="8" fill="#1b1f24"/>
{groups}
</svg>
"""


def _scene(title: str, command: str, folder: Path) -> list[str]:
    settings = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | settings | {"PATH": binaries},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    output = Text.from_ansi(done.stdout.rstrip())
    lines = [Text(f"# {title}", style="dim"), Text(f"$ {command}", style="bold"), *output.split()]
    if len(lines) > ROWS + 1:
        lines = [*lines[:ROWS], Text("...", style="dim")]
    return list(_drawn(lines))


def _drawn(lines: list[Text]) -> Iterator[str]:
    console = Console(width=COLUMNS, color_system="truecolor", force_terminal=True)
    for row, line in enumerate(lines):
        x, y, spans = 20.0, 36 + row * LINE, ""
        for segment in line.render(console):
            if segment.text.strip():
                spans += f'<tspan x="{x:.1f}"{_look(segment.style)}>{escape(segment.text)}</tspan>'
            x += len(segment.text) * CHARACTER
        if spans:
            yield f'<text y="{y:.0f}" fill="#e6e9ec">{spans}</text>'


def _look(style: Style | None) -> str:
    if style is None:
        return ""
    look = ' font-weight="bold"' if style.bold else ""
    look += ' fill-opacity="0.65"' if style.dim else ""
    if style.color is not None and not style.color.is_default:
        triplet: ColorTriplet = style.color.get_truecolor(MONOKAI)
        look += f' fill="{triplet.hex}"'
    return look


def _animation(scene: int, seconds: list[int]) -> str:
    total, start = sum(seconds), sum(seconds[:scene])
    begin, end = 100 * start / total, 100 * (start + seconds[scene]) / total
    first = "visible" if begin == 0 else "hidden"
    last = "visible" if end == 100 else "hidden"
    return (
        f"@keyframes k{scene} {{ 0% {{ visibility: {first} }} {begin:.2f}% {{ visibility: visible }} "
        f"{end:.2f}% {{ visibility: {last} }} 100% {{ visibility: {last} }} }}\n"
        f".s{scene} {{ animation: k{scene} {total}s step-end infinite; }}"
    )


if __name__ == "__main__":
    (ROOT / "docs/images/tour.svg").write_text(record(), encoding="utf-8")
