"""The worker as a process: the head of its group, and never outliving those it works for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

#: Seconds between two looks at whether the parents still live.
WATCH_INTERVAL = 0.5


def lead_group() -> bool:
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


def watch(parents: Sequence[int], temporary: Path) -> None:
    """End this process, whatever it is doing, once a parent is gone.

    Parameters
    ----------
    parents : sequence of int
        Ids of the processes that this one works for.
    temporary : Path
        Folder to remove at such an end.
    """
    started_by = os.getppid()

    def look() -> None:
        while all(alive(pid) for pid in parents) and os.getppid() == started_by:
            time.sleep(WATCH_INTERVAL)
        shutil.rmtree(temporary, ignore_errors=True)
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)  # with whatever this process has started
        os._exit(1)

    threading.Thread(target=look, name="parent watch", daemon=True).start()


def alive(pid: int) -> bool:
    """Tell whether a process is there."""
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
