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

## Where output goes

Every option of output takes a path or a URL that fsspec knows: `--out gs://bucket/scan`, `-o
s3://bucket/a.bundle`. The extra `[cloud]` brings S3 and Google Cloud Storage; another missing
package is named before the scan begins. Web addresses can be read, not written. `zoo fetch` fills a
folder of this machine.

- **A scan at a URL** has its tables, its cache and its lock there. A pod that is preempted, and starts
  again with new disks, goes on from the cache. The cache is listed once, and its files are read 64 at a
  time.
- **Commands open scans and bundles at URLs** (`jfilters report gs://bucket/scan`, `jf.open_scan(URL)`).
  Tables are read whole, and of the arrays only those that a question needs.
- **Files appear whole or not at all.** All files of a scan are written before the first takes its place,
  and scan.json does so last. The put of an object store is whole or absent; elsewhere a hidden file is
  renamed. A full disk, a quota or missing permission is one line with the path, the reason and what to
  do, and exit code 2.
- **Who may read a file** is what the umask says. A link in the place of a file is replaced, not followed.
  A device or a pipe, such as /dev/stdout, receives the bytes.
- **What a killed process left** (`.NAME.HOST.PID-*.tmp`) is removed by the next scan into that folder;
  files of running processes stay, and those of other machines for a day.

**One scan at a time.** On this machine the system locks `OUT/.lock`. On disks whose system has no locks
(Lustre, some NFS), and at URLs, a small file with host, process and time does it: `.lock-held`, at a URL
`.lock`. It is created only if it is absent, renewed every 10 seconds, and removed at the end. That of a
process of this machine that has ended is void at once, that of another machine after 60 seconds without a
renewal: a scan that starts there waits so long, and says so. Where a store cannot create a file only if
it is absent (SFTP, HDFS), one line says that two scans that start in the same second are not kept apart.

**The cache** in `OUT/.cache` may be deleted at any time. What lies there is not trusted: statistics count
only where types, shapes, signs and sums are those of the layers that they name. No link is followed.
Files of another user count as missing, unless that user owns the folder of the scan, and could change its
tables as well.
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
