"""The progress of a scan in words: passes, files, bytes a second, and an end that means something."""

import itertools

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import _progress, scan
from jfilters.engine._pace import FIRST, Pace
from jfilters.engine._progress import Tracker, counted, progress_bar, reached


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def steady(pace: Pace, *, until: float, speed: float = 1e6, start: float = 0.0) -> float:
    """Read at one speed, ten times a second; return the time of the end."""
    now = start
    while now < until:
        pace.read(now, int((now - start) * speed))
        now += 0.1
    return now - 0.1


class TestPace:
    def test_a_steady_pace_has_its_speed_and_its_end(self):
        pace = Pace()
        now = steady(pace, until=30.0)
        assert pace.speed(now) == pytest.approx(1e6, rel=0.05)
        assert pace.remaining(now, 60_000_000) == pytest.approx(60, rel=0.05)

    def test_nothing_is_said_before_bytes_move_and_some_time_after(self):
        pace = Pace()
        for now in range(60):  # a compilation
            pace.read(float(now), 0)
        assert pace.speed(59.0) is None
        now = steady(pace, until=60 + FIRST - 0.5, start=60.0)
        assert pace.remaining(now, 1_000_000) is None

    def test_the_compilation_before_is_not_in_the_estimate(self):
        pace = Pace()
        for now in range(60):
            pace.read(float(now), 0)
        now = steady(pace, until=70, start=60.0)
        assert pace.remaining(now, 10_000_000) < 15

    def test_nothing_is_said_of_a_tiny_share(self):
        pace = Pace()
        now = steady(pace, until=10, speed=1e3)
        assert pace.remaining(now, 1_000_000_000) is None

    def test_the_end_moves_smoothly_when_the_pace_changes(self):
        pace = Pace()
        now, left, values = steady(pace, until=10), 90_000_000, []
        done = int(now * 1e6)
        for _ in range(50):
            now += 0.1
            done += 20_000  # a fifth of the pace
            pace.read(now, done)
            values.append(pace.remaining(now, left))
        assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 5
        assert values[-1] > values[0]

    def test_a_pass_that_begins_anew_has_no_negative_speed(self):
        pace = Pace()
        now = steady(pace, until=10)
        pace.read(now + 1, 0)
        assert pace.speed(now + 1) is None


class TestWords:
    def test_a_phase_then_passes_with_files(self):
        clock = Clock()
        tracker = Tracker(clock)
        assert tracker.words() == "starting"
        tracker.say("listing checkpoints")
        assert tracker.words() == "listing checkpoints"
        tracker.passes = 2
        assert list(counted(tracker, [], 3, 12)) == []
        for second in range(11):
            clock.now = float(second)
            tracker("moments", second * 1_000_000, 20_000_000)
        assert tracker.words() == "pass 1 of 2, 3 of 12 files, 1.0 MB/s, 0:30 left"
        tracker("histograms", 0, 20_000_000)
        assert tracker.words() == "pass 2 of 2, 3 of 12 files"

    def test_weights_that_take_more_bytes_than_in_their_file_do_not_turn_it_back(self):
        clock = Clock()
        tracker = Tracker(clock)
        for second in range(12):
            clock.now = float(second)
            tracker("moments", second * 1_000_000 + 700_000, 20_000_000)
            tracker("moments", second * 1_000_000, 20_000_000)
        assert "MB/s" in tracker.words()
        assert "left" in tracker.words()

    def test_files_count_as_they_are_read_and_never_beyond_all(self):
        tracker = Tracker(Clock())
        results = counted(tracker, ["a", "b"], 1, 3)
        next(results)
        assert tracker.files == 2
        reached(tracker, 2)
        assert (tracker.files, list(results), tracker.files) == (3, ["b"], 3)

    def test_another_function_hears_of_bytes_alone(self):
        calls = []
        with progress_bar(lambda *call: calls.append(call)) as progress:
            assert list(counted(progress, "ab", 0, 2)) == ["a", "b"]
            progress("moments", 0, 1)
        assert calls == [("moments", 0, 1)]


def test_a_log_gets_a_line_now_and_then_and_a_short_scan_none(monkeypatch, capsys):
    with progress_bar(True) as progress:
        progress("moments", 1, 2)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(_progress, "EVERY", 0.0)
        progress.passes = 2
        progress("moments", 2, 2)
    assert capsys.readouterr().err == "pass 1 of 2\n"


def test_a_scan_tells_its_passes_and_files(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        weights = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
        save_file({"conv.weight": weights}, tmp_path / f"{name}.safetensors")
    seen = []

    class Watcher(Tracker):
        def __call__(self, stage, done, total):
            super().__call__(stage, done, total)
            seen.append(self.words())

    scan(tmp_path, progress=Watcher())
    assert seen[0] == "pass 1 of 2, 0 of 3 files"
    assert seen[-1] == "pass 2 of 2, 3 of 3 files"
