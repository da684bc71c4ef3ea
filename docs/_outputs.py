"""docs/outputs.md, made from the schema of a scan: `python docs/_outputs.py` writes it, a test holds it."""

from collections.abc import Iterable
from pathlib import Path

from jfilters.scans.schema import ARRAYS, LAYER_COLUMNS, MODEL_COLUMNS, VERSION, Column

PAGE = Path(__file__).with_name("outputs.md")

_HEAD = f"""# Files of a scan

`jfilters scan` writes a folder; `Scan.save` and `jfilters merge` write the same. This page is generated
from `jfilters/scans/schema.py`, schema {VERSION}: do not edit it, run `python docs/_outputs.py`.

- `scan.json`: the record: `schema` (the version of this list), versions of packages, device, config as run,
  seed, totals, one entry a checkpoint with its status and reason, files that were ignored.
- `layers.parquet`: one row a layer. `models.parquet`: one row a model.
- `arrays.safetensors`: histograms, moments, basis, edges, the sample of kernels and sketches of layers.
- `drift-model.csv`: the square matrix of D between models, in nats, names in header and first column.

A reader takes any scan of this schema or an earlier one. Columns and arrays that it does not know stay.
Optional columns that are missing are null in every row. Labels of a metadata table follow these columns;
`meta.` goes before a name that is taken.
"""


def page() -> str:
    """Return the text of docs/outputs.md."""
    parts = [
        _HEAD,
        "## layers.parquet\n",
        *_columns(LAYER_COLUMNS),
        "\n## models.parquet\n",
        "Numbers pool those of the layers: counts add, entropies and orthogonality are medians.\n",
        *_columns(MODEL_COLUMNS),
        "\n## arrays.safetensors\n",
        "`layers` are the rows of layers.parquet, `d` the taps of a kernel, `m` sampled kernels,\n"
        "each of which has one of `marks`. `width` is 64.\n",
        "| array | type | axes | unit | meaning | required |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            _row(f"`{x.name}`", x.dtype, " x ".join(x.axes), x.unit, x.meaning, _yes(x.required))
            for x in ARRAYS
        ),
    ]
    return "\n".join(parts) + "\n"


def _columns(columns: Iterable[Column]) -> list[str]:
    rows = [
        _row(f"`{x.name}`", str(x.type), x.unit, x.meaning, x.source, _yes(not x.optional))
        for x in columns
    ]
    return [
        "| column | type | unit | meaning | source | required |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _yes(value: bool) -> str:
    return "yes" if value else "optional"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
