"""Errors name the file, the tensor and the remedy, survive pickling, and cannot fake a second line."""

import pickle

import pytest

from jfilters.errors import (
    MOST_CHOICES,
    CheckpointError,
    MissingExtraError,
    UnreadableError,
    did_you_mean,
    nearest_choice,
    printable,
    system_reason,
    unknown_choice,
)


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


class TestDidYouMean:
    @pytest.mark.parametrize(
        ("value", "near"),
        [
            ("taks", "task"),
            ("TASK", "task"),
            ("base", "nets/base.pth"),
            ("rigde", "ridge"),
            ("zzz", None),
            ("t", None),
        ],
    )
    def test_the_nearest_choice_is_found(self, value, near):
        choices = ["ridge", "task", "nets/base.pth"]
        assert nearest_choice(value, choices) == near
        assert did_you_mean(value, choices) == (f"; did you mean {near}?" if near else "")

    def test_a_refusal_names_the_choices_and_counts_those_it_leaves_out(self):
        names = [f"model{i}" for i in range(MOST_CHOICES + 3)]
        text = unknown_choice("a model", "modle18", names, rest="look")
        assert text.startswith("expected a model, one of model0, model1,")
        assert "model15 and 3 more; got 'modle18'; did you mean model18?; look" in text

    def test_without_choices_there_is_none(self):
        assert unknown_choice("a model", "a", []) == "expected a model, one of none; got 'a'"


class TestSystemReasons:
    def test_a_missing_file_says_what_was_meant_and_no_number(self, tmp_path):
        (tmp_path / "rules.toml").touch()
        with pytest.raises(OSError) as raised:
            (tmp_path / "rulse.toml").read_text()
        assert system_reason(raised.value) == "no such file or folder; did you mean rules.toml?"

    def test_a_missing_folder_above_it_is_named(self, tmp_path):
        with pytest.raises(OSError) as raised:
            (tmp_path / "a/b/c.toml").read_text()
        assert system_reason(raised.value) == f"no such folder as {tmp_path / 'a'}"

    def test_any_other_reason_is_the_systems_own(self):
        assert system_reason(PermissionError(13, "Permission denied", "x")) == "permission denied"
        assert system_reason(OSError("odd")) == "odd"
