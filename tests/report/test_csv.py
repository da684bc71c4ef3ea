"""Records as CSV: what a cell holds, which columns there are, and that a row is one line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.errors import printable
from jfilters.report import csv_text


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_numbers_are_those_of_json_and_what_is_not_known_is_empty():
    row = {"a": 0.1, "b": 2, "c": True, "d": None, "e": 1e-300, "f": "x", "g": [1, "y"]}
    assert csv_text([row]) == 'a,b,c,d,e,f,g\n0.1,2,true,,1e-300,x,"[1, ""y""]"\n'


def test_records_in_a_record_are_columns_with_a_dot():
    rows = [{"a": {"b": 1, "c": {"d": 2}}, "e": 3}, {"a": None, "e": 4}]
    assert csv_text(rows) == "a.b,a.c.d,e\n1,2,3\n,,4\n"


def test_a_record_that_is_never_known_is_one_empty_column():
    assert csv_text([{"null": None, "e": 1}]) == "null,e\n,1\n"


def test_a_column_with_a_dot_in_its_name_hides_no_other():
    assert csv_text([{"a": 1, "a.b": 2}]) == "a,a.b\n1,2\n"


def test_columns_come_in_the_order_in_which_they_come_up():
    assert csv_text([{"a": 1}, {"b": 2, "a": 3}]) == "a,b\n1,\n3,2\n"


def test_without_rows_there_is_nothing():
    assert csv_text([]) == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", 'say "x", y'])
def test_text_is_data(name):
    assert read(csv_text([{"name": name}])) == [{"name": name}]


def test_control_characters_are_escaped():
    text = csv_text([{"a\tb": "x\ny\x1b[31m\r\udcff"}])
    assert text == "a\\tb\nx\\ny\\x1b[31m\\r\\udcff\n"


@given(st.lists(st.fixed_dictionaries({"a": st.text(min_size=1), "b": st.text()}), min_size=1))
def test_every_row_is_one_line_and_is_read_as_it_was(rows):
    text = csv_text(rows)
    assert len(text.splitlines()) == 1 + len(rows)
    assert read(text) == [{name: printable(cell) for name, cell in row.items()} for row in rows]
