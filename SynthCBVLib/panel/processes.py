"""Starting and ending the worker process from inside Slicer. No Qt here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

#: Folder that holds the package, from which ``-m SynthCBVLib.worker`` finds it.
ROOT = Path(__file__).resolve().parents[2]


class Process(Protocol):
    """The part of ``subprocess.Popen`` that a job uses."""

    pid: int
    stdout: TextIO | None

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""

    def kill(self) -> None:
        """End it at once."""


class Launcher(Protocol):
    """Starts a process whose standard output and error come as one text stream."""

    def __call__(self, arguments: Sequence[str]) -> Process:
        """Start it."""


def launch_in_slicer(arguments: Sequence[str]) -> Process:
    """Start a Python process with Slicer's own interpreter and environment, without a console window.

    Parameters
    ----------
    arguments : sequence of str
        What follows the interpreter's name.
    """
    import slicer

    # PythonSlicer is a launcher that sets up the libraries' paths and starts the interpreter as its child.
    python = shutil.which("PythonSlicer") or sys.executable
    return slicer.util.launchConsoleProcess(
        [python, *arguments],
        useStartupEnvironment=False,
        updateEnvironment={"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        cwd=str(ROOT),
    )


def end_tree(process: Process, worker: int | None = None) -> None:
    """Have a process ended with everything below it; `process.poll` tells when it is gone.

    Parameters
    ----------
    process : Process
        What was launched; in Slicer that is the launcher and not the interpreter itself.
    worker : int, optional
        Process id of the worker, if it has told that it leads a group of its own.
    """
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/PID", str(process.pid), "/T", "/F"],
            check=False,
            capture_output=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    elif worker is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker, signal.SIGKILL)
    # A worker that has not told its group yet ends by itself when it finds its parent gone.
    with contextlib.suppress(OSError):
        process.kill()
