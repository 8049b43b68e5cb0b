"""Maps side by side: a layout of linked slice views, and what each of them shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.colours import perfusion_colours
from SynthCBVLib.scene.volumes import view_volume

if TYPE_CHECKING:
    import slicer

#: View -> label and colour of its bar; the names mark our views among Slicer's.
VIEWS: Mapping[str, tuple[str, str]] = {
    "SynthCBVAnatomy": ("Anatomy", "#8c8c8c"),
    "SynthCBVReal": ("Real", "#d8a13a"),
    "SynthCBVSynthetic": ("Synth", "#4a9a5c"),
    "SynthCBVUncertainty": ("SD", "#5b7fb8"),
}
#: Numbers of our layouts among all that modules bring: without and with a real map.
THREE_VIEWS, FOUR_VIEWS = 27301, 27302
_ROWS = {
    THREE_VIEWS: (("SynthCBVAnatomy", "SynthCBVSynthetic", "SynthCBVUncertainty"),),
    FOUR_VIEWS: (("SynthCBVAnatomy", "SynthCBVReal"), ("SynthCBVSynthetic", "SynthCBVUncertainty")),
}


def describe(layout: int) -> str:
    """Give a layout as the XML that layout nodes take."""

    def view(name: str) -> str:
        label, colour = VIEWS[name]
        return (
            f'<item><view class="vtkMRMLSliceNode" singletontag={quoteattr(name)}>'
            '<property name="orientation" action="default">Axial</property>'
            f'<property name="viewlabel" action="default">{label}</property>'
            f'<property name="viewcolor" action="default">{colour}</property></view></item>'
        )

    rows = [
        '<item><layout type="horizontal">' + "".join(map(view, row)) + "</layout></item>"
        for row in _ROWS[layout]
    ]
    return '<layout type="vertical">' + "".join(rows) + "</layout>"


def register_layouts(scene: slicer.vtkMRMLScene | None = None) -> bool:
    """Make our layouts known to the scene's layout node; False where there is none (no window)."""
    node = (scene or current_scene()).GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is None:
        return False
    for layout in _ROWS:
        if node.IsLayoutDescription(layout):
            node.SetLayoutDescription(layout, describe(layout))
        else:
            node.AddLayoutDescription(layout, describe(layout))
    if node.GetViewArrangement() in _ROWS and not node.GetCurrentLayoutDescription():
        node.SetViewArrangement(node.GetViewArrangement())  # a scene that was read asked for it too early
    return True


def choose_layout(layout: int, scene: slicer.vtkMRMLScene | None = None) -> bool:
    """Switch to one of our layouts; False where there is no layout node."""
    scene = scene or current_scene()
    if not register_layouts(scene):
        return False
    scene.GetFirstNodeByClass("vtkMRMLLayoutNode").SetViewArrangement(layout)
    return True


def composites(scene: slicer.vtkMRMLScene | None = None) -> Iterator[slicer.vtkMRMLSliceCompositeNode]:
    """Give what decides what each slice view shows."""
    scene = scene or current_scene()
    for i in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        yield scene.GetNthNodeByClass(i, "vtkMRMLSliceCompositeNode")


def drop_missing(scene: slicer.vtkMRMLScene | None = None) -> None:
    """Have the slice views forget volumes that are not in the scene.

    Views remember ids; the next new volume might get one that a saved scene left behind.
    """
    scene = scene or current_scene()
    for composite in composites(scene):
        for known, choose in (
            (composite.GetBackgroundVolumeID, composite.SetBackgroundVolumeID),
            (composite.GetForegroundVolumeID, composite.SetForegroundVolumeID),
            (composite.GetLabelVolumeID, composite.SetLabelVolumeID),
        ):
            if known() and scene.GetNodeByID(known()) is None:
                choose(None)


def show_in_views(
    volumes: Mapping[str, slicer.vtkMRMLVolumeNode | None], scene: slicer.vtkMRMLScene | None = None
) -> None:
    """Show a volume in each of our views, all of them linked; views that are not there are left out."""
    for composite in composites(scene):
        name = composite.GetLayoutName()
        if name not in VIEWS:
            continue
        node = volumes.get(name)
        composite.SetBackgroundVolumeID(None if node is None else node.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        composite.SetLinkedControl(1)
        composite.SetHotLinkedControl(1)


def equal_windows(
    synthetic: slicer.vtkMRMLScalarVolumeNode,
    real: slicer.vtkMRMLScalarVolumeNode | None,
    mask: slicer.vtkMRMLLabelMapVolumeNode | None = None,
) -> None:
    """Show a real map in the colours of the synthetic one, from 0 to as many times the brain's mean.

    The two are in units of their own, so their windows are equal in multiples of each map's mean.

    Parameters
    ----------
    synthetic, real : vtkMRMLScalarVolumeNode
        Maps; their voxels stay as they are.
    mask : vtkMRMLLabelMapVolumeNode, optional
        Brain on the synthetic map's grid; where the map is positive by default.
    """
    if real is None:
        return
    upper = synthetic.GetDisplayNode().GetWindowLevelMax()
    own = _mean(synthetic, mask)
    theirs = _mean(real, None)
    display = real.GetDisplayNode()
    if display is None:
        real.CreateDefaultDisplayNodes()
        display = real.GetDisplayNode()
    display.SetAndObserveColorNodeID(perfusion_colours().GetID())
    if own > 0 and theirs > 0:
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(0.0, float(upper * theirs / own))


def _mean(node: slicer.vtkMRMLScalarVolumeNode, mask: slicer.vtkMRMLLabelMapVolumeNode | None) -> float:
    """Give the mean inside a mask, or where a map is positive; of large maps, every other voxel an axis."""
    values = view_volume(node).array[::1, ::2, ::2]
    inside = values > 0
    if mask is not None:
        brain = view_volume(mask).array[::1, ::2, ::2] != 0
        inside = brain if brain.shape == values.shape else inside
    chosen = values[inside & np.isfinite(values)]
    return float(chosen.mean()) if chosen.size else 0.0
