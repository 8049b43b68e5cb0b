"""How much memory is free, in words for the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from SynthCBVLib.synthesis.memory import free_main_memory

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
    found = free_main_memory()
    if found is None:
        return ""
    free = found / 1e9
    text = _("{free:.1f} GB of memory are free; a usual study takes about {need:.0f} GB.")
    if free < USUAL_NEED:
        text = _("Only {free:.1f} GB of memory are free; a usual study takes {need:.0f}. Close programs.")
    text = text.format(free=free, need=USUAL_NEED)
    if device in ("cuda", "mps"):
        text += " " + _("If the graphics card is missing or full, you are told.")
    return text
