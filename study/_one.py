"""Training of one network of the design: scored at every step that is written, and described.

A finished network has its folder under checkpoints/ and its record under records/. The record is written
last and whole, so that a network with a record need not be trained again.
"""

import dataclasses
import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from jfilters import open_checkpoint

from ._architectures import steps
from ._design import Run
from ._settings import Settings
from ._steps import initial_weights, layers
from ._tasks import TASKS, Examples, batches, examples
from .frameworks import Model, Plan, model_of

CHECKPOINTS, RECORDS = "checkpoints", "records"


class BelowFloorError(ValueError):
    """A network that did not learn its task as well as the study promises."""


def record_file(out: Path, run: Run) -> Path:
    """Return the path of the record of a finished run."""
    return out / RECORDS / f"{run.name}.json"


def floor_of(run: Run, settings: Settings) -> float | None:
    """Return the score that a network of the design must reach; None for networks of a series."""
    if run.series != "design":
        return None
    return settings.floors[run.task][run.visual_category]


def train_one(run: Run, settings: Settings, out: Path) -> dict[str, Any]:
    """Train a network until it reaches its floor, write it, and return its record.

    Raises BelowFloorError if no try reached it.
    """
    floor = floor_of(run, settings)
    scores: list[float] = []
    for attempt in range(settings.training.tries):
        record = _tried(run, settings, out, attempt)
        scores.append(record["score"])
        if floor is None or record["score"] >= floor:
            return _finished(run, out, {**record, "floor": floor})
    shutil.rmtree(_unfinished(run, out))
    metric, reached = TASKS[run.task].metric, ", ".join(f"{score:.3f}" for score in scores)
    raise BelowFloorError(
        f"{run.name}: expected {metric} of at least {floor}, reached {reached} in"
        f" {len(scores)} tries; raise [training] steps, or lower the floor and say so"
    )


def _tried(run: Run, settings: Settings, out: Path, attempt: int) -> dict[str, Any]:
    """Train once, write all steps into the unfinished folder, and return the record of the run."""
    started, worked = time.monotonic(), time.process_time()
    folder = _unfinished(run, out)
    shutil.rmtree(folder, ignore_errors=True)
    test = examples(run.task, run.visual_category, "test", settings.data)
    task, checkpoints = TASKS[run.task], []
    for step, model in _trained(run, settings, attempt):
        path = model.write(folder, step, run.format)
        score = task.score(model.outputs(test.inputs), test)
        name = f"{run.name}/{path.relative_to(folder)}"
        checkpoints.append(
            {"model": name, "step": step, "score": score, "kernels": kernels_sha256(path)}
        )
    return {
        **dataclasses.asdict(run),
        "parameters": parameters(run),
        "metric": task.metric,
        "score": checkpoints[-1]["score"],
        "trivial": task.trivial(test),
        "tries": attempt + 1,
        "steps": settings.training.total(attempt),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - worked, 1),
        "kept": checkpoints,
    }


def _trained(run: Run, settings: Settings, attempt: int):
    """Train a run, and yield its model at each step that is written."""
    training = settings.training
    plan = Plan(
        TASKS[run.task].loss,
        training.total(attempt),
        training.rate(attempt),
        training.weight_decay,
        training.kept_steps(attempt),
    )
    stock = _first(run.train_size, examples(run.task, run.visual_category, "train", settings.data))
    training_batches = batches(
        run.task, stock, settings.data, seed=run.entropy, batch=training.batch, steps=plan.steps
    )
    return untrained(run).train(training_batches, plan)


def untrained(run: Run) -> Model:
    """Return the network of a run before training."""
    network = steps(run.architecture, run.task, run.width)
    return model_of(run.framework).build(network, initial_weights(network, run.entropy))


def parameters(run: Run) -> int:
    """Return the number of weights and biases of the network of a run."""
    convolutions = layers(steps(run.architecture, run.task, run.width))
    return sum(int(np.prod(layer.shape)) + layer.conv.out for layer in convolutions)


def kernels_sha256(path: Path) -> str:
    """Return the hash of all convolutions in a checkpoint as jfilters reads them, whatever the format.

    Of shapes and float32 values, in the order of the layers: a folder that Orbax wrote has dates in it.
    """
    digest = hashlib.sha256()
    for layer in open_checkpoint(path).layers:
        digest.update(repr(layer.shape).encode())
        digest.update(np.ascontiguousarray(layer.read(), "<f4").tobytes())
    return digest.hexdigest()


def _first(count: int, data: Examples) -> Examples:
    return Examples(data.inputs[:count], data.targets[:count])


def _unfinished(run: Run, out: Path) -> Path:
    # Hidden, so that a scan of an unfinished study ignores it.
    return out / CHECKPOINTS / f".{run.name}"


def _finished(run: Run, out: Path, record: dict[str, Any]) -> dict[str, Any]:
    folder, file = out / CHECKPOINTS / run.name, record_file(out, run)
    shutil.rmtree(folder, ignore_errors=True)
    _unfinished(run, out).rename(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(file)
    return record
