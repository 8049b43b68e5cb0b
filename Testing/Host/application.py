"""The application: loads our module as Slicer does and gives it ``slicer.app`` and ``slicer.modules``."""

# ruff: noqa: N802 - names of Slicer and Qt

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Host.facts import REPOSITORY, HostGap
from Host.views import LayoutManager, Views


class _Gaps:
    """An object whose missing attributes are gaps of the host."""

    def __getattr__(self, name: str) -> Any:
        raise HostGap(f"{type(self).__name__.strip('_')}.{name}")


class _ModuleManager(_Gaps):
    def __init__(self, host: Host) -> None:
        self._host = host

    def module(self, name: str) -> Any:
        return self._host.modules.get(name)


class _App(_Gaps):
    def __init__(self, host: Host, application: Any) -> None:
        self._manager, self._application = _ModuleManager(host), application
        self._layout_manager = LayoutManager(host.views)
        self.temporaryPath, self.applicationName = host.temporary.name, "Host"

    def moduleManager(self) -> _ModuleManager:
        return self._manager

    def processEvents(self) -> None:
        self._application.processEvents()

    def testingEnabled(self) -> bool:
        return True

    def layoutManager(self) -> LayoutManager:
        return self._layout_manager

    def connect(self, signal: str, slot: Callable[..., Any]) -> bool:
        if signal != "startupCompleted()":  # which never comes: the host is up when a module is loaded
            raise HostGap(f"App.connect {signal}")
        return True

    def topLevelWidgets(self) -> list[Any]:
        return self._application.topLevelWidgets()


class qSlicerScriptedLoadableModuleWidget(_Gaps):  # noqa: N801
    """What holds a module's panel in Slicer's window."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget

    def self(self) -> Any:
        return self._widget


class _Module(_Gaps):
    """A loaded module, as ``slicer.modules`` and the module manager give it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = str(path), path.stem
        self._representation: Any = None

    def widgetRepresentation(self, entered: bool = False) -> qSlicerScriptedLoadableModuleWidget:
        if self._representation is None:
            kind = getattr(sys.modules[self.name], f"{self.name}Widget")
            self._representation = qSlicerScriptedLoadableModuleWidget(kind(_panel(entered)))
            self._representation.self().setup()
        return self._representation


class _ColorsModule(_Gaps):
    """``slicer.modules.colors``, with Slicer's own logic."""

    def logic(self) -> Any:
        import slicer

        return slicer.vtkSlicerColorLogic()


class _PlotsModule(_Gaps):
    """``slicer.modules.plots``, with Slicer's own logic."""

    def __init__(self) -> None:
        import slicer

        self._logic = slicer.vtkSlicerPlotsLogic()
        self._logic.SetMRMLApplicationLogic(slicer.mrmlScene.synthcbv_keeps[0])
        self._logic.SetMRMLScene(slicer.mrmlScene)

    def logic(self) -> Any:
        return self._logic


def _panel(entered: bool) -> Any:
    """Make the widget that a panel is laid out in; not entered where a test calls enter() by itself."""
    from PySide6.QtWidgets import QVBoxLayout

    from Host.widgets import qMRMLWidget

    panel = qMRMLWidget()
    panel.setLayout(QVBoxLayout())
    panel.isEntered = entered
    return panel


class ScriptedLoadableModule:
    """Base of the module class."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """Base of the panel."""

    reload: Callable[[str], None]

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent, self.layout = parent, parent.layout()

    def setup(self) -> None:
        """Make the developer's section, which the host does without."""

    def onReload(self) -> None:
        """Close the panel, load the module from its file again and open a new panel."""
        type(self).reload(self.moduleName)

    def resourcePath(self, name: str) -> str:
        import slicer

        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    """Base of the logic."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the module's test class."""

    def runTest(self) -> None:
        """Overridden by the module."""


