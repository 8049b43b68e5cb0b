"""The colours that maps of perfusion are shown in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.scene.application import current_scene

if TYPE_CHECKING:
    import slicer

COLOURS_NAME = "SynthCBV perfusion"
#: Black, blue, cyan, green, yellow, red: the perfusion scale that radiologists know, as (position, R, G, B).
PERFUSION_SCALE = (
    (0.00, 0.00, 0.00, 0.00),
    (0.12, 0.05, 0.03, 0.45),
    (0.30, 0.00, 0.35, 0.95),
    (0.45, 0.00, 0.80, 0.80),
    (0.58, 0.15, 0.80, 0.15),
    (0.74, 0.98, 0.90, 0.10),
    (0.88, 0.98, 0.45, 0.05),
    (1.00, 0.85, 0.05, 0.05),
)


def perfusion_colours(scene: slicer.vtkMRMLScene | None = None) -> slicer.vtkMRMLColorTableNode:
    """Give the perfusion colour table of a scene, made if it is not there yet."""
    scene = scene or current_scene()
    found = scene.GetFirstNode(COLOURS_NAME, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOURS_NAME)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    positions = [stop[0] for stop in PERFUSION_SCALE]
    for i in range(256):
        red, green, blue = (
            float(np.interp(i / 255, positions, [stop[k] for stop in PERFUSION_SCALE])) for k in (1, 2, 3)
        )
        node.SetColor(i, f"{i / 255:.3f}", red, green, blue, 1.0)
    return node
