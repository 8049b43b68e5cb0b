"""A Qt timer that calls a function as long as there is something to do."""

from __future__ import annotations

import logging
from collections.abc import Callable

import qt


class Ticker:
    """Call a function at even intervals from Slicer's event loop.

    Parameters
    ----------
    work : callable
        Called without arguments; False ends the ticking, and so does an exception.
    interval : int
        Milliseconds between two calls.
    """

    def __init__(self, work: Callable[[], bool], interval: int = 100) -> None:
        self._work = work
        self._timer = qt.QTimer()
        self._timer.setInterval(interval)
        self._timer.timeout.connect(self._tick)
        self._running = True
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether there will be another call."""
        return self._running

    def stop(self) -> None:
        """Call no more."""
        if not self._running:
            return
        self._running = False
        self._timer.stop()
        # The connection holds this object, and would hold all that the work knows, images included.
        self._work = _nothing
        self._timer.deleteLater()

    def _tick(self) -> None:
        go_on = False
        try:
            go_on = self._work()
        except Exception:  # Qt would swallow it and call again for ever
            logging.exception("SynthCBV: background work failed")
        if not go_on:
            self.stop()


def _nothing() -> bool:
    return False
