"""Are the standard errors of learned divergences what they claim? Tried where KL is known.

`python -m benchmarks.calibration` draws many sets of kernels from two known populations, twice: tanh of
logistic variables, which is what the flow starts from, and tanh of Gaussian ones, which it has to learn.
Sets of one population have a divergence of 0, sets of two a known one; calibration.md tells how many
errors off they come out.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jfilters.density import Divergences, FitOptions, divergences
from jfilters.density.internal import DISTINGUISHABLE, from_charts

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "density"
D, SHIFT, SCALE = 9, 0.15, 0.4
FACES = np.full(2 * D, 1 / (2 * D)), np.linspace(0.6, 1.4, 2 * D) / (2 * D)
PACKAGES = ("jax", "equinox", "flowjax", "optax")

Draw = Callable[[np.random.Generator, float, tuple[int, int]], np.ndarray]


def logistic_kl() -> float:
    """KL in nats between two logistic variables of one scale, `SHIFT` apart; the same both ways."""
    away = SHIFT / SCALE
    return away / np.tanh(away / 2) - 2


def gaussian_kl() -> float:
    """The same of two Gaussian variables."""
    return SHIFT**2 / (2 * SCALE**2)


FAMILIES: dict[str, tuple[Draw, float]] = {
    "logistic": (lambda rng, loc, shape: rng.logistic(loc, SCALE, shape), logistic_kl()),
    "Gaussian": (lambda rng, loc, shape: rng.normal(loc, SCALE, shape), gaussian_kl()),
}


def main(arguments: list[str] | None = None) -> None:
    """Write calibration.json and calibration.md."""
    parser = argparse.ArgumentParser("python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--sets", type=int, default=8, help="of each population")
    parser.add_argument("--kernels", type=int, default=4_000, help="in each set")
    parser.add_argument("--epochs", type=int, default=FitOptions().epochs)
    parser.add_argument("--out", type=Path, default=OUT)
    told = parser.parse_args(arguments)
    options, rows = FitOptions(epochs=told.epochs), []
    start = time.perf_counter()
    for name, (draw, kl) in FAMILIES.items():
        kernels = population(draw, told.sets, told.kernels)
        found = divergences(jax.random.key(0), kernels, options=options)
        rows += [{"population": name, **row} for row in calibrated(found, told.sets, 8 * kl)]
    about = {
        "sets": told.sets,
        "kernels": told.kernels,
        "epochs": told.epochs,
        "seconds": round(time.perf_counter() - start),
        "machine": machine(PACKAGES),
    }
    told.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, "rows": rows}, indent=1)
    (told.out / "calibration.json").write_text(text + "\n")
    (told.out / "calibration.md").write_text(markdown(rows, about))


def population(draw: Draw, sets: int, kernels: int) -> Float[Array, "m n d"]:
    """`sets` sets of the first population, and as many of the second."""
    rng = np.random.default_rng(0)
    made = []
    for loc, faces in zip((0.0, SHIFT), FACES, strict=True):
        for _ in range(sets):
            face = rng.choice(2 * D, size=kernels, p=faces)
            rest = np.tanh(draw(rng, loc, (kernels, D - 1)))
            made.append(from_charts(jnp.asarray(face, jnp.int32), jnp.asarray(rest, jnp.float32)))
    return jnp.stack(made)


def calibrated(found: Divergences, sets: int, of_taps: float) -> Iterator[dict[str, float | str]]:
    """For every kind of pair and both numbers: what is true, what is found, and by how many errors."""
    first, second = FACES
    forward, backward = (
        float(np.sum(p * np.log(p / q))) for p, q in ((first, second), FACES[::-1])
    )
    group = np.repeat([0, 1], sets)
    i, j = np.triu_indices(2 * sets, 1)
    same = group[i] == group[j]
    yield _row("J, one population", found.jeffreys, found.jeffreys_error, (i[same], j[same]), 0.0)
    both = np.concatenate([i[same], j[same]]), np.concatenate([j[same], i[same]])
    yield _row("KL, one population", found.kl, found.kl_error, both, 0.0)
    i, j = i[~same], j[~same]
    whole = forward + backward + 2 * of_taps
    yield _row("J, two populations", found.jeffreys, found.jeffreys_error, (i, j), whole)
    yield _row("KL of first", found.kl, found.kl_error, (i, j), forward + of_taps)
    yield _row("KL of second", found.kl, found.kl_error, (j, i), backward + of_taps)


def _row(
    name: str, values: np.ndarray, errors: np.ndarray, pairs: tuple, true: float
) -> dict[str, float | str]:
    off = (values[pairs] - true) / errors[pairs]
    return {
        "of": name,
        "pairs": len(off),
        "true": true,
        "mean": float(values[pairs].mean()),
        "deviation": float(values[pairs].std(ddof=1)),
        "mean_error": float(errors[pairs].mean()),
        "errors_off": float(off.mean()),
        "within_2": float(np.mean(np.abs(off) <= 2)),
        "told_apart": float(np.mean(values[pairs] > DISTINGUISHABLE * errors[pairs])),
    }


def markdown(rows: list[dict], about: dict) -> str:
    """The table, and how to read it."""
    lines = [
        f"Divergences between {about['sets']} sets of each of two populations, {about['kernels']:,} "
        f"kernels a set, by `python -m benchmarks.calibration` ({about['seconds']} s).",
        "",
        "Deviation: of the values over all pairs, which share sets; error: the mean of the standard",
        "errors that are given with them; off: how many errors the values are off on average; told",
        "apart: more than two errors above 0.",
        "",
        "| population | of | pairs | true | found | deviation | error | off | within 2 | told apart |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        numbers = (f"{row[name]:.4f}" for name in ("true", "mean", "deviation", "mean_error"))
        shares = (f"{row[name]:.0%}" for name in ("within_2", "told_apart"))
        lines.append(
            f"| {row['population']} | {row['of']} | {row['pairs']} | {' | '.join(numbers)} | "
            f"{row['errors_off']:+.2f} | {' | '.join(shares)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
