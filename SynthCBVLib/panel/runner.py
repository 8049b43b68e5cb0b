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
        self._earlier: list[Ticker] = []  # still clearing away what their jobs left

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
            return job.running or not job.tidy()  # a listener may have started the next job by now

        if self._ticker is not None:
            self._earlier = [ticker for ticker in (*self._earlier, self._ticker) if ticker.running]
        self._ticker = Ticker(tick, INTERVAL)

    def cancel(self, wait: bool = True) -> None:
        """End the job; no process, file or node of it stays.

        Parameters
        ----------
        wait : bool
            Return when that is so; else it is so some turns of the event loop later.
        """
        if self.job is not None:  # one that has just ended may still have something to clear away
            self.job.cancel(wait)
