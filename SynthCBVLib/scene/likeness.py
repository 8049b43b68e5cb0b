"""How alike a synthetic and a real map are, kept with the synthetic one and saved with the scene."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import slicer

#: Attribute of the synthetic map (JSON), and role of the real map that it was compared with.
LIKENESS_ATTRIBUTE, COMPARED_ROLE = "SynthCBV.Likeness", "SynthCBVCompared"


class Likeness(NamedTuple):
    """SSIM, and PSNR in dB."""

    ssim: float
    psnr: float


def keep_likeness(
    synthetic: slicer.vtkMRMLVolumeNode, real: slicer.vtkMRMLVolumeNode, likeness: Likeness | None
) -> None:
    """Keep what a comparison found with the synthetic map; None forgets an older one."""
    synthetic.SetNodeReferenceID(COMPARED_ROLE, None if likeness is None else real.GetID())
    synthetic.SetAttribute(LIKENESS_ATTRIBUTE, None if likeness is None else json.dumps(likeness._asdict()))


def likeness_of(
    synthetic: slicer.vtkMRMLVolumeNode | None, real: slicer.vtkMRMLVolumeNode | None
) -> Likeness | None:
    """Give what a comparison of these two maps found; None if they were not compared."""
    if synthetic is None or real is None or synthetic.GetNodeReference(COMPARED_ROLE) is not real:
        return None
    try:
        return Likeness(**json.loads(synthetic.GetAttribute(LIKENESS_ATTRIBUTE) or "null"))
    except (TypeError, ValueError):  # something else has written the attribute
        return None
