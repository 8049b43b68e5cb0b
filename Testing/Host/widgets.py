"""Stand-ins for the ctk and qMRML widgets that our panel uses."""

# ruff: noqa: N802, N815 - names of Slicer and Qt

from __future__ import annotations

import fnmatch
import re
from typing import Any

import vtk
from PySide6.QtCore import (
    Property,
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QRect,
    Qt,
    Signal,
)
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QStyle,
    QStyleOptionButton,
    QTableView,
    QWidget,
)

from Host.facts import stands_for


@stands_for("qMRMLWidget")
class qMRMLWidget(QWidget):  # noqa: N801
    """The root of a module's panel: knows the scene."""

    mrmlSceneChanged = Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)


@stands_for("ctkCollapsibleButton")
class ctkCollapsibleButton(QAbstractButton):  # noqa: N801
    """A titled section that folds away."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folded = self._forcing = False
        self._bar = self.fontMetrics().height() + 8
        self.setContentsMargins(0, self._bar, 0, 0)

    def _get(self) -> bool:
        return self._folded

    def _set(self, folded: bool) -> None:
        if folded != self._folded:
            self._folded = folded
            for child in self.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
                self._force(child)
            self.setMaximumHeight(self._bar if folded else 16777215)
            self.contentsCollapsed.emit(folded)

    def _force(self, child: QWidget) -> None:
        """Show a child unless this is folded or the child was hidden on purpose."""
        wanted = child.property("visibilityToParent")
        if wanted is None:
            wanted = not (child.testAttribute(Qt.WA_WState_ExplicitShowHide) and child.isHidden())
            child.setProperty("visibilityToParent", wanted)
            child.installEventFilter(self)
        self._forcing = True
        child.setVisible(bool(wanted) and not self._folded)
        if wanted:  # else hiding it on purpose while this is folded would tell nobody
            child.setAttribute(Qt.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def eventFilter(self, child: QObject, event: QEvent) -> bool:
        """Remember what is hidden on purpose; hide what is shown while this is folded."""
        if not self._forcing and event.type() in (QEvent.ShowToParent, QEvent.HideToParent):
            child.setProperty("visibilityToParent", event.type() == QEvent.ShowToParent)
            if self._folded and event.type() == QEvent.ShowToParent:
                self._force(child)
        return False

    collapsed = Property(bool, _get, _set)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.position().y() <= self._bar:
            self._set(not self._folded)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QPainter(self), QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), self._bar)
        self.style().drawControl(QStyle.CE_PushButtonBevel, option, painter, self)
        arrow = QStyle.PE_IndicatorArrowRight if self._folded else QStyle.PE_IndicatorArrowDown
        option.rect = QRect(6, self._bar // 2 - 4, 8, 8)
        self.style().drawPrimitive(arrow, option, painter, self)
        painter.drawText(QRect(22, 0, self.width(), self._bar), Qt.AlignVCenter, self.text())


def _flag(name: str, default: bool) -> Any:
    def write(self: Any, value: bool) -> None:
        self._options[name] = value
        self._refresh()

    return Property(bool, lambda self: self._options.get(name, default), write)


@stands_for("qMRMLNodeComboBox")
class qMRMLNodeComboBox(QWidget):  # noqa: N801
    """A list of the scene's nodes of some classes, "None" first."""

    currentNodeChanged = Signal(object)
    noneEnabled, showChildNodeTypes = _flag("noneEnabled", False), _flag("showChildNodeTypes", True)
    showHidden = _flag("showHidden", False)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options: dict[str, bool] = {}
        self._types: list[str] = []
        self._attributes: dict[str, str] = {}
        self._scene: Any = None
        self._nodes: list[Any] = [None]
        self._box = QComboBox(self)
        self._box.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.currentIndexChanged.connect(lambda _index: self.currentNodeChanged.emit(self.currentNode()))
        self._tags: list[int] = []

    def _get_types(self) -> list[str]:
        return self._types

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    nodeTypes = Property("QStringList", _get_types, _set_types)

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:

            @vtk.calldata_type(vtk.VTK_OBJECT)
            def follow(_caller: Any, _event: str, node: Any) -> None:
                if self._is_kind(node) and not scene.IsImporting():
                    self._refresh()

            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
                self._tags.append(scene.AddObserver(event, follow))
            self._tags.append(scene.AddObserver(scene.EndCloseEvent, lambda _caller, _event: self._refresh()))
            self._tags.append(scene.AddObserver(scene.EndImportEvent, lambda _caller, _event: self._renew()))
        self._refresh()

    def addAttribute(self, kind: str, name: str) -> None:
        self._attributes[kind] = name
        self._refresh()

    def currentNode(self) -> Any:
        index = self._box.currentIndex()
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def setCurrentNode(self, node: Any) -> None:
        self._refresh()  # names may have changed
        self._box.setCurrentIndex(self._nodes.index(node) if node in self._nodes else -1)

    def _renew(self) -> None:
        """List all nodes of a scene that was read: the rows go and come again, so nothing is chosen then."""
        self._box.setCurrentIndex(0)
        self._refresh()

    def _is_kind(self, node: Any) -> bool:
        return any(
            node.GetClassName() == kind or (self.showChildNodeTypes and node.IsA(kind))
            for kind in self._types
        )

    def _refresh(self) -> None:
        """List the nodes anew; tell of a change only if the chosen node went away."""
        before, nodes = self.currentNode(), [None]
        for i in range(self._scene.GetNumberOfNodes() if self._scene is not None else 0):
            node = self._scene.GetNthNode(i)
            fits = self._is_kind(node)
            needed = self._attributes.get(node.GetClassName())
            fits = fits and (needed is None or node.GetAttribute(needed) is not None)
            if fits and (self.showHidden or not node.GetHideFromEditors()):
                nodes.append(node)
        self._box.blockSignals(True)
        self._nodes = nodes
        self._box.clear()
        self._box.addItems(["None", *(node.GetName() for node in nodes[1:])])
        self._box.setCurrentIndex(nodes.index(before) if before in nodes else 0)
        self._box.blockSignals(False)
        if before is not None and before not in nodes:
            self.currentNodeChanged.emit(None)


