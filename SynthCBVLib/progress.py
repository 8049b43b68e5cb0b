"""Progress of long work: one callable, ``progress(fraction, message)``, that may raise `Cancelled`."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO


class Progress(Protocol):
    """Receive the fraction done (0 to 1) and what is being done; raise `Cancelled` to stop the work."""

    def __call__(self, fraction: float, message: str) -> None:
        """Report one step."""


def silent(fraction: float, message: str) -> None:
    """Report nothing: the default of all long work."""


def part(progress: Progress | None, start: float, stop: float) -> Progress:
    """Give a sub-task its own 0-1 scale between `start` and `stop` of the whole.

    Parameters
    ----------
    progress : Progress or None
        The whole task's progress; None reports nothing.
    start, stop : float
        The sub-task's share of the whole.

    Returns
    -------
    Progress
        A callable to hand to the sub-task.
    """
    if progress is None:
        return silent

    def scaled(fraction: float, message: str) -> None:
        progress(start + (stop - start) * fraction, message)

    return scaled


class TerminalProgress:
    """Show progress as one live line on a terminal, or as a line a message elsewhere (logs).

    Parameters
    ----------
    title : str
        Stands before the bar.
    stream : TextIO, optional
        Where to write; standard error by default, so that results on standard output stay clean.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title, self._stream = title, stream or sys.stderr
        self._start, self._last_message, self._width = time.monotonic(), "", 0

    def __call__(self, fraction: float, message: str) -> None:
        """Draw the bar at `fraction` with `message`."""
        fraction = min(max(fraction, 0.0), 1.0)
        elapsed = time.monotonic() - self._start
        if not self._stream.isatty():
            if message != self._last_message:
                self._stream.write(f"{self._title} {fraction:4.0%} {elapsed:5.1f} s  {message}\n")
                self._stream.flush()
        else:
            left = f"{elapsed / fraction - elapsed:4.0f} s left" if fraction > 0.02 else " " * 11
            bar = "#" * round(20 * fraction)
            line = f"{self._title} [{bar:<20}] {fraction:4.0%} {left}  {message}"[:118]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
            if fraction >= 1.0:
                self._stream.write("\n")
            self._stream.flush()
        self._last_message = message
