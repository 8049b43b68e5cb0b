"""What the tests of the panel share: the open panel, a double of the worker, waiting in the event loop."""

import os
import shutil
import sys
import time
import unittest
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

from SynthCBVLib.imaging.study import DiffusionSeries
from SynthCBVLib.scene import image_to_volume, series_to_volume

DOUBLE = Path(__file__).resolve().parent / "worker_double.py"


def text(widget):
    """A widget's text: a property in PythonQt, a method in PySide6."""
    value = widget.text
    return value() if callable(value) else value


def tip(widget):
    """A widget's tooltip, likewise."""
    value = widget.toolTip
    return value() if callable(value) else value


def plain(browser):
    """What a text browser shows."""
    return browser.toPlainText()


def image(level=10.0):
    array = np.zeros((4, 16, 18), np.float32)
    array[:, 3:13, 3:15] = level
    array[:, 5:8, 5:8] = 2 * level
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((1.1, 1.3, 5.0))
    made.SetOrigin((-20.123456789, 11.5, 3.25))
    made.SetDirection([0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1])
    return made


def wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)
    return condition()


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class PanelCase(unittest.TestCase):
    """A test with the panel open, an empty scene and a double of the worker."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.panel = slicer.util.getModuleWidget("SynthCBV")
        self.panel.enter()
        self.ui, self.logic = self.panel.ui, self.panel.logic
        self.parameters = self.logic.getParameterNode()
        self.launched = []
        self.original, self.logic.launch = self.logic.launch, self.launch
        self.behaviour = "quick"
        module = sys.modules["SynthCBV"]
        self.ensure, module.ensure_packages = module.ensure_packages, self.install

    def tearDown(self):
        self.panel.onCancel()
        self.logic.cancel()
        self.logic.launch = self.original
        sys.modules["SynthCBV"].ensure_packages = self.ensure
        self.panel.exit()

    def install(self, requirements, torch=True):
        """Stand for the installation of packages, all of which are there."""

    def launch(self, arguments):
        """Start the double instead of the worker, with the interpreter that Slicer would take."""
        job = arguments[-1]
        python = shutil.which("PythonSlicer") or sys.executable
        process = slicer.util.launchConsoleProcess(
            [python, str(DOUBLE), self.behaviour, job], useStartupEnvironment=False
        )
        self.launched.append((process, Path(job).parent))
        return process

    def choose_ivim(self):
        volumes = [image(level) for level in (100.0, 90.0, 80.0, 30.0)]
        series = DiffusionSeries(sitk.Compose(volumes), (0, 50, 100, 1000))
        self.parameters.dwi = series_to_volume(series, "DWI")
        self.parameters.t2w = image_to_volume(image(), "T2w")

    def run_behaviour(self, behaviour):
        self.behaviour = behaviour
        self.choose_ivim()
        self.ui.applyButton.click()

    def assert_ready_again(self):
        self.assertFalse(self.logic.running)
        self.assertTrue(self.ui.applyButton.isEnabled())
        self.assertFalse(self.ui.cancelButton.isEnabled())
        self.assertTrue(self.ui.progressBar.isHidden())
        job = self.logic.runner.job
        self.assertTrue(wait(job.tidy, 2.0))
        for process, folder in self.launched:
            self.assertIsNotNone(process.poll())
            self.assertFalse(folder.exists())
        self.assertEqual(list(Path(slicer.app.temporaryPath).glob("SynthCBV-*")), [])

    def maps(self):
        return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")]
