"""One job in a process of its own: ``python -m SynthCBVLib.worker JOB.json``.

The job is a JSON object such as ``{"task": "synthesize", "study": FOLDER, "model": "ivim", "device": "auto",
"output": FOLDER}``. Events go to standard output as JSON, one a line, each with a "type":

- ``started`` (``pid``, ``group``: whether the process leads a group of its own),
- ``progress`` (``fraction`` 0 to 1, ``message``),
- ``finding`` (``severity``, ``modality``, ``what``, ``remedy``),
- ``result`` (``files``: kind -> path, ``provenance``),
- ``error`` (``kind``: "input", "fault" or "cancelled", ``message``).

The last event is a result or an error. Whatever libraries print goes to standard error. Outputs appear whole
or not at all. The process ends by itself when one of the processes named in ``"parents"``, or the one that
started it, is gone. Exit codes: 0 done, 2 bad input, 1 a fault of ours, 130 cancelled.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.progress import Progress

if TYPE_CHECKING:
    from SynthCBVLib.imaging.study import Study
    from SynthCBVLib.synthesis import Synthesis

#: Seconds between two looks at whether the parents still live.
WATCH_INTERVAL = 0.5
#: Longest text of an error event: a line stays below what a pipe takes in one piece.
_LONGEST_MESSAGE = 1500
_REQUIRED = {"synthesize": ("study", "model", "output")}


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


class Tools(Protocol):
    """What the synthesis task calls; the library's own by default."""

    def read_study(self, folder: Path, subject: str | None) -> Study:
        """Read a BIDS subject folder."""

    def synthesize(self, study: Study, model: str, device: str, progress: Progress) -> Synthesis:
        """Make the maps."""

    def write(self, result: Synthesis, folder: Path, subject: str) -> Mapping[str, Path]:
        """Write the maps into a folder and give the file of each."""


class LibraryTools:
    """The library's own synthesis."""

    def read_study(self, folder: Path, subject: str | None) -> Study:
        """Read a BIDS subject folder."""
        from SynthCBVLib.imaging.files import read_study

        return read_study(folder, subject)

    def synthesize(self, study: Study, model: str, device: str, progress: Progress) -> Synthesis:
        """Make the maps; torch is loaded here."""
        from SynthCBVLib.synthesis import load_model, synthesize

        progress(0.0, "Loading the model")
        return synthesize(study, load_model(model), device, progress)

    def write(self, result: Synthesis, folder: Path, subject: str) -> Mapping[str, Path]:
        """Write the maps with their sidecars."""
        from SynthCBVLib.synthesis.outputs import write_synthesis

        return write_synthesis(result, folder, subject)


class Outputs(NamedTuple):
    """The two folders of a job: where its files go in the end, and where they are written first."""

    final: Path
    temporary: Path


def run_job(job: Mapping[str, Any], channel: Channel, outputs: Outputs, tools: Tools) -> None:
    """Run one checked job and tell its result.

    Parameters
    ----------
    job : Mapping
        As `read_job` gives it.
    channel : Channel
        Where findings and the result are told.
    outputs : Outputs
        Final and temporary folder.
    tools : Tools
        What does the work.
    """
    study = tools.read_study(Path(job["study"]), job.get("subject"))

    def progress(fraction: float, message: str) -> None:
        channel.tell("progress", fraction=round(float(fraction), 4), message=str(message)[:_LONGEST_MESSAGE])

    result = tools.synthesize(study, job["model"], job.get("device", "auto"), progress)
    for finding in result.findings:
        channel.tell("finding", **{key: str(value) for key, value in asdict(finding).items()})
    outputs.temporary.mkdir(parents=True)
    files = tools.write(result, outputs.temporary, study.subject)
    final = _move(files, outputs)
    channel.tell("result", files=final, provenance=result.provenance)


