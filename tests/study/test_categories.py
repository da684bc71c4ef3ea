import numpy as np
import pytest

from study.categories import CATEGORIES, drawn
from study.categories._fractals import systems
from study.categories._photographs import STRIP, photographs, strips
from study.categories._shape import SIDE
from study.categories._textures import DIRECTIONS, FREQUENCIES, draw

every_category = pytest.mark.parametrize("category", CATEGORIES)
every_kind = pytest.mark.parametrize("kind", ["images", "scenes"])


@every_category
@every_kind
def test_a_seed_gives_the_same_images_and_another_seed_others(category, kind):
    first, again, other = (drawn(category, kind, 20, "train", seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@every_category
@every_kind
def test_images_are_gray_between_black_and_white(category, kind):
    images, _ = drawn(category, kind, 20, "train", 0)
    assert images.shape == (20, SIDE, SIDE)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.all(images.std((1, 2)) > 0)


@every_category
def test_the_parts_have_no_image_in_common(category):
    parts = [drawn(category, "images", 60, part, 0)[0] for part in ("train", "test")]
    train, test = ({image.tobytes() for image in part} for part in parts)
    assert not train & test


@every_category
def test_all_ten_classes_are_there(category):
    _, classes = drawn(category, "images", 200, "train", 0)
    assert set(classes) == set(range(10))


@every_category
def test_a_mask_is_part_of_every_scene(category):
    _, masks = drawn(category, "scenes", 60, "test", 0)
    assert masks.dtype == bool
    assert np.all((masks.mean((1, 2)) > 0.01) & (masks.mean((1, 2)) < 0.8))


@pytest.mark.parametrize("category", ["digits", "glyphs", "fractals"])
def test_a_figure_is_lighter_or_darker_than_its_ground(category):
    images, masks = drawn(category, "scenes", 60, "train", 0)
    inside = [
        image[mask].mean() - image[~mask].mean() for image, mask in zip(images, masks, strict=True)
    ]
    assert min(map(abs, inside)) > 0.1
    assert 0.2 < np.mean(np.array(inside) > 0) < 0.8


def test_systems_of_fractals_contract():
    for system in systems():
        assert np.linalg.norm(system[..., :2], 2, axis=(1, 2)).max() < 1


def test_a_texture_has_the_direction_and_the_frequency_of_its_class():
    rng = np.random.default_rng(0)
    textures, classes = draw(400, "train", rng)
    power = np.abs(np.fft.fft2(textures - 0.5)) ** 2
    rows, columns = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    for label in range(10):
        mean = power[classes == label].mean(0)
        at = np.unravel_index(mean.argmax(), mean.shape)
        angle = np.arctan2(rows[at], columns[at]) % np.pi
        expected = label % DIRECTIONS * np.pi / DIRECTIONS
        assert abs((angle - expected + np.pi / 2) % np.pi - np.pi / 2) < 0.4
        frequency = np.hypot(rows[at], columns[at])
        assert frequency == pytest.approx(FREQUENCIES[label // DIRECTIONS], abs=0.05)


def test_strips_of_photographs_do_not_overlap():
    for photograph in photographs():
        width = photograph.shape[1]
        starts = sorted(strips(width, "train") + strips(width, "test"))
        assert len(set(starts)) == len(starts)
        assert np.all(np.diff(starts) >= STRIP)
        assert starts[-1] + STRIP <= width
        assert strips(width, "test")
