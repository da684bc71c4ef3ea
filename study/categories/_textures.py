"""Oriented textures: noise within a band of one direction and one frequency; a class is such a band."""

import numpy as np

from ._shape import CLASSES, SIDE, balanced

FREQUENCIES = (0.11, 0.23)  # cycles a pixel
DIRECTIONS = CLASSES // len(FREQUENCIES)
JITTER = np.pi / 30  # of the direction of an image, radians: a sixth of the way to the next
BAND = 0.035  # standard deviation of the band, cycles a pixel
CANVAS = 2 * SIDE  # larger than the image, so that its borders do not match


def draw(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Textures and their classes: five directions at the coarse frequency, then at the fine one."""
    classes = balanced(count, rng)
    return _textures(classes, rng), classes


def draw_coarse(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Textures of the lower frequency, and their classes."""
    classes = balanced(count, rng) % DIRECTIONS
    return _textures(classes, rng), classes


def draw_fine(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Textures of the higher frequency, and their classes."""
    classes = balanced(count, rng) % DIRECTIONS + DIRECTIONS
    return _textures(classes, rng), classes


def _textures(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    directions = classes % DIRECTIONS * np.pi / DIRECTIONS
    directions = directions + rng.normal(0, JITTER / 2, len(classes)).clip(-JITTER, JITTER)
    frequencies = np.take(FREQUENCIES, classes // DIRECTIONS)
    noise = np.fft.fft2(rng.standard_normal((len(classes), CANVAS, CANVAS)))
    waves = np.fft.ifft2(noise * _bands(frequencies, directions)).real[:, :SIDE, :SIDE]
    waves /= waves.std((1, 2), keepdims=True)
    return (0.5 + 0.2 * waves).clip(0, 1)


def _bands(frequencies: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Weights (n, canvas, canvas) of all frequencies: two bells opposite each other."""
    grid = np.fft.fftfreq(CANVAS)
    x, y = grid[None, None, :], grid[None, :, None]
    center_x = (frequencies * np.cos(directions))[:, None, None]
    center_y = (frequencies * np.sin(directions))[:, None, None]
    bells = [
        np.exp(-((x - side * center_x) ** 2 + (y - side * center_y) ** 2) / (2 * BAND**2))
        for side in (1, -1)
    ]
    return sum(bells, np.zeros(()))
