"""Stand-in for the Segment Editor's widget: its list of segments and its tools, which do not draw."""

# ruff: noqa: N802, N815 - names of Slicer and Qt

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, Qt
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QGridLayout, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from Host.facts import stands_for
from Host.widgets import qMRMLWidget


def _switch(name: str) -> Any:
    def write(self: Any, value: bool) -> None:
        self._switches[name] = value

    return Property(bool, lambda self: self._switches.get(name, True), write)


@stands_for("qMRMLSegmentEditorWidget")
class qMRMLSegmentEditorWidget(qMRMLWidget):  # noqa: N801
    """Shows the segments of the editor node's segmentation; keeps what the panel asks of it."""

    autoShowSourceVolumeNode = _switch("autoShowSourceVolumeNode")
    maskingSectionVisible = _switch("maskingSectionVisible")
    segmentationNodeSelectorVisible = _switch("segmentationNodeSelectorVisible")
    show3DButtonVisible = _switch("show3DButtonVisible")
    sourceVolumeNodeSelectorVisible = _switch("sourceVolumeNodeSelectorVisible")
    specifyGeometryButtonVisible = _switch("specifyGeometryButtonVisible")
    switchToSegmentationsButtonVisible = _switch("switchToSegmentationsButtonVisible")
    unorderedEffectsVisible = _switch("unorderedEffectsVisible")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._switches: dict[str, bool] = {}
        self._node: Any = None
        self._chosen: Any = None
        self._observed: tuple[Any, int] | None = None
        self._effect = ""
        self._shortcuts = self._views = False
        layout, self._tools = QVBoxLayout(self), QGridLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        buttons = QGridLayout()
        for column, text in enumerate(("Add", "Remove")):
            buttons.addWidget(QPushButton(f"{'+' if column == 0 else '−'} {text}", self), 0, column)
        layout.addLayout(buttons)
        self._list = QListWidget(self)
        self._list.setFixedHeight(7 * (self.fontMetrics().height() + 4))
        self._list.currentItemChanged.connect(self._on_row)
        layout.addWidget(self._list)
        layout.addLayout(self._tools)

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        scene.AddObserver(scene.EndImportEvent, lambda _caller, _event: self._list_anew())
        scene.AddObserver(scene.EndBatchProcessEvent, lambda _caller, _event: self._follow_selector())

    def _list_anew(self) -> None:
        """Choose nothing in the widget's own selector, which lists the nodes of a scene that was read."""
        self._chosen = None

    def _follow_selector(self) -> None:
        """Take what the widget's own selector has chosen."""
        if self._node is not None and self._node.GetSegmentationNode() is not self._chosen:
            self.setSegmentationNode(self._chosen)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._node = node
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        if self._node is not None:
            self._node.SetAndObserveSegmentationNode(node)
            self._node.SetSelectedSegmentID(node.GetSegmentation().GetNthSegmentID(0) if node else None)
        self._observe(node)
        self.updateWidgetFromMRML()

    def setSourceVolumeNode(self, node: Any) -> None:
        if self._node is not None:
            self._node.SetAndObserveSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._node.SetSelectedSegmentID(segment_id)
        self.updateWidgetFromMRML()

    def setEffectNameOrder(self, names: list[str]) -> None:
        for i, name in enumerate(names):
            button = QPushButton(name, self)
            button.setFlat(True)
            self._tools.addWidget(button, i // 4, i % 4)

    def setActiveEffectByName(self, name: str) -> None:
        self._effect = name

    def setActiveEffect(self, effect: Any) -> None:
        assert effect is None, "only None is stood for"
        self._effect = ""

    def setupViewObservations(self) -> None:
        self._views = True

    def removeViewObservations(self) -> None:
        self._views = False

    def installKeyboardShortcuts(self) -> None:
        self._shortcuts = True

    def uninstallKeyboardShortcuts(self) -> None:
        self._shortcuts = False

    def updateWidgetFromMRML(self) -> None:
        """Show the list anew."""
        if slicer.mrmlScene.IsBatchProcessing():
            return
        node = self._chosen = None if self._node is None else self._node.GetSegmentationNode()
        self._list.blockSignals(True)
        self._list.clear()
        segmentation = None if node is None else node.GetSegmentation()
        for i in range(0 if segmentation is None else segmentation.GetNumberOfSegments()):
            segment, patch = segmentation.GetNthSegment(i), QPixmap(14, 14)
            patch.fill(QColor.fromRgbF(*segment.GetColor()))
            item = QListWidgetItem(patch, segment.GetName())
            item.setData(Qt.UserRole, segmentation.GetNthSegmentID(i))
            self._list.addItem(item)
            if segmentation.GetNthSegmentID(i) == self._node.GetSelectedSegmentID():
                self._list.setCurrentItem(item)
        self._list.blockSignals(False)

    def _on_row(self, item: QListWidgetItem | None, before: QListWidgetItem | None = None) -> None:
        if item is not None:
            self._node.SetSelectedSegmentID(item.data(Qt.UserRole))

    def _observe(self, node: Any) -> None:
        if self._observed is not None:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None
        if node is not None:
            tag = node.AddObserver(vtk.vtkCommand.AnyEvent, lambda _c, _e: self.updateWidgetFromMRML())
            self._observed = (node, tag)


STAND_INS = {"qMRMLSegmentEditorWidget": qMRMLSegmentEditorWidget}
