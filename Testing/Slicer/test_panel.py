"""The panel as a user clicks it; the same in 3D Slicer and in the host."""

import os
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import DiffusionSeries, same_grid
from SynthCBVLib.panel.selection import Workflow
from SynthCBVLib.scene import (
    add_regions,
    image_to_volume,
    load_scene,
    save_scene,
    series_to_volume,
    volume_to_image,
)

DOUBLE = Path(__file__).resolve().parent / "worker_double.py"


def text(widget):
    """A widget's text: a property in PythonQt, a method in PySide6."""
    value = widget.text
    return value() if callable(value) else value


def image(level=10.0):
    array = np.zeros((4, 16, 18), np.float32)
    array[:, 3:13, 3:15] = level
    array[:, 5:8, 5:8] = 2 * level
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((1.1, 1.3, 5.0))
    made.SetOrigin((-20.123456789, 11.5, 3.25))
    made.SetDirection([0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1])
    return made


def box(x, y):
    array = np.zeros((4, 16, 18), np.uint8)
    array[1:3, y, x] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(image())
    return mask


def wait(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)
    return condition()


class PanelTest(unittest.TestCase):
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
        self.ensure, module.ensure_packages = module.ensure_packages, lambda requirements: None

    def tearDown(self):
        self.logic.cancel()
        self.logic.launch = self.original
        sys.modules["SynthCBV"].ensure_packages = self.ensure
        self.panel.exit()

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
        volumes = [image(100.0), image(80.0), image(30.0)]
        self.parameters.dwi = series_to_volume(DiffusionSeries(sitk.Compose(volumes), (0, 100, 1000)), "DWI")
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
        for process, folder in self.launched:
            self.assertTrue(wait(lambda process=process: process.poll() is not None, 2.0))
            self.assertFalse(folder.exists())

    def maps(self):
        return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")]

    def test_opening_says_what_is_needed(self):
        self.assertIn("DWI, T2w", text(self.ui.studyStatusLabel))
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.assertFalse(self.ui.ratioButton.isEnabled())
        self.assertIn("not for diagnosis", text(self.ui.bannerLabel))

    def test_rows_follow_the_workflow(self):
        self.assertFalse(self.ui.dwiSelector.isHidden())
        self.assertTrue(self.ui.cbfSelector.isHidden())
        self.parameters.workflow = Workflow.ASL
        self.assertTrue(self.ui.dwiSelector.isHidden())
        self.assertFalse(self.ui.cbfSelector.isHidden())
        self.assertFalse(self.ui.aslM0Selector.isHidden())
        self.assertIn("T1w, CBF", text(self.ui.studyStatusLabel))
        self.parameters.cbf = image_to_volume(image(), "CBF")
        self.parameters.t1w = image_to_volume(image(), "T1w")
        self.assertTrue(self.ui.aslM0Selector.isHidden())
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_choosing_in_the_list_reaches_the_parameters(self):
        node = image_to_volume(image(), "T2w")
        self.ui.t2wSelector.setCurrentNode(node)
        self.assertIs(self.parameters.t2w, node)
        slicer.mrmlScene.RemoveNode(node)
        self.assertIsNone(self.parameters.t2w)

    def test_b_values_are_shown_and_asked_for(self):
        self.choose_ivim()
        self.assertTrue(self.ui.applyButton.isEnabled())
        volumes = sitk.Compose([image(100.0), image(50.0)])
        self.parameters.dwi = image_to_volume(volumes, "frames")
        self.assertIn("no b-values", text(self.ui.studyStatusLabel))
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.ui.bValuesEdit.setText("0 x")
        self.assertIn("'0 x'", text(self.ui.studyStatusLabel))
        self.ui.bValuesEdit.setText("0, 1000")
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_apply_leaves_maps_on_the_grid_of_the_reference(self):
        self.run_behaviour("quick")
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.assertTrue(self.ui.cancelButton.isEnabled())
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("Done", text(self.ui.synthesisStatusLabel))
        node = self.parameters.syntheticMap
        self.assertEqual(node.GetName(), "SynthCBV synthetic rCBV")
        result = volume_to_image(node)
        self.assertTrue(same_grid(result, image(), 1e-9))
        np.testing.assert_allclose(sitk.GetArrayFromImage(result), 2 * sitk.GetArrayFromImage(image()))
        self.assertIn("SynthCBV uncertainty", self.maps())
        self.assertFalse(self.ui.findingsText.isHidden())
        self.assert_ready_again()
        self.ui.applyButton.click()
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertEqual(self.parameters.syntheticMap.GetName(), "SynthCBV 2 synthetic rCBV")

    def test_cancel_leaves_nothing(self):
        self.run_behaviour("slow")
        before = self.maps()
        self.assertTrue(wait(lambda: "Computing" in text(self.ui.synthesisStatusLabel)))
        worker = self.logic._background._job._worker
        start = time.monotonic()
        self.ui.cancelButton.click()
        self.assertLess(time.monotonic() - start, 2.0)
        self.assertIn("Cancelled", text(self.ui.synthesisStatusLabel))
        self.assertEqual(self.maps(), before)
        self.assert_ready_again()
        if worker is not None:  # where processes have groups, the child of the worker is gone as well
            self.assertTrue(wait(lambda: not group_lives(worker), 5.0))

    def test_cancel_at_once_leaves_nothing(self):
        self.run_behaviour("slow")
        self.ui.cancelButton.click()
        self.assertTrue(wait(lambda: not self.logic._background._preparation.is_alive(), 2.0))
        self.assert_ready_again()
        self.assertEqual(list(Path(slicer.app.temporaryPath).glob("SynthCBV-*")), [])

    def test_closing_the_scene_ends_the_synthesis(self):
        self.run_behaviour("slow")
        self.assertTrue(wait(lambda: "Computing" in text(self.ui.synthesisStatusLabel)))
        slicer.mrmlScene.Clear(0)
        self.assertFalse(self.logic.running)
        self.assertEqual(self.maps(), [])

    def test_failures_are_told_and_the_panel_is_ready_again(self):
        for behaviour, words in (
            ("input", "no overlap with the DWI"),
            ("fault", "unexpected shape"),
            ("garbage", "without a result"),
        ):
            with self.subTest(behaviour):
                self.run_behaviour(behaviour)
                self.assertTrue(wait(lambda: not self.logic.running))
                self.assertIn(words, text(self.ui.synthesisStatusLabel))
                self.assertNotIn("SynthCBV synthetic rCBV", self.maps())
                self.assert_ready_again()

    def test_ending_the_worker_from_outside_is_told(self):
        self.run_behaviour("slow")
        self.assertTrue(wait(lambda: "Computing" in text(self.ui.synthesisStatusLabel)))
        worker = self.logic._background._job._worker
        if worker is None:
            self.skipTest("no process groups on this system")
        os.kill(worker, 9)
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("without a result", text(self.ui.synthesisStatusLabel))
        self.assert_ready_again()

    def test_ratio_of_drawn_regions(self):
        node = image_to_volume(image(), "map")
        masks = {
            "Tumour 1": box(slice(5, 8), slice(5, 8)),
            "White matter 1": box(slice(10, 14), slice(9, 12)),
        }
        self.parameters.regions = add_regions(masks, node, "Regions")
        self.parameters.syntheticMap = node
        self.assertTrue(self.ui.ratioButton.isEnabled())
        self.ui.ratioButton.click()
        table = self.parameters.ratioTable.GetTable()
        self.assertAlmostEqual(table.GetColumnByName("T/WM").GetValue(0), 2.0)
        self.assertFalse(self.ui.ratioTable.isHidden())

    def test_unusable_regions_are_told(self):
        node = image_to_volume(image(), "map")
        self.parameters.regions = add_regions({"Tumour 1": box(slice(5, 8), slice(5, 8))}, node, "Regions")
        self.parameters.syntheticMap = node
        self.ui.ratioButton.click()
        self.assertIn("White matter", text(self.ui.regionsStatusLabel))
        self.assertIsNone(self.parameters.ratioTable)

    def test_choices_are_saved_with_the_scene(self):
        self.choose_ivim()
        self.parameters.outputName = "Case 7"
        self.ui.bValuesEdit.setText("0 100 900")
        with tempfile.TemporaryDirectory() as folder:
            path = save_scene(Path(folder) / "scene.mrb")
            slicer.mrmlScene.Clear(0)
            self.assertIsNone(self.logic.getParameterNode().t2w)
            load_scene(path)
        self.panel.enter()
        parameters = self.logic.getParameterNode()
        self.assertEqual(parameters.t2w.GetName(), "T2w")
        self.assertEqual(parameters.outputName, "Case 7")
        self.assertEqual(text(self.ui.bValuesEdit), "0 100 900")

    def test_logic_computes_ratios_later_without_waiting(self):
        node = image_to_volume(image(), "map")
        masks = {
            "Tumour 1": box(slice(5, 8), slice(5, 8)),
            "White matter 1": box(slice(10, 14), slice(9, 12)),
        }
        regions, answers = add_regions(masks, node, "Regions"), []
        self.logic.computeRatios(
            regions, {"map": node}, waitForCompletion=False, finished=lambda *answer: answers.append(answer)
        )
        self.assertEqual(answers, [])
        self.assertTrue(wait(lambda: bool(answers)))
        self.assertEqual(answers[0][0].GetTable().GetNumberOfRows(), 1)


class ModuleTest(unittest.TestCase):
    def test_module_checks_itself(self):
        module = sys.modules["SynthCBV"]
        test = module.SynthCBVTest()
        test.setUp()
        test.checkRatioOfKnownMap()

    def test_synthesis_without_waiting_needs_a_listener(self):
        slicer.mrmlScene.Clear(0)
        node = image_to_volume(image(), "T2w")
        with self.assertRaisesRegex(InputError, "no listener"):
            sys.modules["SynthCBV"].SynthCBVLogic().synthesize({"T2w": node}, waitForCompletion=False)
        with self.assertRaisesRegex(InputError, "no node"):
            sys.modules["SynthCBV"].SynthCBVLogic().synthesize({"T2w": None})


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
