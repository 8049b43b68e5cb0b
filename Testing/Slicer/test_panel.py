"""The panel as a user clicks it; the same in 3D Slicer and in the host."""

import sys
import tempfile
import types
import unittest
import weakref
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_case import PanelCase, image, plain, text, tip, wait

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import same_grid
from SynthCBVLib.panel.selection import Method, ModelChoice, Reference, Workflow, selection_from
from SynthCBVLib.scene import image_to_volume, load_scene, save_scene, volume_to_image
from SynthCBVLib.scene.layout import FOUR_VIEWS, THREE_VIEWS, VIEWS, composites
from SynthCBVLib.scene.results import input_of


class StudyTest(PanelCase):
    def test_opening_says_what_is_needed(self):
        self.assertIn("DWI, T2w", text(self.ui.studyStatusLabel))
        self.assertEqual(text(self.ui.dwiStatus), "needed")
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.assertIn("not for diagnosis", text(self.ui.bannerLabel))
        self.assertIn("digital patients", text(self.ui.bannerLabel))

    def test_rows_follow_the_workflow(self):
        self.assertFalse(self.ui.dwiRow.isHidden())
        self.assertTrue(self.ui.cbfRow.isHidden())
        self.parameters.workflow = Workflow.ASL
        self.assertTrue(self.ui.dwiRow.isHidden())
        self.assertFalse(self.ui.cbfRow.isHidden())
        self.assertFalse(self.ui.aslM0Row.isHidden())
        self.assertEqual(text(self.ui.flairStatus), "optional")
        self.assertIn("T1w, CBF", text(self.ui.studyStatusLabel))
        self.parameters.cbf = image_to_volume(image(), "CBF")
        self.parameters.t1w = image_to_volume(image(), "T1w")
        self.assertTrue(self.ui.aslM0Row.isHidden())
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_choosing_in_the_list_reaches_the_parameters(self):
        node = image_to_volume(image(), "T2w")
        self.ui.t2wSelector.setCurrentNode(node)
        self.assertIs(self.parameters.t2w, node)
        self.assertEqual(text(self.ui.t2wStatus), "✓")
        slicer.mrmlScene.RemoveNode(node)
        self.assertIsNone(self.logic.getParameterNode().t2w)
        self.assertEqual(text(self.ui.t2wStatus), "needed")

    def test_what_others_change_is_seen_at_once(self):
        self.panel.exit()
        slicer.mrmlScene.RemoveNode(self.parameters.parameterNode)
        self.panel.enter()  # makes a node that nobody else observes
        self.logic.getParameterNode().workflow = Workflow.ASL
        self.assertTrue(self.ui.dwiRow.isHidden())
        self.assertFalse(self.ui.cbfRow.isHidden())

    def test_only_volumes_of_several_images_are_offered_as_dwi(self):
        plain = image_to_volume(image(), "plain")
        several = image_to_volume(sitk.Compose([image()] * 2), "several")
        for _ in range(2):
            self.ui.dwiSelector.setCurrentNode(plain)
            self.assertIsNone(self.parameters.dwi)
            self.ui.dwiSelector.setCurrentNode(several)
            self.assertIs(self.parameters.dwi, several)
            self.panel.exit()
            self.panel.enter()
        self.assertIn("vtkMRMLMultiVolumeNode", self.ui.dwiSelector.property("nodeTypes"))

    def test_volumes_that_cannot_serve_are_told_at_once(self):
        self.choose_ivim()
        flat = sitk.Image((20, 20, 5), sitk.sitkInt16) + 7
        holes = sitk.GetImageFromArray(np.full((4, 16, 18), np.nan, np.float32))
        tiny = image()[:5, :5, :2]
        for bad, words in (
            (image_to_volume(flat, "flat"), "flat: the value 7 everywhere"),
            (image_to_volume(holes, "holes"), "holes: voxels that are not numbers"),
            (image_to_volume(tiny, "tiny"), "tiny: only 5 × 5 × 2 voxels"),
            (image_to_volume(sitk.Compose([image()] * 2), "two"), "two: 2 volumes; needed: one volume"),
            (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "no data"), "without image data"),
        ):
            with self.subTest(words):
                self.parameters.t2w = bad
                self.assertEqual(text(self.ui.t2wStatus), "problem")
                self.assertIn(words, text(self.ui.studyStatusLabel))
                self.assertFalse(self.ui.applyButton.isEnabled())

    def test_one_volume_in_two_rows_is_told(self):
        self.parameters.workflow = Workflow.ASL
        self.parameters.t1w = self.parameters.cbf = image_to_volume(image(), "same")
        self.assertIn("same is chosen as T1w and CBF", text(self.ui.studyStatusLabel))
        self.assertFalse(self.ui.applyButton.isEnabled())

    def test_b_values_are_shown_and_asked_for(self):
        self.choose_ivim()
        self.assertTrue(self.ui.applyButton.isEnabled())
        self.assertIn("From the DWI: 4 b-values", text(self.ui.bValuesSourceLabel))
        self.ui.bValuesButton.click()
        self.assertEqual(text(self.ui.bValuesEdit), "0 50 100 1000")
        self.assertIn("As typed", text(self.ui.bValuesSourceLabel))
        self.ui.bValuesEdit.setText("")
        volumes = sitk.Compose([image(level) for level in (100.0, 90.0, 60.0, 50.0)])
        self.parameters.dwi = image_to_volume(volumes, "frames")
        self.assertIn("no b-values", text(self.ui.studyStatusLabel))
        self.assertFalse(self.ui.bValuesButton.isEnabled())
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.ui.bValuesEdit.setText("0 x")
        self.assertIn("'0 x'", text(self.ui.studyStatusLabel))
        self.ui.bValuesEdit.setText("0, 50; 400 1000")
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_b_values_that_cannot_serve_the_model_are_told_at_once(self):
        self.choose_ivim()
        self.assertEqual(text(self.ui.dwiStatus), "✓ note")  # the fit gives those that are missing
        self.assertIn("predicted by the IVIM fit", tip(self.ui.dwiStatus))
        for typed, words in (
            ("20 50 100 1000", "Add the b = 0 images"),
            ("0 0 1000 1000", "The fit needs at least 4"),
            ("0 50 100 400", "too far beyond"),
        ):
            with self.subTest(typed):
                self.ui.bValuesEdit.setText(typed)
                self.assertEqual(text(self.ui.dwiStatus), "problem")
                self.assertIn(words, text(self.ui.studyStatusLabel))
                self.assertFalse(self.ui.applyButton.isEnabled())
        self.ui.bValuesEdit.setText("")
        self.assertEqual(text(self.ui.dwiStatus), "✓ note")
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_what_may_be_wrong_is_noted_at_once(self):
        self.choose_ivim()
        self.assertEqual(text(self.ui.t2wStatus), "✓")
        below = image_to_volume(image() - 15.0, "below zero")
        self.parameters.t2w = below
        self.assertEqual(text(self.ui.t2wStatus), "✓ note")
        self.assertIn("negative values", tip(self.ui.t2wStatus))
        elsewhere = image()
        elsewhere.SetOrigin((400.0, 0.0, 0.0))
        self.parameters.t2w = image_to_volume(elsewhere, "elsewhere")
        self.assertEqual(text(self.ui.t2wStatus), "✓")  # the reference itself
        self.assertIn("holds only 0 % of the middle of elsewhere", tip(self.ui.dwiStatus))
        self.assertTrue(self.ui.applyButton.isEnabled())
        self.parameters.workflow = Workflow.ASL
        self.parameters.t1w, self.parameters.cbf = image_to_volume(image(), "T1w"), below
        self.assertEqual(text(self.ui.cbfStatus), "✓")  # a map may be below 0

    def test_a_digital_patient_is_chosen_in_all_rows(self):
        self.ui.patientButton.click()
        self.assertEqual(text(self.ui.patientButton), "Stop loading")
        self.assertFalse(self.ui.applyButton.isEnabled())
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertEqual(self.parameters.dwi.GetName(), "Digital 1 DWI")
        self.assertEqual(self.parameters.realMap.GetName(), "Digital 1 real rCBV")
        self.assertEqual(self.parameters.regions.GetSegmentation().GetNthSegment(0).GetName(), "Lesion")
        self.assertIn("4 b-values", text(self.ui.bValuesSourceLabel))
        self.assertTrue(self.ui.patientProgressBar.isHidden())
        # Slicer does not search all voxels for the window of the display.
        display = self.parameters.realMap.GetDisplayNode()
        self.assertFalse(display.GetAutoWindowLevel())
        self.assertEqual((display.GetWindowLevelMin(), display.GetWindowLevelMax()), (0.0, 5.0))
        first = self.parameters.t2w.GetID()
        self.assertTrue(wait(lambda: all(v.GetBackgroundVolumeID() == first for v in composites()), 10.0))
        self.assert_ready_again()

    def test_a_digital_patient_ends_what_is_shown_of_another_head(self):
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertTrue(wait(lambda: not self.panel.layoutSwitch._ticker.running, 10.0))
        self.ui.pairSelector.setCurrentIndex(1)
        self.assertTrue(wait(lambda: "DWI as registered" in self.maps(), 10.0))
        self.ui.patientButton.click()
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIsNone(self.parameters.syntheticMap)
        self.assertNotIn("DWI as registered", self.maps())
        self.assertFalse(self.ui.pairSelector.isEnabled())

    def test_labelling_reaches_the_request(self):
        self.parameters.workflow = Workflow.ASL
        self.parameters.t1w = image_to_volume(image(), "T1w")
        for name in ("aslControl", "aslLabel", "aslM0"):
            self.assertEqual(text(getattr(self.ui, name + "Status")), "or these")
            setattr(self.parameters, name, image_to_volume(image(), name))
        self.assertTrue(self.ui.applyButton.isEnabled())
        self.assertEqual(selection_from(self.parameters).asl.labelling, "pcasl")
        self.ui.labellingSelector.setCurrentIndex(1)
        self.parameters.postLabelDelay = 1.8
        asl = selection_from(self.parameters).asl
        self.assertEqual((asl.labelling, asl.post_label_delay, asl.label_duration), ("pasl", 1.8, None))

    def test_loading_a_digital_patient_can_be_stopped(self):
        self.ui.patientButton.click()
        self.ui.patientButton.click()
        self.assertFalse(self.logic.running)
        self.assertEqual(text(self.ui.patientButton), "Load digital patient")
        self.assertEqual(self.maps(), [])


