"""Slice views without pictures: the real nodes and logics of layouts and slices, and nothing drawn."""

# ruff: noqa: N802 - names of Slicer and Qt

from __future__ import annotations

from typing import Any

from Host.facts import HostGap


class Views:
    """Keeps a slice logic for each slice node, as Slicer's views do.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene for the whole run.
    """

    def __init__(self, scene: Any) -> None:
        import slicer

        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self.scene, self.logics = scene, {}
        self.layouts = slicer.vtkMRMLLayoutLogic()
        self.layouts.SetMRMLScene(scene)
        # After the layout logic, which makes the slice nodes of a new layout.
        self._layout = self.layouts.GetLayoutNode()
        self._tag = self._layout.AddObserver("ModifiedEvent", self._follow)
        self._layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def stop(self) -> None:
        """Let go of the scene."""
        self._layout.RemoveObserver(self._tag)
        for logic in self.logics.values():
            logic.SetMRMLScene(None)
        self.layouts.SetMRMLScene(None)

    def _follow(self, caller: Any = None, event: str = "") -> None:
        import slicer

        for i in range(self.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            node = self.scene.GetNthNodeByClass(i, "vtkMRMLSliceNode")
            if node.GetID() not in self.logics and node.GetLayoutName():
                logic = self.logics[node.GetID()] = slicer.vtkMRMLSliceLogic()
                logic.SetMRMLScene(self.scene)
                logic.SetSliceNode(node)


class LayoutManager:
    """What ``slicer.app.layoutManager()`` gives."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def __getattr__(self, name: str) -> Any:
        raise HostGap(f"LayoutManager.{name}")

    def mrmlSliceLogics(self) -> Any:
        from vtkmodules.vtkCommonCore import vtkCollection

        logics = vtkCollection()
        for logic in self._views.logics.values():
            logics.AddItem(logic)
        return logics

    def resetSliceViews(self) -> None:
        for logic in self._views.logics.values():
            if logic.GetSliceCompositeNode() is not None:
                logic.FitSliceToBackground(300, 300)
