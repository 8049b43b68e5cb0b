"""How much memory a network needs for a volume, how much a device has left, and what its lack looks like."""

from __future__ import annotations

import ctypes
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Share of the free memory that a network may take.
SHARE = 0.8
#: Convolutions work on rearranged copies: so much more than the maps themselves.
_WORK = 1.5
#: Bytes that a run needs whatever its size: libraries' buffers, threads.
_FIXED = 100e6
#: Words of allocators that have nothing left: CUDA and MPS, cuDNN and cuBLAS, the CPU on Linux and Windows.
_WORDS = (
    "out of memory", "alloc_failed", "can't allocate memory", "cannot allocate memory", "not enough memory",
    "bad_alloc", "bad allocation",
)  # fmt: skip
_per_voxel: weakref.WeakKeyDictionary[Any, tuple[tuple[int, int], float]] = weakref.WeakKeyDictionary()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that a device has no memory left."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "OutOfMemoryError" or any(word in str(error).lower() for word in _WORDS)


def needed_memory(network: nn.Module, channels: int, inputs: int, voxels: int) -> float:
    """Estimate the peak memory of a network, weights left out.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU.
    channels, inputs : int
        Channels of its images, and number of its inputs.
    voxels : int
        Of the volume, padded as the network pads it.

    Returns
    -------
    float
        Bytes, images and maps in 32 bits.
    """
    return _FIXED + voxels * bytes_per_voxel(network, channels, inputs)


def bytes_per_voxel(network: nn.Module, channels: int, inputs: int) -> float:
    """Measure on a small volume, once a network, how much memory a voxel takes at the peak."""
    known = _per_voxel.get(network)
    if known is not None and known[0] == (channels, inputs):
        return known[1]
    multiple = getattr(network, "multiple", 1)
    size = (4, 2 * multiple, 2 * multiple)
    found = _WORK * _peak(network, channels, inputs, size) / (size[0] * size[1] * size[2])
    _per_voxel[network] = ((channels, inputs), found)
    return found


def _peak(network: nn.Module, channels: int, inputs: int, size: tuple[int, int, int]) -> float:
    """Run a network on zeros and follow the tensors that live at one time, images included; bytes."""
    import torch
    from torch.overrides import TorchFunctionMode

    live: dict[int, list[int]] = {}
    top = 0

    def drop(key: int) -> None:
        live[key][1] -= 1
        if not live[key][1]:
            del live[key]

    class Followed(TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), options=None):
            nonlocal top
            result = function(*arguments, **(options or {}))
            for tensor in result if isinstance(result, list | tuple) else (result,):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    entry = live.setdefault(storage.data_ptr(), [storage.nbytes(), 0])
                    entry[1] += 1
                    weakref.finalize(tensor, drop, storage.data_ptr())
            top = max(top, sum(size for size, _ in live.values()))
            return result

    with torch.inference_mode():
        images, present = torch.zeros(1, channels, *size), torch.ones(1, inputs)
        with Followed():
            network(images, present)
    return top + images.numel() * 4


def free_memory(device: torch.device) -> float | None:
    """Give the bytes that a device has free; None where that cannot be known."""
    import torch

    try:
        if device.type == "cuda":
            unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return float(torch.cuda.mem_get_info(device)[0] + unused)
        if device.type == "mps":
            return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
        return free_main_memory()
    except (RuntimeError, AssertionError, AttributeError, OSError, ValueError):
        return None


def free_main_memory(root: Path = Path("/")) -> float | None:
    """Give the bytes of main memory that are free, within the limits of a container; None if unknown.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie (Linux).
    """
    if os.name == "nt":
        return _free_on_windows()
    found = [free for free in (_available(root), _left_in_group(root)) if free is not None]
    if found:
        return min(found)
    try:  # macOS tells the size alone; half of it is what other programs leave as a rule
        return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _available(root: Path) -> float | None:
    try:
        lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration, IndexError):
        return None


def _left_in_group(root: Path) -> float | None:
    """Give what a control group (containers, cluster jobs) leaves, in its second version or its first."""
    groups = root / "sys" / "fs" / "cgroup"
    for limit, usage, folder in (
        ("memory.max", "memory.current", groups),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", groups / "memory"),
    ):
        try:
            most = (folder / limit).read_text(encoding="ascii").strip()
            used = int((folder / usage).read_text(encoding="ascii"))
            if most != "max" and int(most) < 2**60:
                return max(0.0, float(int(most) - used))
        except (OSError, ValueError):
            continue
    return None


def _free_on_windows() -> float | None:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "pages", "free_pages")),
            *((name, ctypes.c_ulonglong) for name in ("virtual", "free_virtual", "extended")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll", None)
    if kernel is None or not kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return float(status.free)
