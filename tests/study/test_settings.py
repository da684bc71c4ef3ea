import pytest

from study._design import CATEGORIES, TASKS
from study._settings import read_settings

from . import tiny


def test_every_cell_has_a_floor():
    assert tiny.whole().floors.keys() == set(TASKS)
    for floors in tiny.whole().floors.values():
        assert floors.keys() == set(CATEGORIES)


def test_an_unknown_key_is_an_error(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(tiny.CONFIG.read_text().replace("batch =", "bach ="))
    with pytest.raises(ValueError, match=r"\[training\].*bach.*batch|\[training\].*batch.*bach"):
        read_settings(file)


def test_a_missing_table_is_an_error(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("[data]\nseed = 0\n")
    with pytest.raises(ValueError, match="networks"):
        read_settings(file)


def test_a_second_try_has_twice_the_steps_at_half_the_rate():
    training = tiny.settings(steps=100, kept=(0.0, 0.1, 1.0)).training
    assert training.kept_steps(0) == (0, 10, 100)
    assert training.kept_steps(1) == (0, 20, 200)
    assert training.rate(1) == training.learning_rate / 2
