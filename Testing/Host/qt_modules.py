"""The modules ``qt`` and ``ctk``: names of PySide6 and of the stand-ins, and the loader of .ui files."""

# ruff: noqa: N802 - names of Slicer and Qt

from __future__ import annotations

import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QBuffer, QByteArray
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from Host.facts import HostGap, load
from Host.segment_editor import STAND_INS as EDITORS
from Host.widgets import STAND_INS as WIDGETS

STAND_INS = {**WIDGETS, **EDITORS}


class QtModule(types.ModuleType):
    """Qt's classes under one name, as PythonQt has them."""

    def __getattr__(self, name: str) -> Any:
        facts = load("qt_api.json")
        if name != "Qt" and facts is not None and name not in facts["class_names"]:
            raise HostGap(f"qt.{name}")
        for module in (QtCore, QtGui, QtWidgets):
            if hasattr(module, name):
                return getattr(module, name)
        raise HostGap(f"qt.{name}")


class CtkModule(types.ModuleType):
    """The stand-ins of ctk."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("ctk") and name in STAND_INS:
            return STAND_INS[name]
        raise HostGap(f"ctk.{name}")


class _Loader(QUiLoader):
    def createWidget(self, class_name: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        if class_name in STAND_INS:
            widget = STAND_INS[class_name](parent)
            widget.setObjectName(name)
            return widget
        if class_name.startswith(("ctk", "qMRML", "qSlicer")):
            raise HostGap(class_name)
        return super().createWidget(class_name, parent, name)


def load_ui(path: str) -> QWidget:
    """Load a .ui file with the stand-ins for Slicer's widgets.

    A VTK object does not pass through a signal of PySide6, so the connections of the scene are taken out of
    the file and applied by hand.
    """
    tree = ElementTree.fromstring(Path(path).read_text(encoding="utf-8"))
    receivers = []
    connections = tree.find("connections")
    for connection in list(connections if connections is not None else ()):
        signal, slot = connection.findtext("signal"), connection.findtext("slot")
        if signal == "mrmlSceneChanged(vtkMRMLScene*)" and slot == "setMRMLScene(vtkMRMLScene*)":
            receivers.append(connection.findtext("receiver"))
            connections.remove(connection)
    # QUiLoader makes custom widgets through createWidget only if the file does not declare them.
    for custom in tree.findall("customwidgets"):
        tree.remove(custom)
    loader, buffer = _Loader(), QBuffer()
    buffer.setData(QByteArray(ElementTree.tostring(tree)))
    buffer.open(QBuffer.ReadOnly)
    widget = loader.load(buffer)
    if widget is None:
        raise RuntimeError(f"Could not load UI file: {path}")
    for name in receivers:
        child = widget.findChild(QWidget, name)
        assert child is not None, f"{path} connects {name}, which it does not have"
        widget.mrmlSceneChanged.connect(child.setMRMLScene)
    return widget


def child_variables(widget: QWidget) -> object:
    """Give the named children of a widget as attributes."""
    names = types.SimpleNamespace()
    for child in widget.findChildren(QWidget):
        if child.objectName() and not child.objectName().startswith("qt_"):
            setattr(names, child.objectName(), child)
    return names
