"""Are learned divergences and their standard errors what they claim? Tried where KL is known.

`python -m benchmarks.calibration` draws sets of kernels from two known populations, twice: tanh of logistic
variables, and tanh of Gaussian ones. Every pair of sets is drawn anew and shares none with another pair, so
that the spread is that of independent estimates. Sets of one population have a divergence of 0, sets of two
a known one. calibration.md has bias, spread and coverage for each number of kernels.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jfilters.density import Divergences, divergences
from jfilters.density.internal import DISTINGUISHABLE, from_charts

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "density"
D, SHIFT, SCALE = 9, 0.15, 0.4
FACES = np.full(2 * D, 1 / (2 * D)), np.linspace(0.6, 1.4, 2 * D) / (2 * D)
PACKAGES = ("jax", "equinox", "flowjax", "optax")

PAIRS = {1_000: 320, 3_000: 160, 10_000: 60}
"""Independent pairs of each kind, by the number of kernels in a set."""

SETS = {1_000: 16, 3_000: 10, 10_000: 6}
"""Of each population in one call: all pairs are scored, and few of them are independent."""

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
    parser.add_argument("--kernels", type=int, nargs="+", default=list(PAIRS), help="in a set")
    parser.add_argument("--pairs", type=int, help="of each kind; by default fewer of larger sets")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    rows = [
        {"population": name, "kernels": n, **row}
        for name in FAMILIES
        for n in chosen.kernels
        for row in calibration(name, n, chosen.pairs or PAIRS.get(n, 60))
    ]
    about = {"seconds": round(time.perf_counter() - start), "machine": machine(PACKAGES)}
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, "rows": rows}, indent=1)
    (chosen.out / "calibration.json").write_text(text + "\n")
    (chosen.out / "calibration.md").write_text(markdown(rows, about))


def calibration(name: str, kernels: int, pairs: int) -> list[dict[str, float | str]]:
    """Rows of one population at one number of kernels."""
    draw, kl = FAMILIES[name]
    at_once, estimates = SETS.get(kernels, 4), []
    for repeat in range(-(-pairs // at_once)):
        sets = population(draw, at_once, kernels, seed=repeat)
        estimates.append(independent(divergences(jax.random.key(repeat), sets), at_once))
    joined = {of: np.concatenate([part[of] for part in estimates], axis=1) for of in estimates[0]}
    true = truth((D - 1) * kl)
    rows = [_row(of, true[of], *values) for of, values in joined.items()]
    for row in rows:
        print(name, kernels, row, flush=True)
    return rows


def population(draw: Draw, sets: int, kernels: int, seed: int = 0) -> Float[Array, "m n d"]:
    """`sets` sets of the first population, and as many of the second."""
    rng = np.random.default_rng((seed, kernels))
    made = []
    for loc, faces in zip((0.0, SHIFT), FACES, strict=True):
        for _ in range(sets):
            face = rng.choice(2 * D, size=kernels, p=faces)
            taps = np.tanh(draw(rng, loc, (kernels, D - 1)))
            made.append(from_charts(jnp.asarray(face, jnp.int32), jnp.asarray(taps, jnp.float32)))
    return jnp.stack(made)


def truth(of_taps: float) -> dict[str, float]:
    """The true values, given KL of the taps, which is the same both ways."""
    first, second = FACES
    forward, backward = (
        float(np.sum(p * np.log(p / q))) for p, q in ((first, second), FACES[::-1])
    )
    return {
        "J, one population": 0.0,
        "KL, one population": 0.0,
        "J, two populations": forward + backward + 2 * of_taps,
        "KL of first": forward + of_taps,
        "KL of second": backward + of_taps,
    }


def independent(table: Divergences, sets: int) -> dict[str, Float[np.ndarray, "2 pairs"]]:
    """Values and errors of pairs of which no two share a set."""
    i = np.arange(0, 2 * sets - 1, 2)
    i = i[i // sets == (i + 1) // sets]  # an odd set at the end of a population has no partner
    first = np.arange(sets)
    same, two, back = (i, i + 1), (first, first + sets), (first + sets, first)
    jeffreys, kl = (
        np.stack([table.jeffreys, table.jeffreys_error]),
        np.stack([table.kl, table.kl_error]),
    )
    return {
        "J, one population": jeffreys[:, *same],
        "KL, one population": kl[:, *same],
        "J, two populations": jeffreys[:, *two],
        "KL of first": kl[:, *two],
        "KL of second": kl[:, *back],
    }


def _row(name: str, true: float, values: np.ndarray, errors: np.ndarray) -> dict[str, float | str]:
    z = (values - true) / errors
    return {
        "of": name,
        "pairs": len(z),
        "true": float(true),
        "mean": float(values.mean()),
        "mean_error": float(values.std(ddof=1) / np.sqrt(len(z))),
        "deviation": float(values.std(ddof=1)),
        "error": float(errors.mean()),
        "z_mean": float(z.mean()),
        "z_deviation": float(z.std(ddof=1)),
        "within_2": float(np.mean(np.abs(z) <= 2)),
        "told_apart": float(np.mean(values > DISTINGUISHABLE * errors)),
    }


def markdown(rows: list[dict], about: dict) -> str:
    """The table, and how to read it."""
    lines = [
        "Divergences between sets of known populations, all pairs independent, by "
        f"`python -m benchmarks.calibration` ({about['seconds']} s).",
        "",
        "Found: the mean of the values, +- its standard error; bias: of the mean, in percent of the true",
        "value; deviation: of the values; error: the mean of the standard errors that are given with them;",
        "z: deviation of (value - true) / error; told apart: more than two errors above 0.",
        "",
        "| population | kernels | of | pairs | true | found | bias | deviation | error | z | within 2 "
        "| told apart |",
        "| --- | ---: | --- | " + "---: | " * 9,
    ]
    lines[-1] = lines[-1].rstrip()
    for row in rows:
        bias = f"{row['mean'] / row['true'] - 1:+.1%}" if row["true"] else ""
        shares = (f"{row[name]:.1%}" for name in ("within_2", "told_apart"))
        lines.append(
            f"| {row['population']} | {row['kernels']:,} | {row['of']} | {row['pairs']} "
            f"| {row['true']:.4f} | {row['mean']:.4f} +- {row['mean_error']:.4f} | {bias} "
            f"| {row['deviation']:.4f} | {row['error']:.4f} | {row['z_deviation']:.2f} "
            f"| {' | '.join(shares)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