class SynthesisTest(PanelCase):
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
        self.assertIs(input_of(node, "T2w"), self.parameters.t2w)
        self.assertIn("Warning T2w: The T2w volume has thick slices.", plain(self.ui.findingsText))
        self.assertIn("Nothing to do.", plain(self.ui.findingsText))
        self.assertEqual(text(self.ui.t2wStatus), "✓ note")
        self.assert_ready_again()
        self.ui.applyButton.click()
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertEqual(self.parameters.syntheticMap.GetName(), "SynthCBV 2 synthetic rCBV")

    def test_choices_reach_the_worker(self):
        self.choose_ivim()
        self.parameters.registration, self.parameters.reference = Method.AFFINE, Reference.DWI
        self.assertFalse(self.ui.distortionCheckBox.isHidden())
        self.ui.distortionCheckBox.click()
        self.assertTrue(self.parameters.distortion)
        seen = []
        self.logic.launch = lambda arguments: (
            seen.append(Path(arguments[-1]).read_text()) or self.launch(arguments)
        )
        self.ui.applyButton.click()
        self.assertTrue(wait(lambda: bool(seen)))
        self.assertIn('"alignment": {"method": "affine", "reference": "DWI", "distortion": true}', seen[0])
        self.parameters.workflow = Workflow.ASL
        self.assertTrue(self.ui.distortionCheckBox.isHidden())

    def test_a_model_from_a_file_shows_its_card_or_what_is_wrong(self):
        self.choose_ivim()
        self.assertIn("IVIM 0.", text(self.ui.cardLabel))
        self.assertTrue(self.ui.weightsPath.isHidden())
        self.parameters.model = ModelChoice.FILE
        self.assertFalse(self.ui.weightsPath.isHidden())
        self.assertIn("no weights file", text(self.ui.cardLabel))
        self.assertFalse(self.ui.applyButton.isEnabled())
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / "other.safetensors"
            other.write_bytes(b"not weights at all")
            self.ui.weightsPath.setCurrentPath(str(other))
            self.assertIn("no model card in it", text(self.ui.cardLabel))
            bundled = Path(sys.modules["SynthCBVLib"].__file__).parent / "weights" / "asl.safetensors"
            self.ui.weightsPath.setCurrentPath(str(bundled))
            self.assertEqual(self.parameters.weightsFile, str(bundled))
            self.assertIn("ASL 0.", text(self.ui.cardLabel))
            self.assertTrue(self.ui.applyButton.isEnabled())
            for gone in ("gone.safetensors", "gone.txt"):  # the field does not take the second for a path
                self.ui.weightsPath.setCurrentPath(str(Path(folder) / gone))
                self.assertIn("no file that can be read", text(self.ui.cardLabel))
                self.assertFalse(self.ui.applyButton.isEnabled())
                self.parameters.weightsFile = str(bundled)
                self.assertEqual(self.ui.weightsPath.property("currentPath"), str(bundled))
                self.assertTrue(self.ui.applyButton.isEnabled())

    def test_maps_are_shown_side_by_side(self):
        if not list(composites()):
            self.skipTest("no slice views without a window")
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: not self.logic.running))
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        self.assertTrue(wait(lambda: layout.GetViewArrangement() == THREE_VIEWS))
        self.parameters.realMap = image_to_volume(image(300.0), "real")
        self.ui.applyButton.click()
        self.assertTrue(wait(lambda: not self.logic.running))
        made = self.parameters.syntheticMap

        def shown_is_made():
            return made.GetID() in [one.GetBackgroundVolumeID() for one in composites()]

        self.assertTrue(wait(shown_is_made))
        self.assertEqual(layout.GetViewArrangement(), FOUR_VIEWS)
        shown = {one.GetLayoutName(): one for one in composites() if one.GetLayoutName() in VIEWS}
        self.assertEqual(set(shown), set(VIEWS))
        self.assertEqual(shown["SynthCBVSynthetic"].GetBackgroundVolumeID(), made.GetID())
        self.assertEqual(shown["SynthCBVAnatomy"].GetBackgroundVolumeID(), self.parameters.t2w.GetID())
        self.assertTrue(all(one.GetLinkedControl() for one in shown.values()))
        self.assertEqual(len(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")), 5)  # of both runs
        # The same colour is the same multiple of the brain's mean: the real map is 15 times the synthetic.
        real, synthetic = self.parameters.realMap.GetDisplayNode(), made.GetDisplayNode()
        self.assertAlmostEqual(real.GetWindowLevelMax() / synthetic.GetWindowLevelMax(), 15.0, places=3)
        self.assertEqual(real.GetColorNodeID(), synthetic.GetColorNodeID())


class RegistrationTest(PanelCase):
    def test_figures_and_the_pair(self):
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: not self.logic.running))
        told = text(self.ui.registrationResultLabel)
        for words in ("To T2w", "0.250", "0.500", "5.0 mm"):
            self.assertIn(words, told)
        before = self.maps()
        self.ui.pairSelector.setCurrentIndex(1)
        copy = self.shown()
        self.assertTrue(copy.GetHideFromEditors())
        # Points of the reference are 3 mm and 4 mm (LPS) off in the DWI: the copy goes back by as much.
        moved = np.subtract(volume_to_image(copy).GetOrigin(), image().GetOrigin())
        np.testing.assert_allclose(moved, (-3.0, -4.0, 0.0), atol=1e-6)
        self.ui.fadeSlider.setValue(80)
        for composite in composites():
            self.assertEqual(composite.GetForegroundVolumeID(), copy.GetID())
            self.assertAlmostEqual(composite.GetForegroundOpacity(), 0.8)
        self.ui.pairSelector.setCurrentIndex(0)
        self.assertEqual(self.maps(), before)
        for composite in composites():
            self.assertIsNone(composite.GetForegroundVolumeID())

    def shown(self):
        """Wait for the node that shows the registered image, and give it."""
        self.assertTrue(wait(lambda: "DWI as registered" in self.maps(), 10.0))
        return slicer.mrmlScene.GetFirstNode("DWI as registered", "vtkMRMLScalarVolumeNode")

    def synthesise(self):
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: not self.logic.running))
        # The side-by-side views come in the turns after that.
        self.assertTrue(wait(lambda: not self.panel.layoutSwitch._ticker.running, 10.0))

    def test_checkerboard_and_fade_take_turns(self):
        self.synthesise()
        self.ui.fadeSlider.setValue(70)
        self.ui.pairViewSelector.setCurrentIndex(1)
        self.assertFalse(self.ui.fadeSlider.isEnabled())
        self.ui.pairSelector.setCurrentIndex(1)
        checks = self.shown()
        self.assertTrue(checks.GetDisplayNode().GetApplyThreshold())
        for composite in composites():
            self.assertEqual(composite.GetForegroundVolumeID(), checks.GetID())
            self.assertEqual(composite.GetForegroundOpacity(), 1.0)
        self.ui.pairViewSelector.setCurrentIndex(0)
        self.assertTrue(self.ui.fadeSlider.isEnabled())
        self.assertTrue(wait(lambda: not self.shown().GetDisplayNode().GetApplyThreshold(), 10.0))
        self.assertEqual(self.maps().count("DWI as registered"), 1)
        for composite in composites():
            self.assertEqual(composite.GetForegroundVolumeID(), self.shown().GetID())
            self.assertAlmostEqual(composite.GetForegroundOpacity(), 0.7)

    def test_what_the_user_shows_meanwhile_stays(self):
        self.synthesise()
        self.ui.pairSelector.setCurrentIndex(1)
        self.shown()
        other = image_to_volume(image(), "other").GetID()
        for composite in composites():
            composite.SetBackgroundVolumeID(other)
        self.ui.pairSelector.setCurrentIndex(0)
        self.assertEqual({one.GetBackgroundVolumeID() for one in composites()} - {other}, set())

    def test_another_map_and_a_closed_scene_end_the_pair(self):
        self.synthesise()
        first = self.parameters.syntheticMap
        self.synthesise()
        self.assertIsNot(self.parameters.syntheticMap, first)
        self.ui.pairSelector.setCurrentIndex(1)
        self.shown()
        self.parameters.syntheticMap = first
        self.assertNotIn("DWI as registered", self.maps())
        self.ui.pairSelector.setCurrentIndex(1)
        slicer.mrmlScene.Clear(0)  # while it is being made
        wait(lambda: False, 0.2)
        self.assertEqual(self.maps(), [])


