"""A digital patient from the panel's click to the ratio, with the real worker and the bundled weights."""

import importlib.util
import time
import unittest

import numpy as np
import SimpleITK as sitk
import slicer

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.scene import add_regions, add_study, volume_to_image

NEEDED = ("torch", "safetensors", "skimage")


@unittest.skipIf(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    "packages of the synthesis are not installed",
)
class RealSynthesisTest(unittest.TestCase):
    def wait(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.02)
        return condition()

    def test_from_volumes_to_the_ratio(self):
        slicer.mrmlScene.Clear(0)
        panel = slicer.util.getModuleWidget("SynthCBV")
        panel.enter()
        parameters = panel.logic.getParameterNode()
        patient = DigitalPatient(seed=4711)
        nodes, truth = add_study(patient.study()), patient.truth()
        parameters.dwi, parameters.t2w = nodes[Modality.DWI], nodes[Modality.T2W]
        parameters.realMap = nodes[Modality.RCBV]
        panel.ui.applyButton.click()
        self.assertTrue(self.wait(lambda: not panel.logic.running, 300.0))
        made = parameters.syntheticMap
        self.assertIsNotNone(made)
        rcbv = sitk.GetArrayFromImage(volume_to_image(made))
        self.assertTrue(np.isfinite(rcbv).all())
        self.assertGreater(rcbv.max(), 0.0)
        self.assertEqual(volume_to_image(made).GetOrigin(), volume_to_image(parameters.t2w).GetOrigin())

        again = panel.logic.synthesize({"DWI": parameters.dwi, "T2w": parameters.t2w}, "ivim", name="console")
        same = sitk.GetArrayFromImage(volume_to_image(again.rcbv))
        # The worker reads the images from files, whose geometry is rounded: edges of the brain may differ.
        self.assertLess(np.percentile(np.abs(same - rcbv), 99.5), 1e-3 * rcbv.max())

        masks = {f"Tumour {i}": mask for i, mask in enumerate(truth.tumour, start=1)}
        masks |= {f"White matter {i}": mask for i, mask in enumerate(truth.white_matter, start=1)}
        parameters.regions = add_regions(masks, nodes[Modality.T2W], "Regions")
        panel.ui.ratioButton.click()
        ratios = parameters.ratioTable.GetTable().GetColumnByName("T/WM")
        self.assertEqual(ratios.GetNumberOfValues(), 2)
        self.assertGreater(ratios.GetValue(0), 1.0)
        panel.exit()
