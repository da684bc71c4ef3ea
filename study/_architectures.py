"""The four architectures, as steps: a body that is the same for every task, and a head for the task.

Images are 24 x 24 with one channel. No architecture normalizes inside, so that stored weights are all
that a layer does.
"""

from collections.abc import Sequence

from ._steps import ADD, JOIN, KEEP, MEAN, RELU, UNFOLD, UNFOLDING, Conv, Step

CLASSES = 10


def steps(architecture: str, task: str, width: int) -> tuple[Step, ...]:
    """All steps of a network.

    **Arguments:**

    - `architecture`: plain, residual, separable or u-shaped.
    - `task`: classification ends in 10 numbers, the others in an image.
    - `width`: channels of the first layer of the plain network; the others are measured by it.
    """
    body, side = BODIES[architecture]
    return (*body(width), *_head(task, side))


def _head(task: str, side: int) -> Sequence[Step]:
    if task == "classification":
        return (MEAN, Conv(CLASSES, taps=1))
    if side == 1:
        return (Conv(1, taps=1),)
    return (Conv(UNFOLDING**2, taps=1), UNFOLD)


def _plain(width: int) -> list[Step]:
    shapes = [Conv(width), Conv(2 * width, stride=2), Conv(2 * width)]
    shapes += [Conv(4 * width, stride=2), *[Conv(4 * width)] * 4]
    return _each_then_relu(shapes)


def _residual(width: int) -> list[Step]:
    stem = _each_then_relu([Conv(width), Conv(2 * width, stride=2)])
    down = _each_then_relu([Conv(4 * width, stride=2)])
    return [*stem, *_block(2 * width), *down, *_block(4 * width), *_block(4 * width)]


def _block(channels: int) -> list[Step]:
    return [KEEP, Conv(channels), RELU, Conv(channels), ADD, RELU]


def _separable(width: int) -> list[Step]:
    """Depthwise layers have one kernel a channel, hence many more channels."""
    stem = _each_then_relu([Conv(2 * width, stride=2)])
    down = [*_pair(2 * width, 4 * width), *_pair(4 * width, 16 * width, stride=2)]
    return [*stem, *down, *_pair(16 * width, 16 * width) * 4]


def _pair(inputs: int, out: int, stride: int = 1) -> list[Step]:
    return _each_then_relu([Conv(inputs, stride=stride, depthwise=True), Conv(out, taps=1)])


def _u_shaped(width: int) -> list[Step]:
    down = [Conv(width), RELU, KEEP, Conv(2 * width, stride=2), RELU, KEEP]
    bottom = _each_then_relu([Conv(4 * width, stride=2), Conv(4 * width), Conv(4 * width)])
    up = [JOIN, *_each_then_relu([Conv(2 * width), Conv(2 * width)])]
    return [*down, *bottom, *up, JOIN, *_each_then_relu([Conv(width)])]


def _each_then_relu(shapes: Sequence[Conv]) -> list[Step]:
    return [step for shape in shapes for step in (shape, RELU)]


BODIES = {
    "plain": (_plain, UNFOLDING),
    "residual": (_residual, UNFOLDING),
    "separable": (_separable, UNFOLDING),
    "u-shaped": (_u_shaped, 1),
}
"""Steps by width, and the pixels on a side of the image that one place of their last value stands for."""
