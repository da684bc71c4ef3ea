"""Conditions: against Python's own evaluation, with unknown values, and everything that is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.scans import Condition, where, with_metadata

from .scans import made_scan

COLUMNS = ["n", "x", "task", "flag", "none", "meta.format", "größe"]
ROW = {"n": 3, "x": 0.5, "task": "seg", "flag": True, "none": None, "meta.format": "f", "größe": 2}


def holds(expression, row=ROW):
    return Condition(expression, COLUMNS).holds(row)


@pytest.mark.parametrize(
    "expression",
    [
        "n == 3",
        "n != 3 or flag",
        "1 < n < 3",
        "1 < n <= 3 < 4",
        "task == 'seg' and not flag",
        "not (task == 'seg' and flag) or x > 0.4",
        "task in ['seg', 'cls']",
        "task not in ('seg', 'cls')",
        "n in [1, 1 + 2]",
        "n * 2 + x / 2 - 1 > -n",
        "+n == 3 and -x == -0.5",
        "(n + 1) * 2 == 8",
        "(n > 2) == flag",
        "flag",
        "not flag",
        "True",
        "größe == 2 and task != 'é'",
        "n\n==\n3",
        "  n == 3  ",
    ],
)
def test_it_means_what_python_means(expression):
    names = {name: value for name, value in ROW.items() if name.isidentifier()}
    assert holds(expression) is eval(f"({expression})", {}, names)


def test_a_dot_is_part_of_a_column_name():
    assert holds("meta.format == 'f'") is True


class TestUnknown:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("none == 1", None),
            ("none != 1", None),
            ("not none == 1", None),
            ("none in [1]", None),
            ("none not in [1]", None),
            ("none + 1 > 0", None),
            ("-none < 0", None),
            ("none", None),
            ("not none", None),
            ("flag or none", True),
            ("none or flag", True),
            ("not flag and none", False),
            ("none and not flag", False),
            ("flag and none", None),
            ("not flag or none", None),
            ("1 < none < 3", None),
            ("5 < n < none", False),
            ("n / 0 > 1", None),
            ("n / (n - 3) == 1 or flag", True),
        ],
    )
    def test_what_depends_on_it_is_unknown(self, expression, expected):
        assert holds(expression) is expected

    @given(st.sampled_from([True, False, None]), st.sampled_from([True, False, None]))
    def test_de_morgan(self, a, b):
        row = {"a": a, "b": b}
        left, right = (
            Condition(text, ["a", "b"]).holds(row) for text in ("not (a and b)", "not a or not b")
        )
        assert left is right


class TestRefusals:
    @pytest.mark.parametrize(
        ("expression", "position", "said"),
        [
            ("tsk == 'a'", 1, "expected a column, got 'tsk'; did you mean task? There are n, x"),
            ("n > 1 and y", 11, "expected a column, got 'y'"),
            ("größe == 1 and y", 16, "expected a column, got 'y'"),
            ("task.upper == 1", 1, "expected a column, got 'task.upper'"),
            ("n = 3", 3, "expected a condition: invalid syntax"),
            ("n > 1 and task > 3", 18, "cannot compare 'seg' with 3"),
            ("task", 1, "expected true or false, got 'seg'; compare it"),
            ("n and flag", 1, "expected true or false, got 3"),
            ("task + 'a' == 'b'", 1, "expected a number, got 'seg'"),
            ("n * flag > 1", 5, "expected a number, got True"),
            ("n is 3", 6, "expected ==, !=, <"),
            ("'a' in task", 8, "expected `in` before a list"),
            ("n == [3]", 6, "expected `in` before a list"),
            ("[n]", 1, "got a list"),
            ("n == None", 6, "expected a text or a number, got None"),
            ("n == b'x'", 6, "expected a text or a number"),
            ("n == 1j", 6, "expected a text or a number"),
        ],
    )
    def test_the_error_tells_the_position_and_what_is_expected(self, expression, position, said):
        with pytest.raises(ValueError) as caught:
            holds(expression)
        assert f"in {expression!r}, at character {position}: " in str(caught.value)
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        "expression",
        [
            "open('x')",
            "task.upper()",
            "task[0] == 's'",
            "n ** 9 > 1",
            "n % 2 == 0",
            "n // 2 == 1",
            "~n > 1",
            "n @ n > 1",
            "(lambda: flag)()",
            "[n for n in [1]] == 1",
            "{n}",
            "{'a': n}",
            "n if flag else x",
            "(y := n) > 1",
            "f'{n}' == '3'",
            "...",
            "n in [*task]",
            "__import__('os').system('true')",
        ],
    )
    def test_nothing_else_is_evaluated(self, expression):
        with pytest.raises(ValueError, match="expected"):
            holds(expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "",
            "   ",
            "n == 1\0",
            "(" * 9_000,
            "not " * 2_000 + "flag",
            "-" * 9_000 + "n > 1",
            "n" * 10_001,
            "-" * 450 + "n > 1",
            " + ".join(["n"] * 500) + " > 1",
            "meta" + ".a" * 4_000 + " == 1",
        ],
        ids=[
            *("empty", "blank", "null", "parentheses", "nots", "signs", "long"),
            *("fewer-signs", "sums", "dots"),
        ],
    )
    def test_text_that_would_break_a_parser(self, expression):
        with pytest.raises(ValueError, match="expected a condition"):
            holds(expression)

    @pytest.mark.parametrize("number", ["9" * 20, "9" * 4_000, "9" * 5_000, "0x" + "f" * 5_000])
    def test_no_integer_is_too_long_to_print(self, number):
        with pytest.raises(ValueError, match="an integer of at most 63 bits") as caught:
            holds(f"{number} > n")
        assert len(str(caught.value)) < 300

    def test_large_products_become_floats(self):
        assert holds(" * ".join(["999999999"] * 40) + " > 1") is True


class TestWhere:
    @pytest.fixture
    def scan(self, tmp_path):
        told = {("a", 1): {"depthwise": True}, ("b", 0): {"depthwise": None, "verdict": "sparse"}}
        scan = made_scan(tmp_path, {"a": 3, "b": 2}, told=told)
        (tmp_path / "m.csv").write_text("model,task\na,seg\n")
        return with_metadata(scan, tmp_path / "m.csv")[0]

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("task == 'seg' and not depthwise", [1, 0, 1, 0, 0]),
            ("task != 'cls'", [1, 1, 1, 0, 0]),
            ("not task == 'cls'", [1, 1, 1, 0, 0]),
            ("verdict == 'sparse'", [0, 0, 0, 1, 0]),
            ("first_layer == 'later' and depth_decile == '0.9-1.0'", [0, 0, 1, 0, 1]),
            ("n_sparse / n_kernels == sparsity", [1, 1, 1, 1, 1]),
            ("variance_entropy_ratio > 0", [0, 0, 0, 0, 0]),
        ],
    )
    def test_layers_for_which_it_is_known_to_hold(self, scan, expression, expected):
        mask = where(scan, expression)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, np.array(expected, bool))

    def test_an_unknown_column_names_those_there_are(self, scan):
        with pytest.raises(ValueError, match=r"did you mean task\? There are model, layer"):
            where(scan, "tsk == 'seg'")
