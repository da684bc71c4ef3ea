"""`jfilters compare A B [C ...]`: what checkpoints are to each other, and the evidence."""

import json
from typing import Annotated

import typer

from ._console import out


def compare(
    files: Annotated[
        list[str],
        typer.Argument(help="Two checkpoints or more, by path or URL; the first is the reference."),
    ],
    layers: Annotated[
        bool, typer.Option("--layers", help="A table of the matched layers.")
    ] = False,
    axes: Annotated[
        str | None, typer.Option(help="Axis order of weights that do not tell, such as HWIO.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say of checkpoints whether they are the same, re-saved, quantized, pruned, fine-tuned or strangers.

    Layers are matched by name, by content and by shape in order; formats may differ. Convolution
    kernels of all sizes but 1x1 are compared, no other weights.

    Example: jfilters compare zoo/chesscv_arrows.safetensors zoo/chesscv_snap.safetensors --layers
    """
    from jfilters.analysis import compare
    from jfilters.report import comparison_text

    found = compare(files, axes=axes, detailed=layers or as_json)
    if as_json:
        typer.echo(json.dumps([pair.record() for pair in found], indent=1))
    else:
        out.print(comparison_text(found, layers=layers), highlight=False)
