"""How long a job will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Fraction before which nothing is said, for nothing is known yet.
EARLIEST = 0.05


class TimeLeft:
    """Estimates the seconds to the end from the pace so far; it never jumps up by much.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._told: tuple[float, float] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def after(self, fraction: float) -> float | None:
        """Give the seconds left when a fraction (0 to 1) is done; None while it is too early to say."""
        if fraction < EARLIEST:
            return None
        now = self._clock()
        left = (now - self._start) * (1.0 - fraction) / fraction
        if self._told is not None:
            before = max(0.0, self._told[1] - (now - self._told[0]))
            left = 0.5 * (left + before)
        self._told = (now, left)
        return left
