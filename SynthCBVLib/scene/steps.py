"""Work on the scene in steps short enough for an event loop to stay live between them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
#: Longest time in s for which steps are taken before the event loop has its turn again.
TURN = 0.01


def finished(steps: Generator[None, None, Result]) -> Result:
    """Take all steps at once and give their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Stepper:
    """Takes steps a turn at a time.

    Parameters
    ----------
    steps : generator
        Yields after each step; what it returns is the result.
    """

    def __init__(self, steps: Generator[None, None, Result]) -> None:
        self._steps = steps
        self.result: Result | None = None

    def turn(self) -> bool:
        """Take steps for about `TURN`, at least one; tell whether all are done. Raises what a step raises."""
        start = time.monotonic()
        while True:
            try:
                next(self._steps)
            except StopIteration as end:
                self.result = end.value
                return True
            if time.monotonic() - start > TURN:
                return False

    def stop(self) -> None:
        """Take no more steps; the steps' own cleaning up is done."""
        with contextlib.suppress(ValueError):  # asked for from within a step
            self._steps.close()
