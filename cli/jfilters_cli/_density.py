"""`jfilters density`: learn densities of kernels from the sample that a scan keeps."""

import json
import re
from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import axes_of_scan
from ._console import talk
from ._group import Command, Group
from ._places import Location, of_scan, to_file, write_into
from ._questions import (
    AxesOption,
    MetaOption,
    NetworkOption,
    ScanArgument,
    SeedOption,
    StandardizeOption,
    WhereOption,
    open_scan,
)

density = typer.Typer(
    cls=Group,
    name="density",
    help="Learned densities: the joint shape of kernels, beyond histograms.",
    no_args_is_help=True,
)

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="AXIS",
        autocompletion=axes_of_scan,
        help="Fit a density for each label; without it one for all.",
    ),
]
KernelsOption = Annotated[
    int | None,
    typer.Option(min=100, help="Kernels of each group to use; groups with fewer are left out."),
]
UnderOption = Annotated[
    Location, of_scan("--under", metavar="FILE", help="A file that `density fit` wrote.")
]
LabelOption = Annotated[
    str | None, typer.Option(help="The label of the density to use, if the file has several.")
]


@density.command(cls=Command, short_help="Fit a density to each group, and score it.")
def fit(
    scan: ScanArgument,
    by: ByOption = None,
    output: Annotated[
        Location | None,
        to_file("-o", "--out", metavar="FILE", help="Write the densities."),
    ] = None,
    kernels: KernelsOption = None,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("group")] = Form.table,
) -> None:
    """Fit a density to the sampled kernels of each group, and score it on held-out ones.

    Example: jfilters density fit results/zoo --by task -o task.density
    """
    from jfilters.engine import keep_compiled
    from jfilters.questions import fit_densities
    from jfilters.questions.internal import save_fitted

    keep_compiled()
    fitted = fit_densities(open_scan(scan, meta, where), by, kernels=kernels, seed=seed)
    if output is not None:
        save_fitted(fitted, output)
        talk(f"wrote {output}: {len(fitted.likelihoods)} densities")
    answer(form, fitted)


@density.command(cls=Command, short_help="How far densities of groups are apart.")
def divergence(
    scan: ScanArgument,
    by: Annotated[
        str,
        typer.Option(
            metavar="AXIS", autocompletion=axes_of_scan, help="The axis whose labels make groups."
        ),
    ],
    kernels: KernelsOption = None,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("pair")] = Form.table,
) -> None:
    """Show how far densities of groups are apart: KL in both directions, with errors, and a classifier.

    Without --where it also writes density-AXIS.json into the scan's folder, for its page.

    Example: jfilters density divergence results/zoo --by model
    """
    from jfilters._files import write_text
    from jfilters.engine import keep_compiled
    from jfilters.questions import density_divergence

    keep_compiled()
    table = density_divergence(open_scan(scan, meta, where), by, kernels=kernels, seed=seed)
    if where is None:
        name = re.sub(r"[^\w.-]", "_", by)
        record = json.dumps(table.record(), indent=1) + "\n"
        write_into(scan, f"density-{name}.json", lambda path: write_text(path, record))
    answer(form, table)


@density.command(cls=Command, short_help="The layers of a checkpoint that are least likely.")
def score(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, a path or a URL.")],
    under: UnderOption,
    label: LabelOption = None,
    most: Annotated[int, typer.Option("--most", help="The number of layers to show.", min=1)] = 20,
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    seed: SeedOption = 0,
    form: Annotated[Form, form_option("layer")] = Form.table,
) -> None:
    """Show the layers of a checkpoint whose kernels are least likely under a density.

    Example: jfilters density score net.pt --under task.density --label detection
    """
    from jfilters.density import load_densities
    from jfilters.engine import keep_compiled
    from jfilters.questions import density_scores

    keep_compiled()
    saved = load_densities(under)
    scores = density_scores(
        saved.density(label),
        file,
        tuple(saved.header["spatial"]),
        axes=axes,
        network=network,
        standardize=standardize,
        seed=seed,
    )
    answer(form, scores, most=most)


@density.command(cls=Command, short_help="Draw kernels from a density.")
def sample(
    under: UnderOption,
    output: Annotated[Location, to_file("-o", "--out", metavar="FILE", help="A .npy file.")],
    label: LabelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="The number of kernels.")] = 1000,
    seed: SeedOption = 0,
) -> None:
    """Write kernels drawn from a density: normalized, in a .npy file of (n, *spatial).

    Example: jfilters density sample --under all.density -o kernels.npy
    """
    import jax
    import numpy as np

    from jfilters._files import written_whole
    from jfilters.density import load_densities, samples
    from jfilters.engine import keep_compiled

    keep_compiled()
    saved = load_densities(under)
    kernels = samples(jax.random.key(seed), saved.density(label), n)
    array = np.asarray(kernels).reshape(n, *saved.header["spatial"])
    with written_whole(output) as temporary, temporary.open("wb") as file:
        np.save(file, array)
    talk(f"wrote {output}: {n:,} kernels")
