"""The Segment Editor inside the panel, with an editor node of our own."""

from __future__ import annotations

from typing import Any

import slicer

#: Tag of our editor node: the Segment Editor module has another, so that the two do not disturb each other.
TAG = "SynthCBV"
#: Tools for regions of a ratio, in this order; the others stay away.
TOOLS = ("Paint", "Draw", "Erase", "Level tracing", "Scissors", "Threshold", "Islands", "Smoothing")


class RegionEditor:
    """Drives the embedded Segment Editor.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._node: slicer.vtkMRMLSegmentEditorNode | None = None
        self.ui.segmentEditorWidget.setEffectNameOrder(list(TOOLS))

    @property
    def chosen(self) -> str | None:
        """Id of the segment that is chosen in the list."""
        return None if self._node is None else self._node.GetSelectedSegmentID()

    def enter(self) -> None:
        """Take keyboard shortcuts and mouse."""
        self._take_node()
        self.ui.segmentEditorWidget.setupViewObservations()
        self.ui.segmentEditorWidget.installKeyboardShortcuts()
        self.ui.segmentEditorWidget.updateWidgetFromMRML()

    def exit(self) -> None:
        """Give them back."""
        self.ui.segmentEditorWidget.setActiveEffect(None)
        self.ui.segmentEditorWidget.uninstallKeyboardShortcuts()
        self.ui.segmentEditorWidget.removeViewObservations()

    def detach(self) -> None:
        """Follow the editor node no more: after a reload, another panel does."""
        self.ui.segmentEditorWidget.setMRMLSegmentEditorNode(None)
        self._node = None

    def release(self) -> None:
        """Let go of a scene that goes away."""
        self.ui.segmentEditorWidget.setSegmentationNode(None)
        self._node = None

    def show(
        self, segmentation: slicer.vtkMRMLSegmentationNode | None, source: slicer.vtkMRMLVolumeNode | None
    ) -> None:
        """Edit a segmentation, with a volume for the tools that look at values."""
        self._take_node()
        if self._node.GetSegmentationNode() is not segmentation:
            self.ui.segmentEditorWidget.setSegmentationNode(segmentation)
        if segmentation is not None and self._node.GetSourceVolumeNode() is not source:
            self.ui.segmentEditorWidget.setSourceVolumeNode(source)
        self.ui.segmentEditorWidget.setVisible(segmentation is not None)

    def choose(self, segment_id: str) -> None:
        """Choose a segment in the list."""
        self.ui.segmentEditorWidget.setCurrentSegmentID(segment_id)

    def paint(self, segment_id: str) -> None:
        """Choose a segment and the brush."""
        self.choose(segment_id)
        self.ui.segmentEditorWidget.setActiveEffectByName("Paint")

    def rest(self) -> None:
        """Put the tools aside: the mouse has something else to do."""
        self.ui.segmentEditorWidget.setActiveEffect(None)

    def _take_node(self) -> None:
        node = slicer.mrmlScene.GetSingletonNode(TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(TAG)
            node = slicer.mrmlScene.AddNode(node)
        if node is not self._node:
            self._node = node
            self.ui.segmentEditorWidget.setMRMLSegmentEditorNode(node)
