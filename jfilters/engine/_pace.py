"""The pace of a pass: bytes a second and the seconds that are left, once both mean something."""

import dataclasses
from collections import deque

WINDOW = 20.0
"""Seconds of which the pace is the mean: longer than a large checkpoint takes to open."""

FIRST = 3.0
"""Seconds of reading before the first estimate: what is compiled and opened at first takes no bytes."""

LEAST_SHARE = 0.02
"""Share of all bytes before the first estimate."""

FOLLOWS = 10.0
"""Seconds in which the estimated end follows a new pace."""


@dataclasses.dataclass
class Pace:
    """Bytes read over time; every method takes the time of now, in seconds."""

    _points: deque[tuple[float, int]] = dataclasses.field(default_factory=deque)
    _start: tuple[float, int] | None = None
    _end: tuple[float, float] | None = None

    def read(self, now: float, done: int) -> None:
        """Note how many bytes are done; fewer than before begin anew."""
        if self._points and done < self._points[-1][1]:
            self._points.clear()
        if self._start is None and done:
            self._start = now, done
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - WINDOW:
            self._points.popleft()

    def speed(self, now: float) -> float | None:
        """Return the bytes a second of the last seconds; None until something was read for a second."""
        if self._start is None or now - self._start[0] < 1:
            return None
        first, before = max(self._points[0], self._start)
        after, seconds = self._points[-1][1], now - first
        return (after - before) / seconds if seconds >= 1 and after > before else None

    def remaining(self, now: float, left: int) -> float | None:
        """Return the seconds until `left` bytes are read; None while the pace says little.

        The estimated end moves towards a new one over some seconds, so that it does not jump.
        """
        speed = self.speed(now)
        if speed is None or self._start is None or now - self._start[0] < FIRST:
            return None
        done = self._points[-1][1] - self._start[1]
        if done < LEAST_SHARE * (done + left):
            return None
        end = now + left / speed
        if self._end is not None:
            time, before = self._end
            end = before + (end - before) * min(1.0, (now - time) / FOLLOWS)
        self._end = now, end
        return max(0.0, end - now)
