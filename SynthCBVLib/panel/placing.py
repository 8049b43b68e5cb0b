"""Points that the user clicks in the slice views."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from SynthCBVLib.panel.ticker import Ticker

#: Radius of the marker under the cursor, in % of the view.
_MARKER = 1.5


class PointPicker:
    """Puts the mouse into place mode and tells where is clicked, until it is stopped or by a right click.

    Parameters
    ----------
    picked : callable
        Is told each point (RAS, mm).
    ended : callable
        Is told that the user ended it.
    """

    def __init__(
        self, picked: Callable[[tuple[float, float, float]], None], ended: Callable[[], None]
    ) -> None:
        self._picked, self._tell_end = picked, ended
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._tags: list[tuple[object, int]] = []
        self._ticker: Ticker | None = None
        self._persistence = 0

    @property
    def running(self) -> bool:
        """Whether clicks are waited for."""
        return self._node is not None

    def start(self) -> None:
        """Wait for clicks."""
        self.stop()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Stamp")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetPointLabelsVisibility(False)
        display.SetGlyphScale(_MARKER)
        selection, interaction = _singleton("Selection"), _singleton("Interaction")
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
        selection.SetActivePlaceNodeID(node.GetID())
        self._persistence = interaction.GetPlaceModePersistence()
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._node = node
        self._observe(node, slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._on_point)
        self._observe(interaction, interaction.InteractionModeChangedEvent, self._on_mode)

    def stop(self) -> None:
        """Wait no more; the mouse does what it did before."""
        node, self._node = self._node, None
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags.clear()
        if self._ticker is not None:
            self._ticker.stop()
        if node is None:
            return
        interaction = _singleton("Interaction")
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        interaction.SetPlaceModePersistence(self._persistence)
        if slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)

    def _observe(self, node: object, event: int, call: Callable[[object, object], None]) -> None:
        self._tags.append((node, node.AddObserver(event, call)))

    def _on_point(self, caller: object, event: object) -> None:
        # The point's own event must be through before the point goes.
        self._ticker = Ticker(self._take, 0)

    def _on_mode(self, caller: object, event: object) -> None:
        interaction = _singleton("Interaction")
        if self._node is not None and interaction.GetCurrentInteractionMode() != interaction.Place:
            self._ticker = Ticker(self._end, 0)

    def _take(self) -> bool:
        """Tell of the points that are placed; the one under the cursor is not yet."""
        node, points = self._node, []
        if node is None:
            return False
        for i in reversed(range(node.GetNumberOfControlPoints())):
            if node.GetNthControlPointPositionStatus(i) == node.PositionDefined:
                position = [0.0, 0.0, 0.0]
                node.GetNthControlPointPositionWorld(i, position)
                points.insert(0, tuple(position))
                node.RemoveNthControlPoint(i)
        for point in points:
            self._picked(point)
        return False

    def _end(self) -> bool:
        if self._node is not None:
            self.stop()
            self._tell_end()
        return False


def _singleton(kind: str) -> object:
    return slicer.mrmlScene.GetNodeByID(f"vtkMRML{kind}NodeSingleton")
