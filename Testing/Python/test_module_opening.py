"""Opening the panel loads only what Slicer brings: everything else waits for the first Apply."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
OPEN = """
import sys
sys.path[:0] = [{root!r}, {testing!r}]
import Host
host = Host.start()
import slicer
panel = slicer.util.getModuleWidget("SynthCBV")
panel.enter()
print("loaded:", " ".join(sorted({{name.split(".")[0] for name in sys.modules}})))
host.stop()
left = [name for name in ("qt", "ctk", "SynthCBV", "slicer.packaging") if name in sys.modules]
left += [name for name in ("app", "modules", "qMRMLWidget") if hasattr(slicer, name)]
print("left:", " ".join(left))
"""


@pytest.fixture(scope="module")
def output():
    pytest.importorskip("slicer")
    code = OPEN.format(root=str(REPOSITORY), testing=str(REPOSITORY / "Testing"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)


def test_nothing_heavy_or_missing_in_slicer_is_loaded(output):
    loaded = set(output["loaded"].split())
    assert "SynthCBVLib" in loaded
    assert not loaded & {"torch", "safetensors", "skimage", "matplotlib", "pandas", "nibabel"}


def test_host_takes_everything_out_again(output):
    assert output["left"].split() == []


def test_host_stands_for_nothing_else(output):
    code = (
        f"import sys; sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / 'Testing')!r}]\n"
        "import Host; host = Host.start()\n"
        "import qt, ctk, slicer\n"
        "for gap in ('qt.QNotThere', 'ctk.ctkSliderWidget', 'slicer.app.ioManager'):\n"
        "    try: eval(gap)\n"
        "    except Host.HostGap as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qt.QNotThere", "ctk.ctkSliderWidget", "App.ioManager"]


RELOAD = """
import sys
sys.path[:0] = [{root!r}, {testing!r}]
import Host
host = Host.start()
import slicer
panel = slicer.util.getModuleWidget("SynthCBV")
panel.parent.isEntered = True
panel.enter()
panel.logic.getParameterNode().outputName = "kept"
old = sys.modules["SynthCBVLib.panel.study"]
panel.onReload()
new = slicer.util.getModuleWidget("SynthCBV")
assert new is not panel
# Slicer keeps the old panel and does not call enter() of the new one: only the new one may edit.
assert panel.ui.segmentEditorWidget.mrmlSegmentEditorNode() is None
assert new.ui.segmentEditorWidget.mrmlSegmentEditorNode() is not None
assert new.ui.segmentEditorWidget._views and new.ui.segmentEditorWidget._shortcuts
assert sys.modules["SynthCBVLib.panel.study"] is not old
assert type(new.studySection).__module__ == "SynthCBVLib.panel.study"
assert isinstance(new.studySection, sys.modules["SynthCBVLib.panel.study"].StudySection)
assert new.logic.getParameterNode().outputName == "kept"
slicer.mrmlScene.Clear(0)
assert new.logic.getParameterNode().outputName == "SynthCBV"
# The open panel goes on with the empty scene, tools and keys included.
assert new.ui.segmentEditorWidget._views and new.ui.segmentEditorWidget._shortcuts
from SynthCBVLib.scene.layout import FOUR_VIEWS
layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
layout.SetViewArrangement(FOUR_VIEWS)  # as a scene that is read before any synthesis
assert "SynthCBVReal" in layout.GetCurrentLayoutDescription()
host.stop()
print("reloaded")
"""


def test_the_panel_and_its_library_can_be_reloaded(output):
    code = RELOAD.format(root=str(REPOSITORY), testing=str(REPOSITORY / "Testing"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reloaded" in done.stdout
    assert "Traceback" not in done.stderr


SELF_TEST = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {testing!r}]
import Host
host = Host.start()
test = sys.modules["SynthCBV"].SynthCBVTest()
test.setUp()
test.checkRatioOfKnownMap()
folder = Path({folder!r})
sys.path.insert(0, str(folder))
case = "import unittest, shared_by_tests\\nclass One(unittest.TestCase):\\n"
case += "    def test_it(self):\\n        self.assertEqual(shared_by_tests.value, 2)\\n"
(folder / "test_one.py").write_text(case)
(folder / "shared_by_tests.py").write_text("value = 1")
try:
    test.runFolder(folder)
except AssertionError as error:
    assert "1 != 2" in str(error)
else:
    raise SystemExit("a failure was not told")
(folder / "shared_by_tests.py").write_text("value = 2  # after an edit")
test.runFolder(folder)
host.stop()
print("tested")
"""


def test_the_modules_own_test_tells_failures_and_sees_edits(output, tmp_path):
    """Reload and Test, again and again in one Slicer."""
    code = SELF_TEST.format(root=str(REPOSITORY), testing=str(REPOSITORY / "Testing"), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tested" in done.stdout
