"""The inert pickle machine: plain values come out equal, everything else stays a record, bounds hold."""

import collections
import contextlib
import io
import math
import pickle
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from jfilters.errors import CheckpointError
from jfilters.io import Cursor, Global, Inert, InertMapping, MemorySource, PickledBytes, unpickle
from jfilters.io import _pickle_machine as _machine
from jfilters.io._cursor import LONGEST_LINE

BACK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**600), max_value=2**600),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(min_size=1),
)
PLAIN = st.recursive(
    BACK,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner),
        st.tuples(inner, inner, inner, inner),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), inner),
    ),
    max_leaves=30,
)


def unpickled(data: bytes, persistent=lambda key: key):
    return unpickle(Cursor(MemorySource(Path("x.pkl"), memoryview(data))), persistent)


def plain(value):
    """A value of the machine as Python's own, for values without bytes in protocols below 3."""
    if isinstance(value, InertMapping):
        return {plain(key): plain(item) for key, item in value.pairs()}
    if isinstance(value, PickledBytes):
        return bytes(value.read())
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value


def as_text(value):
    """What protocols below 3 make of bytes: text of single bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return type(value)(map(as_text, value)) if isinstance(value, list | tuple) else value


@hypothesis.given(PLAIN, st.integers(3, 5))
def test_plain_values_come_out_equal(value, protocol):
    assert plain(unpickled(pickle.dumps(value, protocol))) == value


@hypothesis.given(PLAIN, st.integers(1, 2))
def test_old_protocols_write_bytes_as_text(value, protocol):
    assert plain(unpickled(pickle.dumps(value, protocol))) == as_text(value)


def test_a_persistent_id_goes_through_the_callback():
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return (obj.real, "seen") if isinstance(obj, complex) else None

    file = io.BytesIO()
    Pickler(file, 4).dump({1: [7 + 0j, 2.5]})
    assert plain(unpickled(file.getvalue(), lambda key: key[0])) == {1: [7.0, 2.5]}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_dict_types_are_mappings(protocol):
    default = collections.defaultdict(list, a=1)
    ordered = collections.OrderedDict(a=1, b=[2])
    assert plain(unpickled(pickle.dumps([ordered, default], protocol))) == [ordered, default]


def test_an_ordered_dict_of_python_2_is_made_from_a_list_of_pairs():
    data = b"\x80\x02ccollections\nOrderedDict\n](](U\x01aK\x01e](U\x01bK\x02ee\x85R."
    assert plain(unpickled(data)) == {"a": 1, "b": 2}


def test_sets_are_lists_and_a_recursive_list_holds_itself():
    assert sorted(unpickled(pickle.dumps({1, 2}, 4))) == [1, 2]
    assert sorted(unpickled(pickle.dumps(frozenset({1, 2}), 2))) == [1, 2]
    recursive: list = [1]
    recursive.append(recursive)
    found = unpickled(pickle.dumps(recursive))
    assert found[1] is found


def test_a_recursive_tuple_holds_itself():
    inner: list = []
    value = (inner,)
    inner.append(value)
    found = unpickled(pickle.dumps(value))
    assert found[0][0][0] is found[0]


class Point:
    def __init__(self):
        self.x = 3


def test_an_object_keeps_its_class_its_arguments_and_its_state():
    found = unpickled(pickle.dumps(Point(), 4))
    assert found.name.endswith("Point")
    assert plain(found.state) == {"x": 3}
    fraction = unpickled(pickle.dumps(collections.Counter("aab"), 4))
    assert (fraction.name, plain(fraction.args)) == ("collections.Counter", ({"a": 2, "b": 1},))
    assert isinstance(unpickled(pickle.dumps(math.sin)), Global)


def test_long_strings_and_bytes_stay_in_the_file():
    found = unpickled(pickle.dumps(["x" * 100_000, b"y" * 100_000], 4))
    assert all(isinstance(part, PickledBytes) for part in found)
    assert bytes(found[1].read()) == b"y" * 100_000


def test_latin_1_bytes_of_protocol_2_are_read_back():
    data = bytes(range(256)) * 400
    found = unpickled(pickle.dumps(data, 2))
    assert found.latin1
    assert bytes(found.read()) == data


class Runs:
    """Would leave a file behind if anything were called."""

    def __init__(self, callee, *args):
        self.call = callee, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(1, 6))
def test_nothing_is_called(tmp_path, protocol):
    import os

    witness = tmp_path / "ran"
    attacks = [
        Runs(os.system, f"touch {witness}"),
        Runs(eval, f"open({str(witness)!r}, 'w')"),
        Runs(getattr, Runs(getattr, Runs(__import__, "os"), "path"), "join"),
    ]
    found = unpickled(pickle.dumps(attacks, protocol))
    assert not witness.exists()
    assert [part.name.rpartition(".")[2] for part in found] == ["system", "eval", "getattr"]
    nested = found[2].args[0]
    assert isinstance(nested, Inert)
    assert nested.args[1] == "path"


def test_nothing_is_imported():
    import sys

    found = unpickled(b"\x80\x02cthis\ns\n)R.")
    assert found.name == "this.s"
    assert "this" not in sys.modules


REFUSED = {
    "an empty stream": (b"", "ends early"),
    "no stop": (b"\x80\x04N", "ends early"),
    "a newer protocol": (b"\x80\x06N.", "protocol 6"),
    "an unknown opcode": (b"\x80\x04\xff.", "no pickle opcode"),
    "an extension code": (b"\x80\x04\x82\x01.", "no pickle opcode"),
    "an out-of-band buffer": (b"\x80\x05\x97.", "no pickle opcode"),
    "protocol 0 text": (b"S'a'\n.", "no pickle opcode"),
    "an empty stack": (b"\x80\x040.", "empty stack"),
    "a stop with nothing": (b"\x80\x04.", "empty stack"),
    "a value below the mark": (b"\x80\x04N(\x85.", "empty stack"),
    "a mark that is not there": (b"\x80\x04Nt.", "did not open"),
    "a memo that is not there": (b"\x80\x04h\x05.", "remembered nothing as 5"),
    "a negative memo index": (b"\x80\x04Np-1\n.", "memo index of -1"),
    "a giant memo index": (b"\x80\x04Nr\xff\xff\xff\xff.", "memo index"),
    "a key without a value": (b"\x80\x04}(Nu.", "no value"),
    "items of a number": (b"\x80\x04K\x01Na.", "expected a list"),
    "items of a dict": (b"\x80\x04}Na.", "without keys"),
    "keys of a list": (b"\x80\x04]NNs.", "expected a Mapping"),
    "arguments that are no tuple": (b"\x80\x04cos\nsystem\nNR.", "expected a tuple"),
    "a class named by a number": (b"\x80\x04K\x01K\x01\x93.", "expected a str"),
    "an object without a class": (b"\x80\x04(o.", "without a class"),
    "a string beyond the file": (b"\x80\x04X\xff\xff\x00\x00ab.", "ends early"),
    "a petabyte of bytes": (b"\x80\x04\x8e" + (1 << 50).to_bytes(8, "little"), "ends early"),
    "a negative length": (b"\x80\x02T\xff\xff\xff\xff.", "length of -1"),
    "a giant integer": (b"\x80\x02\x8b\x00\x00\x10\x00", "integer of"),
    "a negative integer length": (b"\x80\x02\x8b\xff\xff\xff\xff", "integer of -1"),
    "an integer of letters": (b"\x80\x02Labc\n.", "expected a number"),
    "a line without an end": (b"\x80\x02c" + b"a" * (2 * LONGEST_LINE), "expected a line"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    data, message = REFUSED[name]
    with pytest.raises(CheckpointError, match=message):
        unpickled(data)


BOMBS = {
    "10^7 opcodes": b"N0" * 50_000,
    "duplicates": b"N" + b"2" * 50_000,
    "memos": b"N" + b"\x94" * 50_000,
    "marks": b"(" * 50_000,
    "lists": b"]" * 50_000,
    "nested tuples": b"N" + b"\x85" * 50_000,
    "doubling lists": b"]" + b"2l2e" * 20_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name, monkeypatch):
    monkeypatch.setattr(_machine, "MAX_OPCODES", 3000)
    with pytest.raises(CheckpointError):
        unpickle(
            Cursor(MemorySource(Path("x.pkl"), memoryview(b"\x80\x04" + BOMBS[name]))),
            lambda key: key,
            _machine.MAX_OPCODES,
        )


def test_strings_are_bounded_together(monkeypatch):
    monkeypatch.setattr(_machine, "MAX_TEXT", 1000)
    with pytest.raises(CheckpointError, match="more than 1,000 bytes of strings"):
        unpickled(pickle.dumps([f"{i:0100}" for i in range(20)], 4))


def test_dicts_made_from_a_remembered_list_are_bounded(monkeypatch):
    monkeypatch.setattr(_machine, "MAX_TEXT", 100_000)
    pairs = b"](" + b"](K\x01K\x02e" * 100 + b"e\x85q\x00"
    with pytest.raises(CheckpointError, match="bytes of strings"):
        unpickled(b"\x80\x02" + pairs + b"cbuiltins\ndict\nh\x00R" * 1000 + b".")


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data):
    with contextlib.suppress(CheckpointError):
        unpickled(b"\x80\x04" + data)