@stands_for("ctkPathLineEdit")
class ctkPathLineEdit(QWidget):  # noqa: N801
    """A field for the path of a file, with a button that chooses one."""

    currentPathChanged, validInputChanged = Signal(str), Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._valid = False
        self._line, browse = QLineEdit(self), QPushButton("…", self)
        browse.setMaximumWidth(28)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        layout.addWidget(browse)
        self._line.textChanged.connect(self._on_text)
        self._filters: list[str] = []

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    def _on_text(self, path: str) -> None:
        """Tell of a path only if it has one of the endings that the filters name."""
        endings = [ending for text in self._filters for ending in re.findall(r"[*][^ )]+", text)]
        before, self._valid = self._valid, any(fnmatch.fnmatch(path, ending) for ending in endings)
        if self._valid:
            self.currentPathChanged.emit(path)
        if self._valid != before:
            self.validInputChanged.emit(self._valid)

    currentPath = Property(str, lambda self: self._line.text(), setCurrentPath)

    def _set_filters(self, filters: list[str]) -> None:
        self._filters = list(filters)

    nameFilters = Property("QStringList", lambda self: self._filters, _set_filters)


class _TableModel(QAbstractTableModel):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self._node, self._table = node, node.GetTable()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return self._table.GetNumberOfRows()

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return self._table.GetNumberOfColumns()

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> str | None:
        if role != Qt.DisplayRole:
            return None
        value = self._table.GetValue(index.row(), index.column())
        return value.ToString() if isinstance(value, vtk.vtkVariant) else str(value)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole) -> str | None:
        if role != Qt.DisplayRole or orientation != Qt.Horizontal:
            return None
        name = self._table.GetColumnName(section)
        return self._node.GetColumnTitle(name) if self._node.GetUseColumnTitleAsColumnHeader() else name


@stands_for("qMRMLTableView")
class qMRMLTableView(QTableView):  # noqa: N801
    """Shows a table node."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: _TableModel | None = None
        self._observed: tuple[Any, int] | None = None

    def setMRMLScene(self, scene: Any) -> None:
        """Take the scene, which the view needs only for nodes of its own."""

    def setMRMLTableNode(self, node: Any) -> None:
        if self._observed is not None:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None
        if node is not None:
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._show(node))
            self._observed = node, tag
        self._show(node)
        self.resizeColumnsToContents()

    def _show(self, node: Any) -> None:
        self._model = None if node is None else _TableModel(node)
        self.setModel(self._model)


STAND_INS = {
    kind.__name__: kind
    for kind in (qMRMLWidget, ctkCollapsibleButton, ctkPathLineEdit, qMRMLNodeComboBox, qMRMLTableView)
}
