"""`jfilters convert FILE -o KERNELS`: any checkpoint as a file of uniform kernels."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import talk


def convert(
    file: Annotated[
        str, typer.Argument(help="A checkpoint: a file or a folder, by its path or URL.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The file to write: .safetensors or .npz.", dir_okay=False
        ),
    ],
    axes: Annotated[
        str | None, typer.Option(help="Axis order of weights that do not tell, such as HWIO.")
    ] = None,
) -> None:
    """Write the convolution layers of a checkpoint as float32 (out, in, height, width).

    Every command reads the file again, with the names, depths and groups of the original.

    Example: jfilters convert zoo/mobilenet_v2_imagenet.pth -o kernels.safetensors
    """
    from jfilters.converters import open_checkpoint, save_kernels

    checkpoint = open_checkpoint(file, axes=axes)
    save_kernels(output, checkpoint)
    layers, skipped = len(checkpoint.layers), len(checkpoint.skipped)
    talk(f"wrote {output} (layers: {layers}, skipped arrays: {skipped})")