class Host:
    """The application, from construction to `stop`.

    Everything it puts into ``sys.modules`` and into ``slicer`` is taken out again at the end.
    """

    def __init__(self) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            # An orderly end, so that temporary folders go.
            signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        try:
            from PySide6.QtWidgets import QApplication
        except ImportError as error:
            raise RuntimeError(
                "Qt cannot be loaded for the tests of the panel. On Debian and Ubuntu, install its libraries "
                "with: apt-get install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 "
                f"({error})"
            ) from error
        import slicer
        import slicer.util

        from SynthCBVLib.scene import new_scene

        self.temporary = tempfile.TemporaryDirectory(prefix="host-")
        self.application = QApplication.instance() or QApplication([])
        self.modules: dict[str, _Module] = {}
        self._undo: list[Callable[[], None]] = []
        self.views = Views(new_scene())
        self._put_modules(slicer)
        ScriptedLoadableModuleWidget.reload = staticmethod(self.reload)
        self._set(slicer, "app", _App(self, self.application))
        self._set(slicer, "modules", types.SimpleNamespace(plots=_PlotsModule(), colors=_ColorsModule()))
        self._set(slicer, "qSlicerScriptedLoadableModuleWidget", qSlicerScriptedLoadableModuleWidget)

    def load_module(self, path: Path) -> _Module:
        """Load a scripted module from its file, unchanged."""
        import slicer

        name = path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        python = importlib.util.module_from_spec(spec)
        self._put(name, python)
        spec.loader.exec_module(python)
        module = _Module(path)
        getattr(python, name)(types.SimpleNamespace(path=str(path)))
        self.modules[name] = module
        setattr(slicer.modules, name.lower(), module)
        return module

    def reload(self, name: str) -> None:
        """Load a module anew, as Slicer does in developer mode."""
        before = self.modules[name]
        panel = before.widgetRepresentation().self()
        panel.cleanup()
        self.load_module(Path(before.path)).widgetRepresentation(panel.parent.isEntered)

    def stop(self) -> None:
        """Close all panels and take everything out again."""
        for module in self.modules.values():
            if module._representation is not None:
                module.widgetRepresentation().self().cleanup()
        self.views.stop()
        for undo in reversed(self._undo):
            undo()
        for name in [name for name in sys.modules if name.startswith("SynthCBVLib.panel")]:
            del sys.modules[name]  # they hold the stand-ins
        self.temporary.cleanup()

    def _put_modules(self, slicer: Any) -> None:
        from Host import parameter_node, qt_modules

        self._put("qt", qt_modules.QtModule("qt"))
        self._put("ctk", qt_modules.CtkModule("ctk"))
        base = types.ModuleType("slicer.ScriptedLoadableModule")
        for kind in (
            ScriptedLoadableModule,
            ScriptedLoadableModuleWidget,
            ScriptedLoadableModuleLogic,
            ScriptedLoadableModuleTest,
        ):
            setattr(base, kind.__name__, kind)
        language = types.ModuleType("slicer.i18n")
        language.tr = lambda text: text
        language.translate = lambda context, text: text
        packaging = types.ModuleType("slicer.packaging")
        packaging.load_requirements = lambda path: Path(path).read_text(encoding="utf-8").splitlines()
        packaging.pip_ensure = lambda requirements, requester=None: None  # as in Slicer's testing mode
        wrapper = types.ModuleType("slicer.parameterNodeWrapper")
        wrapper.parameterNodeWrapper = parameter_node.parameterNodeWrapper
        wrapper.Choice, wrapper.WithinRange = parameter_node.Choice, parameter_node.WithinRange
        for module in (base, language, packaging, wrapper):
            self._put(module.__name__, module)
            self._set(slicer, module.__name__.split(".")[1], module)
        for name, stand_in in qt_modules.STAND_INS.items():
            if name.startswith("qMRML"):
                self._set(slicer, name, stand_in)
        self._set(slicer.util, "loadUI", qt_modules.load_ui)
        self._set(slicer.util, "childWidgetVariables", qt_modules.child_variables)

    def _put(self, name: str, module: Any) -> None:
        before = sys.modules.get(name)
        sys.modules[name] = module
        self._undo.append(
            lambda: sys.modules.pop(name, None) if before is None else sys.modules.update({name: before})
        )

    def _set(self, target: Any, name: str, value: Any) -> None:
        missing = object()
        before = getattr(target, name, missing)
        setattr(target, name, value)
        self._undo.append(
            lambda: delattr(target, name) if before is missing else setattr(target, name, before)
        )


def start() -> Host:
    """Start the host with our module loaded."""
    host = Host()
    host.load_module(REPOSITORY / "SynthCBV" / "SynthCBV.py")
    return host
