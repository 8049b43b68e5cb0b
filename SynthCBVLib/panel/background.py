"""Jobs of a worker that begin and end in the scene, in turns that leave the event loop live. No Qt."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.jobs import Failed, Finished, Noticed, Progressed, WorkerJob
from SynthCBVLib.panel.processes import Launcher, launch_in_slicer
from SynthCBVLib.scene.steps import Stepper

if TYPE_CHECKING:
    import os

Copied = TypeVar("Copied")
Result = TypeVar("Result")
#: Seconds of each turn lent to a thread: an idle application may hold Python's lock itself.
LENT = 0.02
#: Longest wait in s for the end of a cancelled job's process and thread, which usually take some 50 ms.
PATIENCE = 2.0


class Work(Protocol[Copied, Result]):
    """What a worker is to do for the scene. `copy` and `show` run in the event loop, a step at a time."""

    def copy(self) -> Generator[None, None, Copied]:
        """Copy what the worker needs from the scene."""

    def write(self, copied: Copied, folder: Path) -> Mapping[str, Any]:
        """Write it into a folder and give the job, without "output". In a thread: nothing of the scene."""

    def read(self, event: Finished, findings: Sequence[Noticed]) -> Any:
        """Read what the worker made, before its files go. In a thread: nothing of the scene."""

    def show(self, read: Any) -> Generator[None, None, Result]:
        """Put it into the scene. If it is stopped or fails, it takes out again what it put in."""


class Listener(Protocol):
    """Is told what happens to a job; the last call is `finished` or `failed`."""

    def progressed(self, fraction: float, message: str) -> None:
        """Hear that the work got further."""

    def noticed(self, finding: Noticed) -> None:
        """Hear of something about the study."""

    def finished(self, result: Any) -> None:
        """Hear that all is done and in the scene."""

    def failed(self, failure: Failed) -> None:
        """Hear that nothing was made."""


class BackgroundJob:
    """A job from the copy of its inputs to the nodes of its result; a timer calls `poll`.

    Parameters
    ----------
    work : Work
        What to do.
    listener : Listener
        Told from within `poll`.
    launch : Launcher
        Starts the worker.
    temporary : path, optional
        Where to make the temporary folder; the system's place by default. It goes with `tidy`.
    """

    def __init__(
        self,
        work: Work,
        listener: Listener,
        launch: Launcher = launch_in_slicer,
        temporary: str | os.PathLike[str] | None = None,
    ) -> None:
        self._work, self._listener, self._launch = work, listener, launch
        self._temporary = temporary
        self._findings: list[Noticed] = []
        self._worker: WorkerJob | None = None
        self._folder: Path | None = None
        self._thread: _Thread | None = None
        self._over = threading.Event()
        self._steps = Stepper(work.copy())
        self._turn: Callable[[], None] = self._copy

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return not self._over.is_set()

    @property
    def thread_alive(self) -> bool:
        """Whether a thread of this job still has to find out that all is over."""
        return self._thread is not None and self._thread.is_alive()

    def poll(self) -> None:
        """Get further for a moment and tell the listener what happened."""
        if self._over.is_set():
            return
        try:
            self._turn()
        except Exception as problem:
            if not isinstance(problem, InputError):
                logging.exception("SynthCBV: a job failed")
            if self._over.is_set():
                return  # of the listener, who knows the end already
            self._end()
            self._listener.failed(failure_of(problem))

    def cancel(self, wait: bool = True) -> None:
        """End the worker and leave nothing: no process, no file, no node; the listener hears no more.

        Parameters
        ----------
        wait : bool
            Return when all that is so, after `PATIENCE` at the latest. Else process and files go as `tidy`
            is called.
        """
        self._end()
        end = time.monotonic() + PATIENCE
        while wait and not self.tidy() and time.monotonic() < end:
            time.sleep(0.002)

    def tidy(self) -> bool:
        """Clear away what an ended job left, without waiting; tell whether nothing is left."""
        if self.running:
            return False
        if self.thread_alive:
            self._thread.join(0.001)  # it finds out that all is over when it has Python's lock
            if self.thread_alive:
                return False
        if self._worker is not None:
            self._worker.cancel()  # the thread may have started it when all was over
            if not self._worker.gone:
                return False  # it may still write
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        return True

    def _copy(self) -> None:
        if self._steps.turn():
            self._folder = Path(tempfile.mkdtemp(prefix="SynthCBV-", dir=self._temporary))
            self._thread = _Thread(self._prepare, self._steps.result)
            self._turn = self._start

    def _prepare(self, copied: Any) -> None:
        """Write the inputs and start the worker, in a thread: disks may be slow."""
        job = {
            **self._work.write(copied, self._folder), "output": str(self._folder / "output"),
            "handed": True,  # should Slicer be killed, the worker clears the folder away
        }  # fmt: skip
        if not self._over.is_set():
            self._worker = WorkerJob(job, self._folder, self._launch)

    def _start(self) -> None:
        if self._thread.done():
            self._turn = self._listen

    def _listen(self) -> None:
        time.sleep(0.001)  # lends Python's lock to the thread that reads the worker's output
        for event in self._worker.poll():
            if isinstance(event, Progressed):
                self._listener.progressed(event.fraction, event.message)
            elif isinstance(event, Noticed):
                self._findings.append(event)
                self._listener.noticed(event)
            elif isinstance(event, Failed):
                self._end()
                self._listener.failed(event)
            else:
                self._thread = _Thread(self._read, event)
                self._turn = self._await

    def _read(self, event: Finished) -> Any:
        return self._work.read(event, tuple(self._findings))

    def _await(self) -> None:
        if self._thread.done():
            self._steps = Stepper(self._work.show(self._thread.result))
            self._turn = self._show

    def _show(self) -> None:
        if self._steps.turn():
            self._end()
            self._listener.finished(self._steps.result)

    def _end(self) -> None:
        """End the worker, if there is one, and take out what is half in the scene."""
        self._over.set()
        self._steps.stop()
        if self._worker is not None:
            self._worker.cancel()
        self.tidy()


class _Thread(Generic[Result], threading.Thread):
    """Calls a function with one argument in a thread of its own.

    Parameters
    ----------
    call : callable
        What to do.
    argument : object
        Its argument.
    """

    def __init__(self, call: Callable[[Any], Result], argument: Any) -> None:
        super().__init__(name="SynthCBV", daemon=True)
        self._call, self._argument = call, argument
        self._problem: Exception | None = None
        self.result: Result | None = None
        self.start()

    def run(self) -> None:
        """Work."""
        try:
            self.result = self._call(self._argument)
        except Exception as problem:
            self._problem = problem

    def done(self) -> bool:
        """Lend it a moment and tell whether it is through; raises what went wrong there."""
        self.join(LENT)
        if self.is_alive():
            return False
        if self._problem is not None:
            raise self._problem
        return True


def failure_of(problem: Exception) -> Failed:
    """Tell the user's mistakes from ours."""
    if isinstance(problem, InputError):
        return Failed("input", str(problem))
    return Failed("fault", f"{type(problem).__name__}: {problem}")