def read_job(path: Path) -> dict[str, Any]:
    """Read and check a job file.

    Raises
    ------
    InputError
        If it is missing, no JSON object, of an unknown task, or lacks an entry.
    """
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"a job that cannot be read ({error.strerror})", "a job file") from error
    except ValueError as error:
        raise InputError(path, f"no JSON ({error})", "a job as a JSON object") from error
    if not isinstance(job, dict) or job.get("task") not in _REQUIRED:
        task = job.get("task") if isinstance(job, dict) else type(job).__name__
        raise InputError(path, f"the task {task!r}", f"one of {', '.join(_REQUIRED)}")
    missing = [key for key in _REQUIRED[job["task"]] if not isinstance(job.get(key), str) or not job[key]]
    if missing:
        raise InputError(path, f"no {', '.join(missing)}", "a text for each of them")
    if not all(isinstance(pid, int) and pid > 0 for pid in job.get("parents", [])):
        raise InputError(path, f"parents {job['parents']}", "a list of process ids")
    return job


def main(argv: Sequence[str] | None = None, tools: Tools | None = None) -> int:
    """Run the job of the command line and give the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The job file alone; the process's own arguments by default.
    tools : Tools, optional
        What does the work; `LibraryTools` by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    channel = Channel(_take_standard_output())
    signal.signal(signal.SIGTERM, _cancel)
    channel.tell("started", pid=os.getpid(), group=_lead_group())
    temporary: Path | None = None
    try:
        if len(arguments) != 1:
            raise InputError("worker", f"{len(arguments)} arguments", "one: the job file")
        job = read_job(Path(arguments[0]))
        outputs = _outputs(Path(job["output"]))
        temporary = outputs.temporary
        _watch([*job.get("parents", []), os.getppid()], temporary)
        run_job(job, channel, outputs, tools or LibraryTools())
    except InputError as error:
        channel.tell("error", kind="input", message=str(error)[:_LONGEST_MESSAGE])
        return 2
    except (KeyboardInterrupt, Cancelled):
        with contextlib.suppress(OSError):
            channel.tell("error", kind="cancelled", message="Cancelled")
        return 130
    except BrokenPipeError:
        return 1  # nobody listens any more
    except MemoryError:
        channel.tell("error", kind="fault", message="The computer ran out of memory. Close other programs.")
        return 1
    except Exception as error:
        traceback.print_exc()
        channel.tell("error", kind="fault", message=f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE])
        return 1
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return 0


def _take_standard_output() -> int:
    """Keep a copy of standard output for the events and lead the original to standard error."""
    sys.stdout.flush()
    events = os.dup(1)
    os.dup2(2, 1)
    return events


def _lead_group() -> bool:
    """Lead a process group, so that the whole tree can be ended at once; be polite to the panel."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    try:
        os.setsid()
    except AttributeError:
        return False  # Windows, where a tree is found by its root
    except OSError:
        return os.getpgrp() == os.getpid()
    return True


def _cancel(number: int, frame: FrameType | None) -> None:
    raise Cancelled


def _outputs(final: Path) -> Outputs:
    final = final.absolute()
    if final.exists() and not final.is_dir():
        raise InputError(final, "a file", "a folder for the maps")
    return Outputs(final, final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}"))


def _move(files: Mapping[str, Path], outputs: Outputs) -> dict[str, str]:
    """Move the written folder, or its files, to their place."""
    if not outputs.final.exists():
        outputs.temporary.replace(outputs.final)
    else:
        for path in sorted(outputs.temporary.iterdir()):
            path.replace(outputs.final / path.name)
    return {kind: str(outputs.final / path.name) for kind, path in files.items()}


def _watch(parents: Sequence[int], temporary: Path) -> None:
    """End this process, whatever it is doing, once a parent is gone."""
    started_by = os.getppid()

    def look() -> None:
        while all(_alive(pid) for pid in parents) and os.getppid() == started_by:
            time.sleep(WATCH_INTERVAL)
        shutil.rmtree(temporary, ignore_errors=True)
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)  # with whatever this process has started
        os._exit(1)

    threading.Thread(target=look, name="parent watch", daemon=True).start()


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _alive_on_windows(pid: int) -> bool:
    """Ask Windows for a process; there, signal 0 would end it."""
    import ctypes

    synchronize, waiting = 0x00100000, 0x00000102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return kernel.WaitForSingleObject(handle, 0) == waiting
    finally:
        kernel.CloseHandle(handle)


if __name__ == "__main__":
    sys.exit(main())
