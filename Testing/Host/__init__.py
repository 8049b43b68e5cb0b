# ruff: noqa: N999 - the folder's name
"""A stand-in for the application layer of 3D Slicer, for machines without it.

The MRML library is the real one (``slicer-core``); Qt is PySide6; this package adds the part between them
that our module uses. Whatever it does not stand for raises `HostGap`, so that a test cannot pass on something
that only looks like Slicer.
"""

from Host.application import Host, start
from Host.facts import HostGap

__all__ = ["Host", "HostGap", "start"]
