"""Digital patients from the panel's clicks to the maps, with the real worker and the bundled weights.

The text of this file can be pasted into Slicer's Python console, followed by
``follow(*click_through("IVIM")[:2], "/a/folder/for/the/report")``.
"""

import importlib.util
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

from SynthCBVLib.imaging.study import same_grid
from SynthCBVLib.scene import region_masks, volume_to_image
from SynthCBVLib.scene.cohort import put_case
from SynthCBVLib.scene.layout import VIEWS, composites
from SynthCBVLib.scene.patient import LESION
from SynthCBVLib.scene.region_placing import OUTLINE, REGIONS
from SynthCBVLib.scene.results import mask_of, provenance_of, uncertainty_of
from SynthCBVLib.scene.tables import cohort_from_node

NEEDED = ("torch", "safetensors", "skimage")
#: Digital patient of each workflow, and the row whose grid the map gets.
CASES = {"IVIM": (4711, "t2w"), "ASL": (4712, "t1w")}


def wait(condition, seconds=600.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.02)
    if not condition():
        raise AssertionError("nothing happened for ten minutes")


def click_through(workflow):
    """Load a digital patient and apply; gives the panel, its parameters and what the progress bar showed."""
    panel = slicer.util.getModuleWidget("SynthCBV")
    panel.enter()
    parameters = panel.logic.getParameterNode()
    seed, _reference = CASES[workflow]
    kinds = type(parameters.workflow)
    parameters.workflow, parameters.seed = kinds[workflow], seed
    panel.ui.patientButton.click()
    wait(lambda: not panel.logic.running)
    seen = []
    panel.ui.progressBar.valueChanged.connect(lambda value: seen.append(value))
    panel.ui.applyButton.click()
    wait(lambda: not panel.logic.running)
    return panel, parameters, seen


class Folder:
    """Answers the question for a folder without asking."""

    def __init__(self, folder):
        self.place = Path(folder)

    def folder(self):
        return self.place


def follow(panel, parameters, folder):
    """Propose regions on the new map, add the case to others, and write plots and report."""
    section, logic = panel.regionsSection, panel.logic
    panel.ui.proposeButton.click()
    wait(lambda: not logic.analysing)
    wait(lambda: parameters.ratioTable is not None and parameters.ratioTable.GetNumberOfRows() == 2)
    wait(lambda: not section.job.running and not logic.analysing)
    parameters.subject, parameters.group = "P12", "wildtype"
    panel.ui.addCaseButton.click()
    wait(lambda: not logic.analysing)
    for i in range(11):  # made-up cases beside it
        real = 2.0 + 0.2 * i + (i % 2)
        row = {"subject": f"P{i:02d}", "group": "mutant" if i % 2 else "wildtype"}
        put_case(row | {"ratio_real": real, "ratio_synthetic": 0.9 * real}, (), parameters.cohort)
    panel.ui.analyzeButton.click()
    wait(lambda: not logic.analysing)
    panel.agreementSection.dialogs, before = Folder(folder), panel.agreementSection.dialogs
    panel.ui.reportButton.click()
    wait(lambda: not logic.analysing)
    panel.agreementSection.dialogs = before


@unittest.skipIf(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    "packages of the synthesis are not installed",
)
class RealSynthesisTest(unittest.TestCase):
    def check(self, workflow):
        slicer.mrmlScene.Clear(0)
        panel, parameters, seen = click_through(workflow)
        made = parameters.syntheticMap
        self.assertIsNotNone(made)
        self.assertGreater(len(set(seen)), 4, "the progress bar moves")
        self.assertEqual(sorted(seen), seen, "and only forward")
        reference = volume_to_image(getattr(parameters, CASES[workflow][1]))
        maps = [volume_to_image(node) for node in (made, uncertainty_of(made), mask_of(made))]
        for image in maps:
            self.assertTrue(same_grid(image, reference, 1e-9))
        rcbv, spread, mask = (sitk.GetArrayFromImage(image) for image in maps)
        self.assertTrue(np.isfinite(rcbv).all())
        self.assertGreater(rcbv[mask > 0].mean(), 0.0)
        self.assertGreater(spread[mask > 0].min(), 0.0)
        self.assertEqual(rcbv[mask == 0].max(), 0.0)
        for entry in provenance_of(made)["registration"].values():
            self.assertLess(entry["after"], entry["before"] + 1e-9)
        if list(composites()):
            wait(lambda: made.GetID() in [one.GetBackgroundVolumeID() for one in composites()])
            shown = {one.GetLayoutName(): one.GetBackgroundVolumeID() for one in composites()}
            self.assertEqual(shown["SynthCBVSynthetic"], made.GetID())
            self.assertEqual(shown["SynthCBVReal"], parameters.realMap.GetID())
            self.assertLessEqual(set(VIEWS), set(shown))
        with tempfile.TemporaryDirectory() as folder:
            follow(panel, parameters, folder)
            self.assertTrue((Path(folder) / "case-report.html").is_file())
            self.assertTrue((Path(folder) / "cohort-report.html").is_file())
        ratios = parameters.ratioTable.GetTable().GetColumnByName("T/WM")
        for row in range(2):
            self.assertGreater(ratios.GetValue(row), 1.0)
        cohort = cohort_from_node(parameters.cohort)
        self.assertEqual(len(cohort), 12)
        self.assertAlmostEqual(cohort.column("ratio_synthetic")[0], ratios.GetValue(0), places=9)
        self.assertIsNotNone(cohort.column("ssim")[0])
        titles = [node.GetTitle() for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")]
        self.assertIn("ROC curves", titles)
        self.assertTrue(any("Bland-Altman" in title for title in titles))
        self.without_an_outline(panel, parameters)
        panel.exit()

    def without_an_outline(self, panel, parameters):
        """With nothing drawn, one click proposes outline and regions, inside the lesion that is known."""
        made, known = parameters.syntheticMap, parameters.regions
        lesion = sitk.GetArrayFromImage(region_masks(known, made)[LESION]) != 0
        parameters.regions = None
        panel.ui.proposeButton.click()
        wait(lambda: not panel.logic.analysing)
        masks = region_masks(parameters.regions, made)
        outline = sitk.GetArrayFromImage(masks[OUTLINE]) != 0
        self.assertGreater(2 * (outline & lesion).sum() / (outline.sum() + lesion.sum()), 0.5)
        for name in REGIONS[:3]:
            self.assertGreater(lesion[sitk.GetArrayFromImage(masks[name]) != 0].mean(), 0.8)
        parameters.regions = known

    def test_ivim(self):
        self.check("IVIM")

    def test_asl(self):
        self.check("ASL")
