"""Tables about models: what each format reads as, how rows find models, and what is refused."""

import csv
import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.errors import UnreadableError
from jfilters.scans import MetadataTable, read_metadata
from jfilters.scans.internal import join_metadata


def written(tmp_path, text, name="meta.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def table(tmp_path, keys, **columns):
    return MetadataTable(tmp_path, tuple(keys), columns)


class TestReading:
    def test_csv_cells_take_the_plainest_type_of_their_column(self, tmp_path):
        text = (
            "model,int,float,truth,text,code,mixed,none\n"
            "a,1,0.5,true,x,007,1,\n"
            "b,-2,1e3,False,,010,x,\n"
        )
        found = read_metadata(written(tmp_path, text))
        assert found.keys == ("a", "b")
        assert found.columns == {
            "int": [1, -2],
            "float": [0.5, 1000.0],
            "truth": [True, False],
            "text": ["x", None],
            "code": ["007", "010"],
            "mixed": ["1", "x"],
            "none": [None, None],
        }
        assert list(map(type, found.columns["int"])) == [int, int]

    def test_whole_numbers_among_others_become_floats_and_huge_ones_stay_whole_texts(
        self, tmp_path
    ):
        found = read_metadata(written(tmp_path, f"model,x,y\na,1,{10**25}x\nb,2.5,1\n"))
        assert found.columns["x"] == [1.0, 2.5]
        assert found.columns["y"] == [f"{10**25}x", "1"]

    @pytest.mark.parametrize(
        ("header", "keys"),
        [("task,model,name", ("2",)), ("task,kind,name", ("3",)), ("task,kind,x", ("1",))],
    )
    def test_the_key_is_model_else_name_else_the_first_column(self, tmp_path, header, keys):
        assert read_metadata(written(tmp_path, f"{header}\n1,2,3\n")).keys == keys

    def test_spreadsheets_put_a_mark_first_and_blank_lines_last(self, tmp_path):
        found = read_metadata(written(tmp_path, "\ufeffmodel,task\r\n a , seg \r\n\r\n"))
        assert (found.keys, found.columns) == (("a",), {"task": ["seg"]})

    @given(
        st.lists(
            st.text(st.characters(exclude_categories=["C"]), min_size=1).map(str.strip),
            min_size=1,
            unique=True,
        ).filter(all)
    )
    def test_any_names_survive_csv(self, tmp_path_factory, names):
        path = tmp_path_factory.mktemp("meta") / "m.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["model", "i"], *([n, i] for i, n in enumerate(names))])
        found = read_metadata(path)
        assert found.keys == tuple(names)
        assert found.columns["i"] == list(range(len(names)))

    def test_parquet_keeps_types_and_takes_nan_for_nothing(self, tmp_path):
        stored = pa.table(
            {"name": ["a", "b"], "x": [1.5, float("nan")], "n": [None, 3], "t": [True, False]}
            | {"day": [datetime.date(2026, 1, 2)] * 2}
        )
        pq.write_table(stored, tmp_path / "m.parquet")
        found = read_metadata(tmp_path / "m.parquet")
        assert found.keys == ("a", "b")
        assert found.columns == {
            "x": [1.5, None],
            "n": [None, 3],
            "t": [True, False],
            "day": ["2026-01-02"] * 2,
        }

    def test_toml_has_a_table_a_model(self, tmp_path):
        text = '["resnet*.pth"]\ntask = "cls"\n\n["a/b.pt"]\ndepth = 3\nrobust = true\n'
        found = read_metadata(written(tmp_path, text, "m.toml"))
        assert found.keys == ("resnet*.pth", "a/b.pt")
        assert found.columns == {"task": ["cls", None], "depth": [None, 3], "robust": [None, True]}


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("m.csv", "", "a header that names every column"),
            ("m.csv", "model,,x\n", "a header that names every column"),
            ("m.csv", "model,task\n", "expected one row a model, found none"),
            ("m.csv", "model,x,x\na,1,2\n", "found x twice"),
            ("m.csv", "model;task\na;b\n", "separate columns by commas"),
            ("m.csv", "model,x\na,1,2\n", "expected 2 cells in line 2, found 3"),
            ("m.csv", "model,x\na\n", "expected 2 cells in line 2, found 1"),
            ("m.csv", "model,x\na,1\na,2\n", "expected one row for 'a', found two; merge them"),
            ("m.csv", "model,x\n,1\n", "expected a name in every row"),
            ("m.toml", "x = 1\n", "expected one table a model, found x = 1"),
            ("m.toml", "[resnet.pth]\nx = 1\n", 'quote the name of the model: ["resnet.pth"]'),
            ("m.toml", "[a]\nx = [1]\n", "found a list"),
            ("m.toml", "[a\n", "expected TOML"),
            ("m.parquet", "model,x", "expected a parquet file"),
            ("m.xlsx", "", "in .csv, .parquet, .toml"),
        ],
    )
    def test_the_error_names_the_file_and_what_was_expected(self, tmp_path, name, text, said):
        path = written(tmp_path, text, name)
        with pytest.raises(CheckpointError) as caught:
            read_metadata(path)
        assert str(caught.value).startswith(str(path))
        assert said in str(caught.value)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "m.csv").write_bytes(b"model,x\n\xff,1\n")
        with pytest.raises(CheckpointError, match="expected a csv file"):
            read_metadata(tmp_path / "m.csv")

    @pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.toml"])
    def test_no_file_or_a_folder(self, tmp_path, name):
        with pytest.raises(UnreadableError, match="a table of metadata"):
            read_metadata(tmp_path / name)
        (tmp_path / name).mkdir()
        with pytest.raises(UnreadableError, match="a table of metadata"):
            read_metadata(tmp_path / name)


