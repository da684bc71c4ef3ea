"""Bounds on what is no checkpoint: bundles, tables, records, rules, options; each bomb is one sentence.

The bounds are lowered, so that small bombs are large; results are the same at their real size.
"""

import json
import lzma
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError, _bounds
from jfilters.questions import check
from jfilters.scans import open_scan, save_bundle, with_metadata
from jfilters.statistics import load_basis

from .cli.commands import fail, run
from .scans.scans import made_scan

LEAST = 1 << 22
BOMB = 40 * LEAST


@pytest.fixture(autouse=True)
def lowered(monkeypatch):
    monkeypatch.setattr(_bounds, "LEAST", LEAST)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    made_scan(tmp_path, {"a.pt": 3, "b.pt": 2}).save(folder)
    return folder


@pytest.fixture
def bundle(tmp_path):
    save_bundle(made_scan(tmp_path, {"a.pt": 3, "b.pt": 2}), tmp_path / "x.bundle")
    return tmp_path / "x.bundle"


def refused(read, path, said="expected content of at most 4 MB"):
    """The error of reading, which names the file and takes less memory than the bomb stands for."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said in str(caught.value)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 500
    assert peak < 4 * LEAST < BOMB / 4


def rewrite(bundle, tables=None, shape=None, **arrays):
    with safe_open(bundle, framework="numpy") as file:
        mark = json.loads(file.metadata()["jfilters.bundle"])
    if tables is not None:
        arrays["tables"] = tables
    if shape is not None:
        mark["shapes"]["histogram"] = ["<i8", *shape]
    coded = {name: np.frombuffer(lzma.compress(data), np.uint8) for name, data in arrays.items()}
    save_file(load_file(bundle) | coded, bundle, {"jfilters.bundle": json.dumps(mark)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" + b"0," * (BOMB // 2) + b"0]", "bytes of tables, found more"),
        (b'{"record": "' + b"a" * BOMB + b'"}', "bytes of tables, found more"),
        (b"[" + b"[]," * (LEAST // 8) + b"0]", "expected content of at most 4 MB"),
        (b"[" + b'{"a":1},' * (LEAST // 32) + b"0]", "expected content of at most 4 MB"),
        (b"[" + '"\U0001f600",'.encode() * (LEAST // 16) + b"0]", "of at most 4 MB"),
        (b"[" * 20_000, "nested too deep"),
    ],
    ids=["numbers", "text", "lists", "objects", "wide-characters", "deep"],
)
def test_bombs_in_the_tables_of_a_bundle_are_refused(bundle, text, said):
    rewrite(bundle, text)
    refused(open_scan, bundle, said)


def test_an_array_out_of_all_proportion_is_refused(bundle):
    shape = (5, 9, BOMB // 360)
    rewrite(bundle, shape=shape, histogram=bytes(BOMB))
    refused(open_scan, bundle, "expected histogram in proportion to the file")


def test_a_header_of_megabytes_is_refused(bundle, folder):
    path = folder / "arrays.safetensors"
    header = json.dumps({f"{i}": None for i in range(400_000)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(load_basis, path, "a header of at most 4 MB")
    with pytest.raises(CheckpointError, match="a header of at most 4 MB"):
        open_scan(folder)


def repeated(folder, times, **columns):
    """Write the first row of the layers so many times, with some other columns."""
    path = folder / "layers.parquet"
    table = pq.ParquetFile(path).read()
    rows = {name: [table[name][0].as_py()] * times for name in table.column_names} | columns
    return path, pa.table(rows, schema=table.schema)


def test_a_table_of_endless_rows_is_refused(folder):
    path, table = repeated(folder, 100_000)
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < LEAST / 100
    refused(lambda path: open_scan(path.parent), path)


def test_a_long_text_that_comes_again_and_again_is_refused(folder):
    path, table = repeated(folder, 200, layer=["x" * 100_000] * 200)
    pq.write_table(table, path, compression="zstd", write_statistics=False)
    refused(lambda path: open_scan(path.parent), path)


def test_a_page_that_unpacks_without_end_is_refused(folder):
    path, table = repeated(folder, 1, layer=["x" * (BOMB // 2)])
    pq.write_table(table, path, compression="zstd", write_statistics=False, use_dictionary=False)
    refused(lambda path: open_scan(path.parent), path)


def test_texts_that_share_their_beginnings_are_refused(folder):
    texts = ["x" * i for i in range(1, 400)]
    path, table = repeated(folder, len(texts), layer=texts)
    encoding = {"layer": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, path, use_dictionary=False, column_encoding=encoding)
    refused(lambda path: open_scan(path.parent), path, "found shared prefixes")


def test_a_table_of_lists_is_refused(tmp_path):
    path = tmp_path / "meta.parquet"
    pq.write_table(pa.table({"model": ["a"], "x": [[[1]]]}), path)
    refused(lambda path: with_metadata(made_scan(tmp_path, {"a": 1}), path), path, "flat columns")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_tables_of_every_kind_are_read(folder, compression, version):
    table = pq.ParquetFile(folder / "layers.parquet").read()
    options = {"compression": compression, "data_page_version": version, "row_group_size": 2}
    for use_dictionary in (True, False):
        path = folder / "layers.parquet"
        pq.write_table(table, path, use_dictionary=use_dictionary, **options)
        assert open_scan(folder).layer_table.equals(table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":[' + "[]," * (LEAST // 8) + "0]}", "expected content of at most"),
        ("[" * 3_000, "nested too deep"),
        ('{"a": ' + "9" * 5_000 + "}", "expected the record of a scan"),
    ],
    ids=["lists", "deep", "digits"],
)
def test_bombs_in_the_record_are_refused(folder, text, said):
    path = folder / "scan.json"
    path.write_text(text)
    refused(lambda path: open_scan(path.parent), path, said)


TOML = {
    "brackets": ("rule = " + "[" * 3_000, "nested too deep"),
    "tables": ("rule = " + "{a = " * 3_000, "nested too deep"),
    "dots": ("a" + ".a" * 100_000 + " = 1", "at most 1,000 dots a line"),
    "integer": ("rule = 0x" + "f" * 20_000, "an integer beyond 64 bits"),
    "digits": ("rule = " + "9" * 5_000, "4300 digits"),
    "bytes": ("#" * (_bounds.MOST_TOML + 1), "at most 8 MB"),
    "encoding": (b"a = '\xff'", "utf-8"),
}


@pytest.mark.parametrize("kind", TOML)
@pytest.mark.parametrize("option", ["--config", "--rules", "--meta"])
def test_no_toml_is_a_traceback(folder, tmp_path, monkeypatch, capsys, kind, option):
    content, said = TOML[kind]
    path = tmp_path / "bomb.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if option == "--config":
        result = run("scan", "--checkpoints", folder, "--out", tmp_path / "out", "--config", path)
        assert (result.exit_code, result.exception.code) == (2, 2)
        shown = " ".join(result.output.split())
    else:
        command = "check" if option == "--rules" else "quality"
        shown = fail(monkeypatch, capsys, command, folder, option, path)
    assert said in shown
    assert "bomb.toml" in shown


def test_a_value_of_megabytes_is_not_printed_in_whole(folder, tmp_path, monkeypatch, capsys):
    path = tmp_path / "rules.toml"
    path.write_text(f"[[rule]]\nname = [{'1, ' * 100_000}]\n")
    shown = fail(monkeypatch, capsys, "check", folder, "--rules", path)
    assert "expected name as a text" in shown
    assert len(shown) < 2_100


def test_a_device_is_no_file_of_options(folder, monkeypatch, capsys):
    assert "at most 8 MB" in fail(monkeypatch, capsys, "check", folder, "--rules", "/dev/zero")


def test_a_row_a_column_is_refused_before_the_table_is_made(tmp_path):
    path = tmp_path / "meta.toml"
    path.write_text("".join(f'["m{i}"]\nk{i} = 1\n' for i in range(3_000)))
    refused(lambda path: with_metadata(made_scan(tmp_path, {"a": 1}), path), path, "its cells")


def test_rules_without_end_are_refused(folder, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("".join(f'[[rule]]\nname = "{i}"\nrequire = "n > 1"\n' for i in range(10_001)))
    with pytest.raises(CheckpointError, match="at most 10,000 rules"):
        check(open_scan(folder), path)


@pytest.mark.parametrize(
    "text",
    [
        "model,x\na," + "1" * 130_000 + "x\n",
        "model,x\n" + "*a" * 60_000 + "b,1\n",
    ],
    ids=["digits", "glob"],
)
def test_no_text_of_a_table_takes_forever(tmp_path, monkeypatch, text):
    monkeypatch.setattr(_bounds, "LEAST", 1 << 28)
    path = tmp_path / "meta.csv"
    path.write_text(text)
    began = time.process_time()
    with_metadata(made_scan(tmp_path, {"a": 1}), path)
    assert time.process_time() - began < 10


def test_columns_without_end_are_refused(tmp_path):
    path = tmp_path / "meta.csv"
    path.write_text(",".join(map(str, range(10_001))) + "\n")
    with pytest.raises(CheckpointError, match="at most 10,000 columns, found 10,001"):
        with_metadata(made_scan(tmp_path, {"a": 1}), path)


def test_cells_without_end_are_refused(tmp_path):
    path = tmp_path / "meta.csv"
    path.write_text("model,x\n" + "a,\n" * (LEAST // 32))
    refused(lambda path: with_metadata(made_scan(tmp_path, {"a": 1}), path), path, "its cells")


def test_what_is_honest_may_be_large(bundle, monkeypatch):
    monkeypatch.setattr(_bounds, "LEAST", 1)
    assert open_scan(bundle).histogram.sum() > 0
