"""Jobs that lose a process at random, and end in the same bytes when they are run again."""

import pytest

from benchmarks.resume import make_checkpoints, report, seconds_of_a_scan, tables, trial


@pytest.mark.slow
def test_a_disturbed_scan_resumes_to_the_same_bytes(tmp_path):
    make_checkpoints(tmp_path / "in", 6)
    longest = seconds_of_a_scan(tmp_path / "in", tmp_path / "undisturbed", 2)
    expected = tables(tmp_path / "undisturbed")
    for seed in (0, 5):  # process 0 of two and another of four
        result = trial(tmp_path / "in", tmp_path / str(seed), expected, longest, seed)
        assert result["equal"], result
        assert result["clean"], result


def test_the_report_counts_what_failed():
    result = {"signal": "SIGKILL", "victim": 0, "was_running": True, "clean": True, "equal": True}
    trials = [result, result | {"equal": False}, result | {"victim": 2, "clean": False}]
    text = report(trials, {"cpus": 2})
    assert "byte for byte: 2 of 3" in text
    assert "| SIGKILL | 0 | 2 | 1 | 2 |" in text
    assert "| SIGKILL | another | 1 | 1 | 0 |" in text
