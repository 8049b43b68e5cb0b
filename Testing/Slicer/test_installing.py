"""What the panel does around the installation of packages, during which Slicer stays live."""

import sys
from pathlib import Path

import SimpleITK as sitk
import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_case import PanelCase, image, text, wait

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene import image_to_volume
from SynthCBVLib.scene.region_placing import OUTLINE, drawn_names, put_regions


class InstallingTest(PanelCase):
    def setUp(self):
        self.asked, self.meanwhile = [], lambda: None
        super().setUp()

    def install(self, requirements, torch=True):
        """Stand for the installation: keep what was asked for, and let something happen meanwhile."""
        self.assertTrue(requirements.is_file())
        self.asked.append(torch)
        self.meanwhile()

    def decline(self):
        raise InputError("Python packages", "not installed (declined)", "the packages", "Click again.")

    def apply(self):
        self.choose_ivim()
        self.ui.applyButton.click()

    def assert_nothing_began(self):
        self.assertFalse(self.logic.running)
        self.assertEqual(self.launched, [])
        self.assertTrue(self.ui.progressBar.isHidden())
        self.assertFalse(self.ui.cancelButton.isEnabled())

    def test_nothing_but_cancel_is_offered_meanwhile(self):
        seen = []
        self.meanwhile = lambda: seen.append(
            (
                self.ui.applyButton.isEnabled(),
                self.ui.patientButton.isEnabled(),
                self.ui.cancelButton.isEnabled(),
            )
        )
        self.apply()
        self.assertEqual(seen, [(False, False, True)])
        self.assertEqual(self.asked, [True])
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("Done", text(self.ui.synthesisStatusLabel))
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_a_change_of_mind_begins_nothing_afterwards(self):
        self.meanwhile = lambda: self.ui.cancelButton.click()
        self.apply()
        self.assert_nothing_began()
        self.assertIn("Cancelled", text(self.ui.synthesisStatusLabel))
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_closing_the_scene_begins_nothing_afterwards(self):
        self.meanwhile = lambda: slicer.mrmlScene.Clear(0)
        self.apply()
        self.assert_nothing_began()
        self.assertEqual(self.maps(), [])

    def test_leaving_the_module_does_not_end_it(self):
        self.meanwhile = self.panel.exit
        self.apply()
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("SynthCBV synthetic rCBV", self.maps())

    def test_a_no_is_told(self):
        self.meanwhile = self.decline
        self.apply()
        self.assert_nothing_began()
        self.assertIn("declined", text(self.ui.synthesisStatusLabel))
        self.assertTrue(self.ui.applyButton.isEnabled())

    def test_what_is_wrong_with_the_volumes_is_told_first(self):
        self.choose_ivim()
        self.parameters.bValues = "zero"
        self.panel.onApply()
        self.assertEqual(self.asked, [])
        self.assert_nothing_began()

    def test_proposals_ask_for_their_packages(self):
        """A map may come with a scene, before any synthesis on this computer."""
        self.parameters.t2w = image_to_volume(image(), "T2w")
        self.parameters.syntheticMap = image_to_volume(image(), "map")
        self.ui.createRegionsButton.click()
        put_regions({OUTLINE: sitk.Cast(image() > 15, sitk.sitkUInt8)}, self.parameters.regions)
        self.meanwhile = self.decline
        self.ui.proposeButton.click()
        self.assertEqual(self.asked, [False])
        self.assertIn("declined", text(self.ui.regionsStatusLabel))
        self.assertFalse(self.logic.analysing)
        self.assertEqual(drawn_names(self.parameters.regions), {OUTLINE})
        self.meanwhile = lambda: slicer.mrmlScene.Clear(0)
        self.ui.proposeButton.click()
        self.assertEqual(self.asked, [False, False])
        self.assertFalse(self.logic.analysing)

    def test_likeness_and_report_do_without_torch(self):
        self.parameters.syntheticMap = image_to_volume(image(), "map")
        self.parameters.realMap = image_to_volume(image(), "real")
        self.meanwhile = self.decline
        for button in (self.ui.compareButton, self.ui.reportButton):
            button.click()
            self.assertIn("declined", text(self.ui.agreementStatusLabel))
        self.assertEqual(self.asked, [False, False])