class TestJoining:
    def test_by_name_and_by_glob_that_crosses_folders(self, tmp_path):
        told = table(tmp_path, ["a.pt", "deep*"], task=["x", "y"])
        joined = join_metadata(["a.pt", "deep/b/c.pt", "other"], told)
        assert joined.columns == {"task": ["x", "y", None]}
        assert joined.unmatched_models == ("other",)
        assert joined.unmatched_rows == ()

    def test_a_glob_matches_whole_names_and_case(self, tmp_path):
        joined = join_metadata(
            ["ab.pt", "A.pt", "xa.pt"], table(tmp_path, ["a.pt", "a*t"], x=[1, 2])
        )
        assert joined.columns == {"x": [2, None, None]}
        assert joined.unmatched_rows == ("a.pt",)

    def test_later_globs_override_and_the_exact_name_wins_column_by_column(self, tmp_path):
        told = table(
            tmp_path,
            ["net/a", "net/*", "*a"],
            task=["exact", "first", "second"],
            data=[None, "first", "second"],
            size=[None, 1, None],
        )
        joined = join_metadata(["net/a", "net/b"], told)
        assert joined.columns == {
            "task": ["exact", "first"],
            "data": ["second", "first"],
            "size": [1, 1],
        }

    def test_a_name_with_brackets_is_a_name_first(self, tmp_path):
        joined = join_metadata(["a[1].pt", "a1.pt"], table(tmp_path, ["a[1].pt"], x=[1]))
        assert joined.columns == {"x": [1, None]}
        joined = join_metadata(["a1.pt"], table(tmp_path, ["a[1].pt"], x=[1]))
        assert joined.columns == {"x": [1]}

    @given(st.permutations(["a", "b", "c", "d"]))
    def test_the_order_of_exact_rows_is_nothing(self, tmp_path_factory, keys):
        told = MetadataTable(
            tmp_path_factory.getbasetemp(), tuple(keys), {"x": [ord(k) for k in keys]}
        )
        assert join_metadata(["a", "b", "d"], told).columns == {"x": [97, 98, 100]}
