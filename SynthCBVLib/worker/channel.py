"""The way of a worker's events to the process that started it."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

#: Longest text of an event: a line stays below what a pipe takes in one piece.
LONGEST_MESSAGE = 1500


class Channel:
    """The way of the events: a copy of standard output that no library can write to by accident.

    Parameters
    ----------
    descriptor : int
        Open file descriptor to write to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lock = descriptor, threading.Lock()

    def tell(self, event: str, /, **fields: Any) -> None:
        """Send one event."""
        # Where both streams end in one pipe, a half line of a library may stand before: begin a new one.
        line = b"\n" + json.dumps({"type": event, **fields}, default=str).encode("ascii") + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def take_standard_output() -> int:
    """Keep a copy of standard output for the events and lead the original to standard error."""
    sys.stdout.flush()
    events = os.dup(1)
    os.dup2(2, 1)
    return events
