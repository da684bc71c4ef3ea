from benchmarks import _timing
from benchmarks._table import cells, markdown
from benchmarks._timing import Row, alone, side_by_side


def row(**kwargs) -> Row:
    return Row(work="work", ours=1.0, runs=1, **kwargs)


def test_medians_of_pairs_and_the_scaled_peer(monkeypatch):
    times = iter([1.0, 4.0, 2.0, 5.0, 1.0, 6.0])
    monkeypatch.setattr(_timing, "seconds", lambda function: next(times))
    found = side_by_side("work", int, int, peer="peer", runs=3, share=0.5, least_ratio=8)
    assert (found.ours, found.theirs, found.ratio) == (1.0, 10.0, 8.0)
    assert found.met


def test_both_sides_are_warmed_up_first():
    calls = []
    side_by_side(
        "work", lambda: calls.append("ours"), lambda: calls.append("peer"), peer="", runs=2
    )
    assert calls == ["ours", "peer"] * 3


def test_work_without_a_peer_is_timed_without_a_warm_up():
    calls = []
    found = alone("work", lambda: calls.append(1), runs=3, most_seconds=600)
    assert (len(calls), found.met, found.ratio) == (3, True, None)


def test_targets_are_met_or_not_or_absent():
    assert row(ratio=10.0, least_ratio=10).met is True
    assert row(ratio=0.1, least_ratio=1 / 8).met is False
    assert row(most_seconds=0.5).met is False
    assert row(ratio=3.0).met is None


def test_a_row_as_text():
    assert cells(row(theirs=12.5, ratio=12.5, least_ratio=10))[2:] == (
        "1.00 s",
        "12.50 s",
        "12.5x",
        ">= 10x",
        "yes",
    )
    assert cells(row(theirs=0.25, ratio=0.25, least_ratio=1 / 8))[3:] == (
        "0.25 s",
        "1/4.0",
        "within 8x",
        "yes",
    )
    assert cells(row(most_seconds=6))[3:] == ("", "", "<= 6 s", "yes")


def test_the_table_names_the_machine_and_ends_with_notes():
    text = markdown([row(peer="peer", note="a note")], {"cpus": 2})
    assert text.startswith("One run of `make bench` (cpus 2).")
    assert text.endswith("| work | peer | 1.00 s |  |  |  |  |\n\n- work, peer: a note.\n")
