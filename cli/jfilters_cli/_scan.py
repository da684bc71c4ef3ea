"""`jfilters scan`: measure a folder of checkpoints and write its tables."""

import enum
import gc
from pathlib import Path
from typing import Annotated

import typer

from ._answers import Form, form_option
from ._completion import presets
from ._config import range_of_histograms, spatial_shape, use_config
from ._console import alone_when_it_fails, begin
from ._page import open_page
from ._parent import end_at_sigterm, fork_worker
from ._places import Location, of_scan, to_folder
from ._questions import AxesOption, NetworkOption, StandardizeOption, tell_unmatched
from ._scanned import name_of, roots_of, show_plan, show_summary, write_report


class Population(enum.StrEnum):
    """The kernels that basis and histograms are made of."""

    all = "all"
    clean = "clean"


class Precision(enum.StrEnum):
    """The precision that kernels are rounded to before they are normalized."""

    float32 = "float32"
    float16 = "float16"


class Weights(enum.StrEnum):
    """The weights of components in a drift."""

    variance_ratio = "variance-ratio"
    uniform = "uniform"


class SparseTest(enum.StrEnum):
    """The comparison of a kernel's largest weight with 1 % of its layer's that makes it sparse."""

    less = "<"
    less_or_equal = "<="


class Engine(enum.StrEnum):
    """The engine that reads the checkpoints."""

    local = "local"
    ray = "ray"


