"""`jfilters compare A B [C ...]`: say how checkpoints are related, with the reasons."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._questions import AxesOption, NetworkOption, StandardizeOption


def compare(
    files: Annotated[
        list[str],
        typer.Argument(help="Two checkpoints or more, by path or URL; the first is the reference."),
    ],
    layers: Annotated[
        bool, typer.Option("--layers", help="Show a table of the matched layers.")
    ] = False,
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    form: Annotated[Form, form_option("pair, or a matched layer with --layers")] = Form.table,
) -> None:
    """Say whether checkpoints are identical, quantized, pruned, transformed, kin or unrelated.

    Layers are matched by name, by content and by order; formats and numbers of channels may differ.
    Convolution kernels of all sizes but 1x1 are compared; other arrays where all kernels are equal.

    Example: jfilters compare pretrained.pth finetuned.safetensors --layers
    """
    from jfilters.compare import compare

    comparisons = compare(
        files,
        axes=axes,
        network=network,
        standardize=standardize,
        detailed=layers or form is Form.json,
    )
    answer(form, comparisons.by_layer() if layers else comparisons, layers=layers)
