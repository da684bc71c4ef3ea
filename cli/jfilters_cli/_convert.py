"""`jfilters convert FILE -o KERNELS`: write any checkpoint as a file of uniform kernels."""

from typing import Annotated

import typer

from ._console import talk
from ._places import Location, to_file
from ._questions import AxesOption, CheckpointArgument, NetworkOption, StandardizeOption


def convert(
    file: CheckpointArgument,
    output: Annotated[
        Location,
        to_file("--output", "-o", help="The file to write: .safetensors or .npz."),
    ],
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
) -> None:
    """Write the convolution layers of a checkpoint as float32 (out, in, height, width).

    Every command reads that file, with the names, depths and groups of the original.

    Exit code 1 when a convolution could not be read: the file holds all other ones.

    Example: jfilters convert zoo/mobilenet_v2_imagenet.pth -o kernels.npz
    """
    from jfilters.converters import open_checkpoint, save_kernels

    checkpoint = open_checkpoint(file, axes=axes, network=network, standardize=standardize)
    save_kernels(output, checkpoint)
    layers, skipped = len(checkpoint.layers), len(checkpoint.skipped)
    talk(f"wrote {output} (layers: {layers}, skipped arrays: {skipped})")
    if (unread := checkpoint.shortfall) is not None:
        talk(f"{file}: {unread}", style="yellow")
        raise typer.Exit(1)