class SceneTest(PanelCase):
    def test_choices_and_results_are_saved_with_the_scene(self):
        self.run_behaviour("quick")
        self.parameters.outputName = "Case 7"
        self.parameters.registration, self.parameters.seed = Method.KEEP, 17
        self.ui.bValuesEdit.setText("0 50 100 900")
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertTrue(wait(lambda: not self.panel.layoutSwitch._ticker.running, 10.0))
        self.ui.pairSelector.setCurrentIndex(1)
        self.assertTrue(wait(lambda: "DWI as registered" in self.maps(), 10.0))
        results = plain(self.ui.findingsText), text(self.ui.registrationResultLabel)
        with tempfile.TemporaryDirectory() as folder:
            path = save_scene(Path(folder) / "scene.mrb")
            slicer.mrmlScene.Clear(0)
            self.panel.enter()
            self.assertIsNone(self.logic.getParameterNode().t2w)
            self.assertEqual(plain(self.ui.findingsText), "")
            self.assertFalse(self.ui.applyButton.isEnabled())
            load_scene(path)
            self.panel.enter()
            self.assert_scene_is_back(results)
            self.ui.pairSelector.setCurrentIndex(1)
            self.assertTrue(wait(lambda: "DWI as registered" in self.maps(), 10.0))
            load_scene(path)  # beside this one, whose pair it puts out of the views
            self.assertNotIn("DWI as registered", self.maps())
            self.ui.pairSelector.setCurrentIndex(1)
            self.assertTrue(wait(lambda: "DWI as registered" in self.maps(), 10.0))

    def test_a_scene_that_is_read_is_shown_at_once(self):
        self.choose_ivim()
        self.parameters.syntheticMap = self.parameters.t2w
        self.parameters.regions = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
        with tempfile.TemporaryDirectory() as folder:
            path = save_scene(Path(folder) / "scene.mrb")
            slicer.mrmlScene.Clear(0)
            self.panel.enter()
            load_scene(path)
        parameters = self.logic.getParameterNode()
        self.assertEqual(parameters.t2w.GetName(), "T2w")
        self.assertIs(self.ui.t2wSelector.currentNode(), parameters.t2w)
        self.assertIs(self.ui.dwiSelector.currentNode(), parameters.dwi)
        self.assertIn("Ready: DWI, T2w", text(self.ui.studyStatusLabel))
        self.assertTrue(self.ui.applyButton.isEnabled())
        editor = self.ui.segmentEditorWidget.mrmlSegmentEditorNode()
        self.assertTrue(wait(lambda: editor.GetSegmentationNode() is parameters.regions, 5.0))

    def test_choices_stay_when_another_scene_is_read_beside(self):
        self.choose_ivim()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "other.mrml"
            path.write_text('<MRML version="18" userTags=""></MRML>', encoding="utf-8")
            slicer.mrmlScene.SetURL(str(path))
            slicer.mrmlScene.Import()
        parameters = self.logic.getParameterNode()
        self.assertIsNotNone(parameters.t2w)
        self.assertIs(self.ui.t2wSelector.currentNode(), parameters.t2w)
        self.assertTrue(self.ui.applyButton.isEnabled())

    def assert_scene_is_back(self, results):
        parameters = self.logic.getParameterNode()
        self.assertEqual(parameters.t2w.GetName(), "T2w")
        self.assertEqual(parameters.outputName, "Case 7")
        self.assertEqual((parameters.registration, parameters.seed), (Method.KEEP, 17))
        self.assertEqual(text(self.ui.bValuesEdit), "0 50 100 900")
        self.assertEqual(parameters.syntheticMap.GetName(), "SynthCBV synthetic rCBV")
        self.assertEqual((plain(self.ui.findingsText), text(self.ui.registrationResultLabel)), results)
        self.assertNotIn("DWI as registered", self.maps())
        for composite in composites():
            self.assertIsNone(composite.GetForegroundVolumeID())


class TickerTest(unittest.TestCase):
    def test_what_is_done_is_let_go(self):
        """Qt holds what its timers are connected to, which must not keep images in memory."""
        from SynthCBVLib.panel.ticker import Ticker

        class Images:
            def work(self):
                return False

        images = Images()
        seen, ticker = weakref.ref(images), Ticker(images.work, 0)
        del images
        self.assertIsNotNone(seen())
        self.assertTrue(wait(lambda: not ticker.running, 5.0))
        self.assertIsNone(seen())
        ticker.stop()
        ticker.stop()
        wait(lambda: False, 0.05)
        ticker.stop()


class DialogsTest(unittest.TestCase):
    def test_a_report_is_shown_by_the_system(self):
        from SynthCBVLib.panel import dialogs

        shown = []
        desktop = types.SimpleNamespace(openUrl=shown.append)
        before, dialogs.qt = dialogs.qt, types.SimpleNamespace(QDesktopServices=desktop, QUrl=str)
        try:
            dialogs.QtDialogs().show(Path("a report.html"))
        finally:
            dialogs.qt = before
        self.assertEqual(shown, [(Path.cwd() / "a report.html").as_uri()])


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
