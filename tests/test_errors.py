"""Errors name the file, the tensor and the remedy, survive pickling, and cannot fake a second line."""

import pickle

import pytest

from jfilters.errors import CheckpointError, MissingExtraError, UnreadableError, printable


def test_the_message_names_file_tensor_reason_and_remedy():
    error = CheckpointError(
        "expected 9 bytes, found 7", path="a.pt", tensor="w", remedy="fetch it again"
    )
    assert str(error) == "a.pt: w: expected 9 bytes, found 7; fetch it again"


@pytest.mark.parametrize(
    "error",
    [
        CheckpointError("reason", path="a", tensor="t", remedy="r"),
        UnreadableError("gone", path="b"),
        MissingExtraError("h5py", "keras", path="c.h5"),
    ],
)
def test_errors_survive_a_process_boundary(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.path, again.status) == (str(error), error.path, error.status)


def test_a_missing_extra_says_in_one_sentence_what_to_install():
    text = str(MissingExtraError("h5py", "keras", path="m.h5"))
    command = "pip install '.[keras]', in the clone of jfilters"
    assert text == f"m.h5: this needs the package h5py; install it with: {command}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nerror: b", "a\\nerror: b"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\udcff.pt", "\\udcff.pt"),
        ("é.pt", "é.pt"),
    ],
)
def test_names_are_shown_on_one_line(name, shown):
    assert printable(name) == shown
    assert shown in str(CheckpointError("reason", path=name))
