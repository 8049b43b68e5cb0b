"""One job after the other, from Slicer's event loop."""

from __future__ import annotations

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.background import BackgroundJob, Listener, Work
from SynthCBVLib.panel.processes import Launcher
from SynthCBVLib.panel.ticker import Ticker

#: Milliseconds between two turns.
INTERVAL = 50


class Runner:
    """Starts a job in a worker process and keeps it going.

    Parameters
    ----------
    launch : Launcher
        Starts the worker processes.
    """

    def __init__(self, launch: Launcher) -> None:
        self._launch = launch
        self.job: BackgroundJob | None = None
        self._ticker: Ticker | None = None

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self.job is not None and self.job.running

    def start(self, work: Work, listener: Listener) -> None:
        """Start a job; the listener is told from Slicer's event loop.

        Raises
        ------
        InputError
            If another one is under way.
        """
        import slicer

        if self.running:
            raise InputError(
                "SynthCBV", "another computation is running", "one at a time", "Wait for it or cancel it."
            )
        job = BackgroundJob(work, listener, self._launch, getattr(slicer.app, "temporaryPath", None))
        self.job = job

        def tick() -> bool:
            job.poll()
            return job.running  # a listener may have started the next job by now

        self._ticker = Ticker(tick, INTERVAL)

    def cancel(self) -> None:
        """End the job; no process, file or node of it stays."""
        if self._ticker is not None:
            self._ticker.stop()
        if self.running:
            self.job.cancel()
