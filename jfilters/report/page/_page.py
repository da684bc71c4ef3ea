"""One HTML file with everything in it: text, data, charts and the program that draws them.

No network is touched when it is viewed, and a name that somebody gave a checkpoint is text everywhere: data
lies in one inert JSON element, the page's program sets text alone, and the Content-Security-Policy lets no
other program run.
"""

import base64
import hashlib
import html
import string
from collections.abc import Sequence
from importlib import resources
from typing import Any

from ..._files import Location, place, write_text
from ...errors import MissingExtraError, printable
from ...scans import Scan
from .._palette import CLASS_SHADES, FAMILY_COLORS
from ._axes import axes_section
from ._basis import basis_section
from ._charts import charts
from ._densities import densities_section
from ._glance import glance_section
from ._layers import layers_section, quality_section
from ._libraries import chart_libraries
from ._lineage import lineage_section
from ._models import models_section
from ._overview import findings
from ._pack import as_script_data
from ._provenance import provenance_section, refused_section
from ._sample import points_section, tiles_section
from ._trajectories import trajectories_section
from ._verdicts import verdicts_section
from ._view import View

_SCRIPTS = (
    *("data.js", "words.js", "chart.js", "window.js", "table.js", "matrix.js", "drift.js"),
    *("layers.js", "lineage.js", "glance.js", "forest.js", "page.js"),
)


def write_page(scan: Scan, path: Location | str, *, by: Sequence[str] = ()) -> None:
    """Write `page_html` into a file; it appears whole or not at all. Raises what that does, and OSError."""
    target = place(path)
    write_text(target, page_html(scan, by=by))


def page_html(scan: Scan, *, by: Sequence[str] = ()) -> str:
    """The page of a scan, as self-contained HTML.

    **Arguments:**

    - `by`: the axes whose groups are compared, with more permutations each; if there are none, all
      along which the scan falls into groups.

    Raises MissingExtraError without vl-convert, ValueError for an axis that is not there or makes fewer
    than two groups, CheckpointError for a file of density divergences that is none.
    """
    check_can_draw()
    data, libraries = page_data(scan, by=by), chart_libraries()
    program = "(() => {\n" + "\n".join(_asset(name) for name in _SCRIPTS) + "\n})();"
    return string.Template(_asset("page.html")).substitute(
        policy=_policy(libraries, program),
        title=html.escape(printable(data["name"])),
        style=_style(),
        data=as_script_data(data),
        libraries=libraries,
        program=program,
    )


def page_data(scan: Scan, *, by: Sequence[str] = ()) -> dict[str, Any]:
    """Return everything that the page shows, as JSON has it; sections that the scan cannot fill are None.

    Raises ValueError for a scan without kernels.
    """
    _ = scan.edges  # raises for a scan without kernels, before anything is computed
    view = View(scan, tuple(by))
    lineage = lineage_section(view)
    return {
        "name": scan.title,
        "findings": findings(view),
        "glance": glance_section(view, lineage),
        "lineage": lineage,
        "models": models_section(view),
        "axes": axes_section(view),
        "basis": basis_section(view),
        "quality": quality_section(view),
        "layers": layers_section(view),
        "tiles": tiles_section(view),
        "points": points_section(view),
        "trajectories": trajectories_section(view),
        "densities": densities_section(view),
        "refused": refused_section(view),
        "provenance": provenance_section(view),
        "verdicts": verdicts_section(),
        "family_colors": FAMILY_COLORS,
        "charts": charts(),
    }


def _style() -> str:
    """Return the style with the colors of the palette as its variables."""
    light, dark = (
        "".join(f"--{name}: {getattr(shades, ground)}; " for name, shades in CLASS_SHADES.items())
        for ground in ("light", "dark")
    )
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}"
    return f":root {{ {light}}}\n{dark}\n{_asset('page.css')}\n{_asset('glance.css')}"


def check_can_draw() -> None:
    """Raise MissingExtraError, with the remedy, unless the package with the chart libraries is there."""
    try:
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("vl-convert-python", "plot") from error


def _policy(*scripts: str) -> str:
    """No source of anything but this file, and no program in it but these."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    # Charts carry their styles in attributes; images are drawn by the page itself.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files(__name__.rpartition(".")[0]) / name).read_text(encoding="utf-8")