def scan(
    context: typer.Context,
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR]...",
            help="Folders of checkpoints, or single ones: paths or URLs.",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The same as DIR before the options.", show_default=False),
    ] = None,
    out_folder: Annotated[
        Location | None,
        to_folder(
            "--out",
            help="The folder to write: a path, or a URL such as gs://bucket/folder.",
            show_default="results/<name of DIR>",
        ),
    ] = None,
    spatial: Annotated[
        str, typer.Option(help="The kernel size to analyze.", callback=spatial_shape)
    ] = "3x3",
    basis: Annotated[
        Location | None,
        of_scan(
            help="A basis file, or a scan's arrays.safetensors, to use instead of fitting one."
        ),
    ] = None,
    meta: Annotated[
        Path | None,
        typer.Option(help="Metadata: a CSV, Parquet or TOML table of the models, by name or glob."),
    ] = None,
    histogram_range: Annotated[
        str,
        typer.Option(
            "--range",
            help="Histogram edges: fixed (data-free), data, or LOW:HIGH.",
            callback=range_of_histograms,
        ),
    ] = "fixed",
    population: Annotated[
        Population, typer.Option(help="Use all kernels, or only those that are not sparse.")
    ] = Population.all,
    dtype: Annotated[
        Precision,
        typer.Option(help="The precision that kernels are rounded to before they are normalized."),
    ] = Precision.float32,
    weights: Annotated[
        Weights,
        typer.Option(
            help="The weights of components in a drift: their share of variance, or equal."
        ),
    ] = Weights.variance_ratio,
    sparse_test: Annotated[
        SparseTest, typer.Option(help="A kernel is sparse if < or <= 1 % of its layer's maximum.")
    ] = SparseTest.less,
    sample: Annotated[
        int, typer.Option(help="Kernels of each model to keep, for sample-based metrics.", min=0)
    ] = 1000,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="The runs of models: a glob whose last star is the step, or a regular expression.",
            show_default="by name",
        ),
    ] = None,
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            autocompletion=presets,
            help="A TOML file with these options, or a preset such as cvpr22; the command line wins.",
            is_eager=True,
            callback=use_config,
        ),
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(help="Refuse larger checkpoints.", min=1, show_default="no limit")
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(help="host:port of process 0, for a job of several processes."),
    ] = None,
    num_processes: Annotated[
        int | None, typer.Option(help="The number of processes of that job.", min=1)
    ] = None,
    process_id: Annotated[
        int | None, typer.Option(help="The number of this process, from 0.", min=0)
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="The engine that reads: this machine, or a Ray cluster.")
    ] = Engine.local,
    address: Annotated[
        str | None,
        typer.Option(help="host:port of that cluster.", show_default="the one of this machine"),
    ] = None,
    num_gpus: Annotated[
        float | None,
        typer.Option(
            help="GPUs of each of its tasks: a whole number, or less than 1 to share a GPU.",
            min=0,
            metavar="N",
            show_default="0: CPUs",
        ),
    ] = None,
    orthogonality: Annotated[
        bool, typer.Option(help="Measure orthogonality, the costliest of the quality metrics.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first checkpoint that is not wholly read.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print who of the job would read what, and read nothing.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            help="MB/s that one process reads, for the minutes of --plan.",
            min=0.001,
            metavar="N",
            show_default="100",
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write the page report.html too.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--open", help="Write that page, and open it in the browser.")
    ] = False,
    form: Annotated[Form, form_option("checkpoint")] = Form.table,
) -> None:
    """Scan a folder of checkpoints: write tables and the drift between models, and print a summary.

    URLs such as s3://, gs://, hf:// and https:// are read by byte ranges; a source that does not answer
    for 60 seconds, or JFILTERS_TIMEOUT seconds if that is set, is given up.

    A second scan into the same folder reads only what is new, and an interrupted scan resumes.

    In a Slurm or MPI job, or on a TPU pod, run the same command in every process: they share the work.
    Elsewhere --coordinator, --num-processes and --process-id make a job of them. With --engine ray the
    command runs once, on a machine of the cluster. --plan prints the shares first, and needs no job:
    --num-processes is enough.

    Exit code 0 when every checkpoint was read, 1 when some were read in part, refused or failed.

    Example: jfilters scan zoo --out results/zoo
    """
    roots = roots_of(context, places or [], checkpoints)
    if address is not None and engine is not Engine.ray:
        raise typer.BadParameter("--address needs --engine ray")
    if num_gpus is not None and engine is not Engine.ray:
        raise typer.BadParameter("--num-gpus needs --engine ray")
    if rate is not None and not plan:
        raise typer.BadParameter("--rate needs --plan")
    if plan and engine is Engine.ray:
        raise typer.BadParameter("--plan tells of processes: a Ray cluster divides the work itself")
    report = report or show
    begin()
    from jfilters.engine.internal import job_of

    if not plan and (job := job_of(coordinator, num_processes, process_id)).count > 1:
        fork_worker(f"{job.coordinator} ({job})")
    end_at_sigterm()
    from jfilters.engine import Options

    options = Options.of_record(
        {
            "spatial": spatial,
            "range": histogram_range,
            "population": population.value,
            "dtype": dtype.value,
            "weights": weights.value,
            "sparse_strict": sparse_test is SparseTest.less,
            "sample": sample,
            "run": run,
            "axes": axes,
            "network": network,
            "standardize": standardize,
            "max_bytes": max_bytes,
            "orthogonality": orthogonality,
            "strict": strict,
        }
    )
    folder = out_folder or Path("results") / name_of(roots)
    if plan:
        show_plan(roots, options, folder, (coordinator, num_processes, process_id), rate, form)
        return
    from jfilters.engine import join, scan_into
    from jfilters.engine.internal import start_compiler
    from jfilters.scans.internal import FINDINGS
    from jfilters.statistics import load_basis

    if report:
        from jfilters.report import check_can_draw

        check_can_draw()
    processes = join(coordinator, num_processes, process_id)
    if engine is Engine.local:
        start_compiler()
    gc.freeze()  # what was imported need not be collected
    with alone_when_it_fails(processes):
        result = scan_into(
            folder,
            roots if len(roots) > 1 else roots[0],
            options,
            basis=None if basis is None else load_basis(basis),
            metadata=meta,
            progress=processes.index == 0,
            processes=processes,
            engine=engine.value,
            address=address,
            num_gpus=num_gpus or 0,
        )

        def tell() -> None:
            if meta is not None:
                unmatched = result.record["metadata_unmatched"]
                tell_unmatched(meta, unmatched["rows"], unmatched["models"])
            page = write_report(result, folder) if report else None
            show_summary(result, folder, form)
            if show and page is not None:
                open_page(page)

        processes.on_first(tell)
    if any(result.record["totals"][status] for status in FINDINGS):
        raise typer.Exit(1)
