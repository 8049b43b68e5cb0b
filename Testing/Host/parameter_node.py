"""``slicer.parameterNodeWrapper``: typed values kept in a vtkMRMLScriptedModuleNode and bound to widgets."""

# ruff: noqa: N802 - names of Slicer and Qt

from __future__ import annotations

import enum
import typing
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import vtk
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from Host.facts import HostGap
from Host.widgets import qMRMLNodeComboBox


@dataclass(frozen=True)
class WithinRange:
    """Bounds of a number."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class Choice:
    """The values that a parameter may have."""

    choices: list[Any]


class _Kind:
    """How one parameter is written in the node."""

    def __init__(self, annotation: Any, default: Any) -> None:
        self.notes = getattr(annotation, "__metadata__", ())
        plain = typing.get_args(annotation)[0] if self.notes else annotation
        members = typing.get_args(plain)
        if members and type(None) not in members and all(t.__name__.startswith("vtkMRML") for t in members):
            raise HostGap(f"{annotation}: Slicer's wrapper needs None among the alternatives of a node")
        self.types = [t for t in (typing.get_args(plain) or (plain,)) if t is not type(None)]
        self.is_node = all(isinstance(t, type) and t.__name__.startswith("vtkMRML") for t in self.types)
        self.type = self.types[0]
        plain = self.type in (str, float, int, bool)
        if not self.is_node and not (plain or issubclass(self.type, enum.Enum)):
            raise HostGap(f"parameter of type {annotation}")
        self.default = default

    def read(self, node: Any, name: str) -> Any:
        if self.is_node:
            return node.GetNodeReference(name)
        if not node.HasParameter(name) if hasattr(node, "HasParameter") else node.GetParameter(name) == "":
            return self.default
        text = node.GetParameter(name)
        if self.type is bool:
            return text == "True"
        return self.type[text] if issubclass(self.type, enum.Enum) else self.type(text)

    def write(self, node: Any, name: str, value: Any) -> None:
        if self.is_node:
            if value is not None and not any(value.IsA(t.__name__) for t in self.types):
                raise TypeError(f"{name}: {value.GetClassName()}")
            node.SetNodeReferenceID(name, None if value is None else value.GetID())
            return
        if not isinstance(value, self.type):
            raise TypeError(f"{name}: {type(value).__name__}")
        for note in self.notes:
            if isinstance(note, WithinRange) and not note.minimum <= value <= note.maximum:
                raise ValueError(f"{name}: {value}")
            if isinstance(note, Choice) and value not in note.choices:
                raise ValueError(f"{name}: {value}")
        node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))


@dataclass
class _Binding:
    read: Callable[[], Any]
    write: Callable[[Any], None]
    signal: Any
    slot: Callable[..., None] | None = None


def _bind(widget: QWidget, kind: _Kind) -> _Binding:
    """Connect a widget to a parameter as Slicer's GUI connectors do."""
    if isinstance(widget, qMRMLNodeComboBox) and kind.is_node:
        widget.setProperty("nodeTypes", [t.__name__ for t in kind.types])
        return _Binding(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)
    if isinstance(widget, QLineEdit) and kind.type is str:
        return _Binding(
            widget.text, lambda text: text == widget.text() or widget.setText(text), widget.textChanged
        )
    if isinstance(widget, {float: QDoubleSpinBox, int: QSpinBox}.get(kind.type, ())):
        bounds = next(note for note in kind.notes if isinstance(note, WithinRange))
        widget.setRange(bounds.minimum, bounds.maximum)
        return _Binding(widget.value, widget.setValue, widget.valueChanged)
    if isinstance(widget, QCheckBox) and kind.type is bool:
        return _Binding(widget.isChecked, widget.setChecked, widget.toggled)
    if isinstance(widget, QComboBox):
        if not kind.is_node and issubclass(kind.type, enum.Enum):
            values = list(kind.type)
            labels = [value.label() if hasattr(value, "label") else value.name for value in values]
        else:
            values = next(note.choices for note in kind.notes if isinstance(note, Choice))
            labels = [str(value) for value in values]
        widget.clear()
        widget.addItems(labels)
        return _Binding(
            lambda: values[widget.currentIndex()],
            lambda value: widget.setCurrentIndex(values.index(value)),
            widget.currentIndexChanged,
        )
    raise HostGap(f"{type(widget).__name__} for a parameter of {kind.types}")


def parameterNodeWrapper(wrapped: type) -> type:
    """Make a class of annotated names a view of a parameter node."""
    kinds = {
        name: _Kind(annotation, getattr(wrapped, name, None))
        for name, annotation in typing.get_type_hints(wrapped, include_extras=True).items()
    }

    def initialise(self: Any, node: Any) -> None:
        self.parameterNode, self._bindings, self._updating = node, {}, False
        for name, kind in kinds.items():
            if not kind.is_node and node.GetParameter(name) == "" and kind.default not in (None, ""):
                kind.write(node, name, kind.default)
        # As in Slicer, values are those of the last event of the node, and not those of this moment.
        self._values = {name: kind.read(node, name) for name, kind in kinds.items()}
        seen = weakref.ref(self)
        tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: remember(seen()))
        weakref.finalize(self, node.RemoveObserver, tag)

    def remember(self: Any) -> None:
        if self is not None:
            for name, kind in kinds.items():
                self._values[name] = kind.read(self.parameterNode, name)

    def change(self: Any, name: str, value: Any) -> None:
        modified = self.parameterNode.StartModify()
        try:
            kinds[name].write(self.parameterNode, name, value)
            self._values[name] = kinds[name].read(self.parameterNode, name)
        finally:
            self.parameterNode.EndModify(modified)

    def connect(self: Any, ui: Any) -> int:
        bindings = {}
        for widget in vars(ui).values():
            name = widget.property("SlicerParameterName")
            if name:
                bindings[name] = _bind(widget, kinds[name])
        for name, binding in bindings.items():
            binding.write(self._values[name])

            def changed(*_values: Any, name: str = name, binding: _Binding = binding) -> None:
                if not self._updating:
                    change(self, name, binding.read())

            binding.slot = changed
            binding.signal.connect(changed)
        tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _c, _e: show(self))
        self._bindings[tag] = bindings
        return tag

    def show(self: Any) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for bindings in self._bindings.values():
                for name, binding in bindings.items():
                    binding.write(self._values[name])
        finally:
            self._updating = False

    def disconnect(self: Any, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)
        for binding in self._bindings.pop(tag).values():
            binding.signal.disconnect(binding.slot)

    for name in kinds:
        setattr(
            wrapped,
            name,
            property(
                lambda self, name=name: self._values[name],
                lambda self, value, name=name: change(self, name, value),
            ),
        )
    wrapped.__init__, wrapped.connectGui, wrapped.disconnectGui = initialise, connect, disconnect
    return wrapped
