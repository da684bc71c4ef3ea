"""`jfilters compare A B [C ...]`: say how checkpoints are related, with the reasons."""

from typing import TYPE_CHECKING, Annotated

import typer

from ._answers import Form, answer, form_option
from ._console import begin, talk
from ._questions import AxesOption, NetworkOption, StandardizeOption

if TYPE_CHECKING:
    from jfilters.questions.internal import Compared


def compare(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|FILE...",
            help="A folder, or two checkpoints or more, by path or URL; the first is the reference.",
        ),
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

    At most 8 files are compared pair by pair. More of them, or a folder, are sorted into families first;
    only kin are compared. What is no checkpoint is left out.

    Exit code 1 when some checkpoints were read in part, refused or failed.

    Example: jfilters compare pretrained.pth finetuned.safetensors --layers
    """
    begin()
    from jfilters.questions.internal import compare_paths

    compared = compare_paths(
        files,
        axes=axes,
        network=network,
        standardize=standardize,
        detailed=layers or form is Form.json,
        progress=True,
    )
    answer(form, compared.answer.by_layer() if layers else compared.answer, layers=layers)
    _tell(compared)
    if compared.unread:
        raise typer.Exit(1)


def _tell(compared: "Compared") -> None:
    """Name on stderr what was not read, with the reason, and count what is no checkpoint."""
    for name, reason in compared.unread.items():
        talk(reason if name in reason else f"{name}: {reason}", style="yellow")
    if n := len(compared.ignored):
        talk(f"{n:,} {'file' if n == 1 else 'files'} ignored: no checkpoint")
