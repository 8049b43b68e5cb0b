"""Works that wait for their turn in the worker, one after the other."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.background import Listener, Work
from SynthCBVLib.panel.jobs import Failed, Noticed
from SynthCBVLib.panel.processes import Launcher
from SynthCBVLib.panel.runner import Runner

#: Is told the result and None, or None and the error.
Finished = Callable[[object, Exception | None], None]


class WorkError(InputError):
    """What went wrong in the worker, in its own words."""

    def __init__(self, message: str) -> None:
        super().__init__("SynthCBV", message, "")

    def __str__(self) -> str:
        return self.seen


class Teller:
    """A listener that calls a function at the end, and another listener all along.

    Parameters
    ----------
    finished : callable, optional
        Is told the result and None, or None and the error.
    listener : Listener, optional
        Is told everything.
    """

    def __init__(self, finished: Finished | None = None, listener: Listener | None = None) -> None:
        self._finished, self._listener = finished, listener

    def progressed(self, fraction: float, message: str) -> None:
        """Hear that the work got further."""
        if self._listener is not None:
            self._listener.progressed(fraction, message)

    def noticed(self, finding: Noticed) -> None:
        """Hear of something about the images."""
        if self._listener is not None:
            self._listener.noticed(finding)

    def finished(self, result: Any) -> None:
        """Hear that all is done."""
        if self._listener is not None:
            self._listener.finished(result)
        if self._finished is not None:
            self._finished(result, None)

    def failed(self, failure: Failed) -> None:
        """Hear that nothing was made."""
        if self._listener is not None:
            self._listener.failed(failure)
        if self._finished is not None:
            words = failure.message
            self._finished(None, WorkError(words) if failure.kind == "input" else RuntimeError(words))


class WorkQueue:
    """Starts works one after the other.

    Parameters
    ----------
    launch : Launcher
        Starts the worker processes.
    """

    def __init__(self, launch: Launcher) -> None:
        self._runner = Runner(launch)
        self._waiting: deque[tuple[Work, Listener]] = deque()
        self._current: Listener | None = None

    @property
    def running(self) -> bool:
        """Whether a work is under way or waits."""
        return self._runner.running or bool(self._waiting)

    def add(self, work: Work, listener: Listener) -> None:
        """Start a work now or after those before it; the listener is told from Slicer's event loop."""
        self._waiting.append((work, listener))
        if not self._runner.running:
            self._next()

    def cancel(self, wait: bool = True) -> None:
        """End the work under way and forget those that wait; nothing of them stays, and nobody is told.

        Parameters
        ----------
        wait : bool
            As of `Runner.cancel`.
        """
        self._waiting.clear()
        self._runner.cancel(wait)

    def _next(self) -> None:
        if self._waiting:
            work, listener = self._waiting.popleft()
            self._current = listener
            self._runner.start(work, self)

    def progressed(self, fraction: float, message: str) -> None:
        """Hear that the work got further."""
        self._current.progressed(fraction, message)

    def noticed(self, finding: Noticed) -> None:
        """Hear of something about the images."""
        self._current.noticed(finding)

    def finished(self, result: Any) -> None:
        """Hear that a work is done, and go on."""
        self._end(lambda listener: listener.finished(result))

    def failed(self, failure: Failed) -> None:
        """Hear that a work failed, and go on."""
        self._end(lambda listener: listener.failed(failure))

    def _end(self, tell: Callable[[Listener], None]) -> None:
        listener, self._current = self._current, None
        try:
            tell(listener)
        except Exception:  # of the one who listens; the works that wait are not to suffer
            logging.exception("SynthCBV: the end of a work could not be shown")
        if not self._runner.running:
            self._next()
