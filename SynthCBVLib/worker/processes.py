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
#: How far behind the panel the worker stands: on Unix, and as a priority class of Windows.
NICENESS, BELOW_NORMAL = 10, 0x4000


def stand_back() -> None:
    """Leave the computer to the panel whenever it has something to do; without it, work at full speed."""
    if os.name == "nt":
        import ctypes

        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        # Both are handles' size; without saying so, that of "this process" (-1) is cut to 32 bits.
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass(ctypes.c_void_p(kernel.GetCurrentProcess()), BELOW_NORMAL)
        return
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):  # some Linux desktops weigh whole sessions, and this one has its own
        Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")
    with contextlib.suppress(OSError, AttributeError):  # Linux alone has it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def lead_group() -> bool:
    """Lead a process group, so that the whole tree can be ended at once."""
    try:
        os.setsid()
    except AttributeError:
        return False  # Windows, where a tree is found by its root
    except OSError:
        return os.getpgrp() == os.getpid()
    return True


def watch(parents: Sequence[int], folders: Sequence[Path]) -> None:
    """End this process, whatever it is doing, once a parent is gone.

    Parameters
    ----------
    parents : sequence of int
        Ids of the processes that this one works for.
    folders : sequence of Path
        What to remove at such an end.
    """
    started_by = os.getppid()

    def look() -> None:
        while all(alive(pid) for pid in parents) and os.getppid() == started_by:
            time.sleep(WATCH_INTERVAL)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
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
