"""The module and its panel use only what Slicer's Python has, and what PythonQt and PySide share.

Held against facts about the real classes, where these are at hand (a folder beside the repository); the rest
is checked everywhere.
"""

from __future__ import annotations

import ast
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
UI_FILE = REPOSITORY / "SynthCBV" / "Resources" / "UI" / "SynthCBV.ui"
MODULE = REPOSITORY / "SynthCBV" / "SynthCBV.py"
SOURCES = [MODULE, *sorted((REPOSITORY / "SynthCBVLib" / "panel").glob("*.py"))]
ALLOWED_AT_FILE_SCOPE = {"slicer", "qt", "ctk", "vtk", "SimpleITK", "numpy", "scipy", "SynthCBVLib"}

#: Methods of all Qt objects in PythonQt that the facts do not list; Slicer's own modules call them.
OF_ALL = {"property", "setProperty"}

UI = ElementTree.parse(UI_FILE).getroot()
WIDGETS = {widget.get("name"): widget.get("class") for widget in UI.iter("widget")}


@pytest.fixture(scope="module")
def facts():
    sys.path.insert(0, str(REPOSITORY / "Testing"))
    try:
        from Host import facts as module
    finally:
        sys.path.pop(0)
    if module.load("widget_api.json") is None or module.load("qt_api.json") is None:
        pytest.skip(f"no facts in {module.FACTS}")
    return module


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.expr) -> list[str]:
    """Give ``a.b.c`` as its names; empty for other expressions."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


def uses() -> Iterator[tuple[str, list[str], bool]]:
    """Give each dotted name with its place and whether it is called."""
    for path, tree in trees():
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner and dotted(node):
                yield f"{path.name}:{node.lineno}", dotted(node), id(node) in called


def ui_uses() -> Iterator[tuple[str, str, list[str], bool]]:
    """Give each use of ``self.ui.NAME...``: place, name, what follows, called."""
    for place, names, called in uses():
        if names[:2] == ["self", "ui"] and len(names) > 2:
            yield place, names[2], names[3:], called


def test_names_in_the_code_are_in_the_ui_file():
    missing = {f"{place} {name}" for place, name, _rest, _called in ui_uses() if name not in WIDGETS}
    assert not missing
    assert len({name for _place, name, _rest, _called in ui_uses()}) > 25  # the search works


def test_ui_file_uses_known_classes_and_properties(facts):
    for widget in UI.iter("widget"):
        names = facts.names_of(widget.get("class"))
        assert names, f"unknown class {widget.get('class')}"
        for item in widget.findall("property"):
            if item.get("stdset") != "0":
                assert item.get("name") in names, f"{widget.get('class')} has no {item.get('name')}"


def test_custom_widgets_are_declared():
    custom = {name for name in WIDGETS.values() if name.startswith(("ctk", "qMRML", "qSlicer"))}
    assert custom == {item.findtext("class") for item in UI.iter("customwidget")}


def test_every_scene_widget_gets_the_scene():
    kinds = ("qMRMLNodeComboBox", "qMRMLTableView", "qMRMLSegmentEditorWidget")
    needs = {name for name, kind in WIDGETS.items() if kind in kinds}
    connected = {item.findtext("receiver") for item in UI.iter("connection")}
    assert connected == needs
    for item in UI.iter("connection"):
        assert item.findtext("sender") == UI.findtext("class")
        assert item.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"


def test_object_names_are_unique():
    names = [widget.get("name") for widget in UI.iter("widget")]
    assert len(names) == len(set(names))


def test_parameters_of_the_ui_file_are_those_of_the_parameter_node():
    bound = {
        item.findtext("string") for item in UI.iter("property") if item.get("name") == "SlicerParameterName"
    }
    tree = ast.parse(MODULE.read_text(encoding="utf-8"))
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "SynthCBVParameterNode")
    declared = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
    assert bound <= declared
    # Shown and not chosen; chosen through a field that Slicer has no binding for.
    assert declared - bound == {"ratioTable", "weightsFile"}


def test_rows_of_the_study_have_all_their_parts():
    """The code reaches them by the names of their parameters."""
    from SynthCBVLib.imaging.study import Modality

    rows = [modality.lower() for modality in Modality if modality is not Modality.RCBV]
    for name in (*rows, "aslControl", "aslLabel", "aslM0"):
        assert {name + part for part in ("Label", "Row", "Selector", "Status")} <= WIDGETS.keys()


def test_widgets_have_what_the_code_asks_of_them(facts):
    widgets, qt = facts.load("widget_api.json")["classes"], facts.load("qt_api.json")["classes"]
    for place, name, rest, called in ui_uses():
        if not rest or name not in WIDGETS:
            continue
        kind = WIDGETS[name]
        if rest[0] in OF_ALL:
            continue
        assert rest[0] in facts.names_of(kind), f"{place}: {kind} has no {rest[0]} in Python"
        if called and len(rest) == 1:
            chain, properties = [kind], set()
            while chain:
                entry = widgets.get(chain[0]) or qt[chain[0]]
                properties |= set(entry["properties"])
                chain = [*chain[1:], *entry["bases"]]
            assert rest[0] not in properties, f"{place}: {rest[0]} is a property in PythonQt and not callable"


def test_qt_names_exist(facts):
    known = facts.load("qt_api.json")["class_names"]
    timers = facts.names_of("QTimer")
    for place, names, _called in uses():
        if names[0] == "qt" and len(names) > 1:
            assert names[1] in known, f"{place}: qt.{names[1]}"
            if len(names) > 2 and (of_class := facts.names_of(names[1])):  # of some, only the name is known
                assert names[2] in of_class, f"{place}: {'.'.join(names)}"
        if names[:2] == ["self", "_timer"] and len(names) > 2:
            assert names[2] in timers, f"{place}: QTimer has no {names[2]}"


def test_no_keyword_arguments_to_qt_and_no_attributes_set_on_widgets():
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and dotted(node.func)[:2] in (["self", "ui"], ["self", "_timer"]):
                assert not node.keywords, f"{path.name}:{node.lineno}: PythonQt takes no keyword arguments"
            if isinstance(node, ast.Call) and dotted(node.func)[:1] in (["qt"], ["ctk"]):
                assert not node.keywords, f"{path.name}:{node.lineno}: PythonQt takes no keyword arguments"
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    assert not (dotted(target)[:2] == ["self", "ui"] and len(dotted(target)) > 3), (
                        f"{path.name}:{node.lineno}: use a setter"
                    )


def test_translated_texts_are_plain():
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                plain = len(node.args) == 1 and isinstance(node.args[0], ast.Constant)
                assert plain, f"{path.name}:{node.lineno}: _() takes one text; format what it gives"


def test_file_scope_imports_are_those_that_slicer_brings():
    for path, tree in trees():
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names or top in ALLOWED_AT_FILE_SCOPE, f"{path.name}: {name}"


def test_qt_stays_where_it_belongs():
    """Jobs, processes and the choice of nodes are usable without Qt and without Slicer's application."""
    with_qt = {path.name for path, tree in trees() if any(
        isinstance(node, ast.Import) and any(alias.name in ("qt", "ctk") for alias in node.names)
        for node in ast.walk(tree)
    )}  # fmt: skip
    assert with_qt == {"ticker.py", "dialogs.py"}
