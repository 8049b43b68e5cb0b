"""How much memory is free, in words for the panel."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from slicer.i18n import tr as _

#: GB that a usual study takes on the processor: 1.1 on digital patients, more for finer images.
USUAL_NEED = 2.0


def memory_text(device: str) -> str:
    """Say whether there is room for a synthesis.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "mps". What is free on a graphics card is known to the worker alone; the map
        is computed on the processor if it does not fit there.
    """
    free = free_memory()
    if free is None:
        return ""
    text = _("{free:.1f} GB of memory are free; a usual study takes about {need:.0f} GB.")
    if free < USUAL_NEED:
        text = _("Only {free:.1f} GB of memory are free; a usual study takes {need:.0f}. Close programs.")
    text = text.format(free=free, need=USUAL_NEED)
    if device in ("cuda", "mps"):
        text += " " + _("If the graphics card is missing or full, you are told.")
    return text


def free_memory() -> float | None:
    """Give the free main memory in GB (10⁹ bytes), or None if it is unknown."""
    if os.name == "nt":
        return _free_on_windows()
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
    except (OSError, ValueError, IndexError):
        pass
    return None


def _free_on_windows() -> float | None:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong), ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "pt", "pf", "vt", "vf", "extended")),
        )  # fmt: skip

    status = Status()
    status.length = ctypes.sizeof(Status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return None
    return status.free / 1e9
